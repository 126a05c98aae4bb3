"""The documentation's results: every table, chart and quoted figure of README.md and docs/, made from one tree."""

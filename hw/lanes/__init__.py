"""Lanes: each takes the stored blocks of a row and gives the row's exact sum. Each kind of format has its own lane."""

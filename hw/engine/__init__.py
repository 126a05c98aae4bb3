"""The engine: the blocks wired together, and what controls, supervises and counts."""

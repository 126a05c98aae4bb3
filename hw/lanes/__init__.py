"""Lanes: one row's stored blocks in, that row's exact sum out; one lane for each kind of format."""

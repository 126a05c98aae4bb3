"""The command line, ``python -m host``."""

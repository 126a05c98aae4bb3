"""The warnings of Verilator that emitted designs give rise to, and why they say nothing."""

__all__ = ["ACCEPTED"]

ACCEPTED = {
    "DECLFILENAME": "One file holds all modules of a design.",
    "UNUSEDSIGNAL": "A module has all ports of its component and all bits of a stream, whether or not it uses them.",
    "PINCONNECTEMPTY": "Outputs that a design does not need stay open.",
    "PROCASSINIT": "Registers have a value from the start, as FPGAs give them one, beside that of a reset.",
    "WIDTHEXPAND": "Operands are extended to the width of the sum, as Verilog defines it.",
}
"""Reasons by the warnings' names."""

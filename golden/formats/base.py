"""What the families of weight formats share: constants, and the refusal of a format that does not exist."""

__all__ = ["EXP_BITS", "EXP_MAX", "EXP_MIN", "FP16_FRACTION", "HEAD_FIELDS", "SCALE_BITS", "SCALE_SHIFT", "TAPS",
           "FormatError", "require"]

TAPS = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 2), 6: (0, 1), 7: (0, 1), 8: (0, 2, 3, 4), 9: (0, 4), 10: (0, 3),
    11: (0, 2), 12: (0, 1, 2, 8), 13: (0, 1, 2, 5), 14: (0, 1, 2, 12), 15: (0, 1), 16: (0, 1, 3, 12), 17: (0, 3),
    18: (0, 7), 19: (0, 1, 2, 5), 20: (0, 3), 21: (0, 2), 22: (0, 1), 23: (0, 5), 24: (0, 1, 2, 7),
}
"""Feedback taps by LFSR length, as bit positions of the register (paper, table 6); each gives the full period
2**k - 1."""

EXP_BITS = 4
"""Width of the shared exponent, two's complement (section 3.2 of the paper)."""
EXP_MIN, EXP_MAX = -(1 << (EXP_BITS - 1)), (1 << (EXP_BITS - 1)) - 1

FP16_FRACTION = 10
"""Fraction bits of IEEE 754 binary16."""

SCALE_BITS = 16
"""Bits of a scale, FP16: that of a group, whose least number of blocks this is, or that of a row."""
SCALE_SHIFT = FP16_FRACTION + 1 + 29
"""Bits by which the largest FP16 number is greater than the least one, 2**-24."""

HEAD_FIELDS = {"scale": (0, SCALE_BITS)}
"""``{name: (lowest bit, width)}`` of what every head holds: the block before those of a row that has a scale of its
own."""


class FormatError(ValueError):
    """A format that does not exist; the message names the offending value and the legal ones."""


def require(what: str, name: str, value: object, low: int, high: int) -> None:
    """Refuse a parameter, called ``name``, of a format that is no integer from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FormatError(f"{what}: {name} must be an integer from {low} to {high}, not {value!r}")

"""What several tests compare golden with, in exact fractions."""

from fractions import Fraction


def to_24_bits(value: Fraction) -> Fraction:
    """Nearest number of 24 significant bits, ties to even: Python rounds fractions so."""
    power = 0
    while abs(value) / Fraction(2) ** power >= 2**24:
        power += 1
    while value and abs(value) / Fraction(2) ** power < 2**23:
        power -= 1
    return round(value / Fraction(2) ** power) * Fraction(2) ** power

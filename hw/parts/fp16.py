"""FP16 numbers as bits."""

from amaranth.hdl import Cat

from golden.spec import FP16_FRACTION

__all__ = ["split_fp16"]


def split_fp16(bits):
    """Sign, 11-bit significand and biased exponent, at least 1, of finite FP16 ``bits``: value = m * 2**(f - 25)."""
    fraction, field, sign = bits[:FP16_FRACTION], bits[FP16_FRACTION:15], bits[15]
    normal = field.any()
    return sign, Cat(fraction, normal), Cat(field[0] | ~normal, field[1:])

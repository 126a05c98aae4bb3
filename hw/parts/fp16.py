"""FP16 numbers (IEEE 754 binary16) as bits."""

from amaranth.hdl import Cat, Value

from golden.spec import FP16_FRACTION

__all__ = ["split_fp16"]


def split_fp16(bits: Value) -> tuple[Value, Value, Value]:
    """Sign (1 bit), significand m (11 bits) and biased exponent f (5 bits, at least 1) of a finite FP16 number, whose
    magnitude is ``m * 2**(f - 25)``. Combinational."""
    fraction, field, sign = bits[:FP16_FRACTION], bits[FP16_FRACTION:15], bits[15]
    normal = field.any()
    return sign, Cat(fraction, normal), Cat(field[0] | ~normal, field[1:])

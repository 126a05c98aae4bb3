"""Data for testbenches: random operands, beats, and payloads that several stages share."""

import numpy as np

from hw.payloads import lane_word

__all__ = ["beats_of", "finite_halves", "lane_bits", "to_signed"]


def finite_halves(rng, count):
    """``count`` float16, every finite bit pattern alike: signs, zeros, subnormals and all binades."""
    sign, rest = (rng.integers(0, end, count, dtype=np.uint16) for end in (2, 0x7C00))
    return (sign << 15 | rest).view(np.float16)


def beats_of(content, bus_bytes):
    """Bytes as beats (little-endian ints), zeros behind the last."""
    padded = content + bytes(-len(content) % bus_bytes)
    return [int.from_bytes(padded[n:n + bus_bytes], "little") for n in range(0, len(padded), bus_bytes)]


def to_signed(bits, width):
    """The value of a two's complement number of ``width`` bits."""
    sign = 1 << (width - 1)
    return (bits ^ sign) - sign


def lane_bits(config, block, x, last):
    """Bits of a lane's input word: a ``block`` (int), its activations ``x`` (ints) and whether its row ends here."""
    return lane_word(config).const({"block": block, "activations": {"x": x, "last": last}}).as_bits()

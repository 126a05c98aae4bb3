"""The weight formats: their registry, and every constant that golden, the hardware and the host share.

A format says how many weights a block has, how many bits, and what the engine has to know of them. Each family of
formats has a file of its own: SeedLM's blocks (:mod:`golden.formats.seedlm`), the controls of integers
(:mod:`golden.formats.integers`), the trellis (:mod:`golden.formats.trellis`), and the baseline
(:mod:`golden.formats.half`).

Nothing here computes: of golden, RTL may import this module, those, and :mod:`golden.layout`, and no other.
"""

import re

from golden.formats.base import (
    EXP_BITS,
    EXP_MAX,
    EXP_MIN,
    FP16_FRACTION,
    HEAD_FIELDS,
    SCALE_BITS,
    SCALE_SHIFT,
    TAPS,
    FormatError,
)
from golden.formats.half import FP16, HalfFormat
from golden.formats.integers import INT3, INT4, INT8, INTEGER_FORMATS, GroupFormat
from golden.formats.seedlm import SEEDLM3, SEEDLM3R, SEEDLM4, SEEDLM4R, SEEDLM4X, SEEDLM_FORMATS, BlockFormat
from golden.formats.trellis import TRELLIS2, TRELLIS3, TRELLIS4, TRELLIS_FORMATS, TrellisFormat

__all__ = ["ACT_BITS", "EXP_BITS", "EXP_MAX", "EXP_MIN", "FORMATS", "FP16", "FP16_EXP_BIAS", "FP16_FRACTION",
           "HEAD_FIELDS", "INT3", "INT4", "INT8", "ROTATION_BLOCK", "ROTATION_DROPPED", "ROTATION_GROWTH",
           "ROTATION_SEED", "SCALE_BITS", "SCALE_SHIFT", "SEEDLM3", "SEEDLM3R", "SEEDLM4",
           "SEEDLM4R", "SEEDLM4X", "TAPS", "TRELLIS2", "TRELLIS3", "TRELLIS4", "BlockFormat", "FormatError",
           "GroupFormat", "HalfFormat", "TrellisFormat", "WeightFormat", "parse_format", "parse_seedlm"]

ACT_BITS = 16
"""Width of one block-floating-point activation, two's complement."""

FP16_EXP_BIAS = 15
"""Bias of the exponent of IEEE 754 binary16."""

ROTATION_BLOCK = 64
"""Columns that a rotation of inputs turns together (:mod:`golden.rotation`)."""
ROTATION_SEED = 0xACE1
"""State of the LFSR of 16 bits whose lowest bit is the sign of column 0 in a rotation."""
ROTATION_DROPPED = 4
"""Lowest bits of a rotated activation that are rounded off, so that no sum of 64 is beyond :data:`ROTATION_GROWTH` bits
more than an activation has."""
ROTATION_GROWTH = 2
"""Bits by which a rotated activation is wider than another one."""

WeightFormat = BlockFormat | GroupFormat | TrellisFormat | HalfFormat
"""Any format of weights."""

FORMATS: dict[str, WeightFormat] = {FP16.name: FP16, **INTEGER_FORMATS, **SEEDLM_FORMATS, **TRELLIS_FORMATS}
"""The named formats."""


def parse_format(text: str) -> WeightFormat:
    """The format called ``text``: a name of :data:`FORMATS`, or ``C,P,K``, ``C,P,K,coef_bits`` or
    ``C,P,K,coef_bits,exp_bits`` for SeedLM's.

    Raises
    ------
    FormatError
        When ``text`` is neither.
    """
    if text in FORMATS:
        return FORMATS[text]
    parts = text.split(",")
    if not 3 <= len(parts) <= 5 or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise FormatError(f"unknown format {text!r}: use {', '.join(FORMATS)}, or C,P,K such as 8,3,16")
    return BlockFormat(*(int(part) for part in parts))


def parse_seedlm(text: str) -> BlockFormat:
    """As :func:`parse_format`, for what only SeedLM's formats with exponents can do.

    Raises
    ------
    FormatError
        When ``text`` is no format, or another one.
    """
    fmt = parse_format(text)
    if not isinstance(fmt, BlockFormat) or not fmt.exp_bits:
        raise FormatError(f"{text} is not a SeedLM format with exponents: use seedlm4, seedlm3, seedlm4x, or C,P,K "
                          "such as 8,3,16")
    return fmt

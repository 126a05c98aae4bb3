"""The format's constants and messages, pinned by numbers written here by hand."""

import pytest

from golden import spec
from golden.spec import (
    FORMATS,
    FP16,
    INT3,
    INT4,
    INT8,
    SEEDLM3,
    SEEDLM3R,
    SEEDLM4,
    SEEDLM4R,
    SEEDLM4X,
    TAPS,
    TRELLIS2,
    TRELLIS3,
    TRELLIS4,
    BlockFormat,
    FormatError,
    GroupFormat,
    parse_format,
    parse_seedlm,
)

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)

POLYNOMIALS = {
    2: 0x7, 3: 0xB, 4: 0x13, 5: 0x25, 6: 0x43, 7: 0x83, 8: 0x11D, 9: 0x211, 10: 0x409, 11: 0x805, 12: 0x1107,
    13: 0x2027, 14: 0x5007, 15: 0x8003, 16: 0x1100B, 17: 0x20009, 18: 0x40081, 19: 0x80027, 20: 0x100009,
    21: 0x200005, 22: 0x400003, 23: 0x800021, 24: 0x1000087,
}
"""x**k + the sum of x**tap, bit by bit: the same table in the form that catalogues of LFSRs print."""


def test_taps() -> None:
    assert {k: sum(1 << tap for tap in (*taps, k)) for k, taps in TAPS.items()} == POLYNOMIALS


def test_constants() -> None:
    assert (spec.EXP_BITS, spec.EXP_MIN, spec.EXP_MAX) == (4, -8, 7)
    assert spec.ACT_BITS == 16
    assert (spec.FP16_FRACTION, spec.FP16_EXP_BIAS) == (10, 15)


@pytest.mark.parametrize(("fmt", "shape", "bits", "per_weight"), [
    (SEEDLM4, (8, 3, 16, 4), 32, 4.0), (SEEDLM3, (12, 4, 16, 4), 36, 3.0), (ODD, (5, 2, 7, 3), 17, 3.4)])
def test_bits(fmt: BlockFormat, shape: tuple[int, ...], bits: int, per_weight: float) -> None:
    assert (fmt.c, fmt.p, fmt.k, fmt.coef_bits) == shape
    assert fmt.block_bits == bits
    assert fmt.bits_per_weight == per_weight


def test_groups() -> None:
    assert (INT4.c, INT4.bits, INT4.group, INT4.block_bits, INT4.bits_per_weight) == (8, 4, 128, 33, 4.125)
    assert [(fmt.c, fmt.bits, fmt.group, fmt.bits_per_weight) for fmt in (INT8, INT3)] == [
        (8, 8, 128, 8.125), (8, 3, 128, 3.125)]
    assert (INT8.code_min, INT8.code_max, INT3.code_min, INT3.code_max) == (-128, 127, -4, 3)
    assert (INT4.code_min, INT4.code_max, spec.SCALE_BITS) == (-8, 7, 16)
    small = GroupFormat(c=3, bits=2)
    assert [INT4.groups(cols) for cols in (1, 128, 129, 248, 249, 576, 4096)] == [1, 1, 1, 1, 2, 4, 32]
    assert (small.group, small.block_bits, small.code_min, small.code_max, small.name) == (48, 7, -2, 1, "int2,3")


@pytest.mark.parametrize(("name", "value", "low", "high"), [
    ("c", 0, 1, 256), ("c", 257, 1, 256), ("bits", 1, 2, 8), ("bits", 9, 2, 8), ("bits", "4", 2, 8),
    ("c", True, 1, 256)])
def test_groups_that_do_not_exist(name: str, value: object, low: int, high: int) -> None:
    with pytest.raises(FormatError) as caught:
        GroupFormat(**{"c": 8, "bits": 4, name: value})
    assert str(caught.value) == f"group format: {name} must be an integer from {low} to {high}, not {value!r}"


def test_derived_numbers() -> None:
    assert SEEDLM4.taps == (0, 1, 3, 12)
    assert (SEEDLM4.seeds, SEEDLM4.offset, SEEDLM4.unit) == (65535, 32768, 32767)
    assert (SEEDLM4.coef_min, SEEDLM4.coef_max) == (-8, 7)
    assert (ODD.seeds, ODD.offset, ODD.unit) == (127, 64, 63)
    assert (ODD.coef_min, ODD.coef_max) == (-4, 3)


def test_fields() -> None:
    assert SEEDLM4.fields == {"seed": (0, 16), "exponent": (16, 4), "q0": (20, 4), "q1": (24, 4), "q2": (28, 4)}
    assert SEEDLM3.fields == {"seed": (0, 16), "exponent": (16, 4), "q0": (20, 4), "q1": (24, 4), "q2": (28, 4),
                              "q3": (32, 4)}
    assert ODD.fields == {"seed": (0, 7), "exponent": (7, 4), "q0": (11, 3), "q1": (14, 3)}


@pytest.mark.parametrize(("name", "value", "low", "high"), [
    ("c", 0, 1, 256), ("c", 257, 1, 256), ("p", 0, 1, 8), ("p", 9, 1, 8), ("k", 1, 2, 24), ("k", 25, 2, 24),
    ("coef_bits", 1, 2, 4), ("coef_bits", 5, 2, 4), ("c", 8.0, 1, 256), ("p", True, 1, 8), ("k", "16", 2, 24)])
def test_formats_that_do_not_exist(name: str, value: object, low: int, high: int) -> None:
    with pytest.raises(FormatError) as caught:
        BlockFormat(**{"c": 8, "p": 3, "k": 16, name: value})
    assert str(caught.value) == f"block format: {name} must be an integer from {low} to {high}, not {value!r}"


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (256, 8, 24, 4)])
def test_extreme_formats(shape: tuple[int, int, int, int]) -> None:
    assert parse_format(",".join(map(str, shape))) == BlockFormat(*shape)


@pytest.mark.parametrize(("text", "fmt", "name"), [
    ("seedlm4", SEEDLM4, "seedlm4"), ("seedlm3", SEEDLM3, "seedlm3"),
    ("10,5,16", SEEDLM4X, "seedlm4x"), ("8,3,16", SEEDLM4, "seedlm4"),
    ("12, 4, 16", SEEDLM3, "seedlm3"), ("8,3,16,4", SEEDLM4, "seedlm4"), ("5,2,7,3", ODD, "5,2,7,3"),
    ("5,2,7", BlockFormat(5, 2, 7), "5,2,7"), ("8,4,16,4,0", SEEDLM4R, "seedlm4r"),
    ("5,3,7,3,0", BlockFormat(5, 3, 7, 3, 0), "5,3,7,3,0"), ("5,2,7,4,4", BlockFormat(5, 2, 7), "5,2,7")])
def test_names(text: str, fmt: BlockFormat, name: str) -> None:
    assert parse_format(text) == fmt
    assert fmt.name == name
    assert parse_format(name) == fmt


def test_named_formats() -> None:
    names = ["fp16", "int8", "int4", "int3", "seedlm4", "seedlm3", "seedlm4x", "seedlm4r", "seedlm3r",
             "trellis4", "trellis3", "trellis2"]
    assert list(FORMATS) == names
    assert [parse_format(name) for name in names] == [FP16, INT8, INT4, INT3, SEEDLM4, SEEDLM3, SEEDLM4X, SEEDLM4R,
                                                      SEEDLM3R, TRELLIS4, TRELLIS3, TRELLIS2]
    assert [fmt.name for fmt in FORMATS.values()] == names


def test_without_exponents() -> None:
    """The four bits of the exponent are another coefficient, and a head holds the row's scale."""
    assert (SEEDLM4R.block_bits, SEEDLM3R.block_bits) == (32, 36)
    assert SEEDLM4R.fields == {"seed": (0, 16), "q0": (16, 4), "q1": (20, 4), "q2": (24, 4), "q3": (28, 4)}
    assert (SEEDLM4R.head_blocks, SEEDLM4R.exp_min, SEEDLM4R.exp_max, SEEDLM4R.dot_shift) == (1, 0, 0, 0)
    assert (SEEDLM4.head_blocks, SEEDLM4.exp_min, SEEDLM4.exp_max, SEEDLM4.dot_shift) == (0, -8, 7, 15)
    with pytest.raises(FormatError, match="exp_bits must be 0 or 4, not 3"):
        BlockFormat(8, 3, 16, exp_bits=3)
    with pytest.raises(FormatError, match="a block of 7 bits does not hold the scale of a row, 16 bits"):
        BlockFormat(2, 1, 3, exp_bits=0)


def test_what_only_seedlm_can_do() -> None:
    assert parse_seedlm("seedlm3") == SEEDLM3
    assert parse_seedlm("5,2,7,3") == ODD
    for text in ("fp16", "int8", "int4", "int3", "seedlm4r", "trellis4"):
        with pytest.raises(FormatError) as caught:
            parse_seedlm(text)
        assert str(caught.value) == (f"{text} is not a SeedLM format with exponents: use seedlm4, seedlm3, seedlm4x, "
                                     "or C,P,K such as 8,3,16")
    with pytest.raises(FormatError, match="unknown format 'int5'"):
        parse_seedlm("int5")


@pytest.mark.parametrize("text", ["", "seedlm5", "int5", "INT4", "int4,8", "8,3", "8,3,16,4,4,4", "8,3,k", "8,-3,16",
                                  "8,3,1.6", "8,,16", "8,3,1²", "8,3," + "9" * 5000])
def test_unknown_formats(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_format(text)
    assert str(caught.value) == (
        f"unknown format {text!r}: use fp16, int8, int4, int3, seedlm4, seedlm3, seedlm4x, seedlm4r, "
        "seedlm3r, trellis4, trellis3, trellis2, or C,P,K such as 8,3,16")


def test_a_parsed_format_must_exist() -> None:
    with pytest.raises(FormatError, match="k must be an integer from 2 to 24, not 32"):
        parse_format("8,3,32")

"""The trellis code against a reader of its own, written from docs/trellis.md alone, and against the page's vectors."""

import json
import re
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from golden.activations import to_block_floating_point
from golden.formats.trellis import TRELLIS3, TRELLIS4, TRELLIS_FORMATS, TrellisFormat
from golden.spec import FormatError
from golden.tree import ROOT
from golden.trellis.matrix import TrellisMatrix, unpack
from golden.trellis.matvec import matvec
from golden.trellis.values import all_values, value
from tests.golden.reference import to_24_bits

VECTORS = json.loads((ROOT / "docs" / "trellis-vectors.json").read_text())
ODD = TrellisFormat(c=22, bits=1, window=7, fields=((3, 8), (90, 6)))
FORMATS = [*TRELLIS_FORMATS.values(), ODD]


def read(row: bytes, columns: int, c: int, k: int, window: int, fields: list[list[int]],
         bias: int) -> tuple[list[int], list[float]]:
    """The integers and the weights of a row, bit by bit."""
    bits = [byte >> n & 1 for byte in row for n in range(8)]
    sign, exponent, fraction = bits[15], bits[10:15], bits[:10]
    field = sum(bit << n for n, bit in enumerate(exponent))
    significand = sum(bit << n for n, bit in enumerate(fraction)) + (1024 if field else 0)
    scale = (-1) ** sign * significand * 2.0 ** (max(field, 1) - 25)
    offset = sum(2**width - 1 for _, width in fields) // 2
    stream = bits[16:16 + window - k] + bits[c * k:]
    integers = []
    for i in range(columns):
        out = stream[k * i:k * i + window] + [0] * (16 - window)
        while len(out) < 96:
            out.append(out[-16] ^ out[-15] ^ out[-13] ^ out[-4])
        integers.append(sum(out[low + n] << n for low, width in fields for n in range(width)) - offset)
    return integers, [integer * scale * 2.0**bias for integer in integers]


def row_bytes(fmt: TrellisFormat, blocks: np.ndarray) -> bytes:
    """The blocks of a row one behind the other."""
    row = sum(block << fmt.block_bits * n for n, block in enumerate(blocks))
    return row.to_bytes(-(-len(blocks) * fmt.block_bits // 8), "little")


def random_matrix(fmt: TrellisFormat, rows: int, cols: int, bias: int = 0) -> TrellisMatrix:
    rng = np.random.default_rng([fmt.bits, rows, cols])
    scales = rng.integers(0x0400, 0x7C00, rows, np.uint16) | rng.integers(0, 2, rows, np.uint16) << 15
    return TrellisMatrix(fmt, rng.integers(0, 1 << fmt.bits, (rows, cols), np.uint8),
                         rng.integers(0, 1 << fmt.start_bits, rows, np.uint16), scales.view(np.float16), bias)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: f"{fmt.bits}-{fmt.window}")
@pytest.mark.parametrize(("rows", "cols"), [(3, 29), (2, 1), (1, 0)])
def test_rows_are_read_as_the_page_says(fmt: TrellisFormat, rows: int, cols: int) -> None:
    matrix = random_matrix(fmt, rows, cols, bias=-3)
    packed = matrix.packed()
    for row, integers, weights in zip(packed, matrix.integers().tolist(), matrix.weights().tolist(), strict=True):
        assert read(row_bytes(fmt, row), cols, fmt.c, fmt.bits, fmt.window, list(map(list, fmt.fields)), -3) == (
            integers, weights)
    back = unpack(fmt, packed, cols, -3)
    assert (back.fmt, back.shape, back.exponent_bias) == (fmt, (rows, cols), -3)
    for name in ("codes", "starts", "scales"):
        assert getattr(back, name).tobytes() == getattr(matrix, name).tobytes()


def test_products() -> None:
    """The sums of integers in units of the vector, rounded once, and the row's scale with the same rounding."""
    matrix, rng = random_matrix(TRELLIS3, 3, 29, bias=-2), np.random.default_rng(0)
    x = rng.normal(0, 1, 29).astype(np.float16)
    elements, shared = to_block_floating_point(x)
    for y, integers, scale in zip(matvec(matrix, x), matrix.integers().tolist(), matrix.scales, strict=True):
        total = Fraction(sum(a * int(b) for a, b in zip(integers, elements, strict=True)))
        exact = to_24_bits(total) * Fraction(float(scale)) * Fraction(2) ** (shared - 29 - 2)
        assert Fraction(float(y)) == to_24_bits(exact)
    assert np.allclose(matvec(matrix, x), matrix.weights() @ x, rtol=1e-3)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["format"])
def test_vectors(vector: dict) -> None:
    fmt, row, cols = TRELLIS_FORMATS[vector["format"]], bytes.fromhex(vector["row"]), vector["columns"]
    assert vector["fields"] == list(map(list, fmt.fields))
    wanted = vector["integers"], vector["weights"]
    stored, width = int.from_bytes(row, "little"), fmt.block_bits
    blocks = [stored >> width * n & (1 << width) - 1 for n in range(len(row) * 8 // width)]
    matrix = unpack(fmt, np.array([blocks], dtype=object), cols, vector["exponent_bias"])
    assert (matrix.integers()[0].tolist(), matrix.weights()[0].tolist()) == wanted
    assert row_bytes(fmt, matrix.packed()[0]) == row
    assert vector["c"] == fmt.c
    given = [vector[name] for name in ("columns", "c", "bits", "window", "fields", "exponent_bias")]
    assert read(row, *given) == wanted


@pytest.mark.parametrize("name", TRELLIS_FORMATS)
def test_named_formats(name: str) -> None:
    """The bits of a weight, and that integers reach as far as they may and are spread about zero."""
    fmt = TRELLIS_FORMATS[name]
    assert fmt.bits == int(name[-1])
    assert fmt.row_bits(4096) / 4096 <= fmt.bits + 0.01
    values = all_values(fmt)
    assert value(np.array(0), fmt) == values[0] == fmt.value_min
    assert fmt.value_max * 0.9 < values.max() <= fmt.value_max
    assert abs(values.mean()) < 0.1 * values.std()


@pytest.mark.parametrize(("change", "message"), [
    (lambda m: {"codes": m.codes[0]}, r"codes must have shape (rows, columns), not (5,)"),
    (lambda m: {"codes": m.codes + np.uint8(16)}, "codes must lie in 0..15, found "),
    (lambda m: {"codes": m.codes.astype(int)}, "codes must be uint8, not int64"),
    (lambda m: {"starts": m.starts | np.uint16(256)}, "starts must lie in 0..255, found "),
    (lambda m: {"starts": m.starts[:1]}, "starts of a 2 x 5 matrix must have shape (2,), not (1,)"),
    (lambda m: {"scales": m.scales[:, None]}, "scales of 2 rows must have shape (2,), not (2, 1)"),
    (lambda m: {"scales": m.scales * np.float16("inf")}, "scales contain NaN or infinity"),
    (lambda m: {"scales": m.scales * 0 + np.float16(5e-5)}, "scales must be zero or at least 6.1"),
    (lambda m: {"scales": m.scales.astype(np.float32)}, "scales must be float16, not float32")])
def test_wrong_matrices(change: Callable[[TrellisMatrix], dict], message: str) -> None:
    good = random_matrix(TRELLIS4, 2, 5)
    fields = {"codes": good.codes, "starts": good.starts, "scales": good.scales} | change(good)
    with pytest.raises(ValueError, match=re.escape(message)):
        TrellisMatrix(TRELLIS4, **fields)


def test_a_row_of_too_many_blocks() -> None:
    with pytest.raises(ValueError, match=re.escape("a row of 8 weights has 2 blocks, not (3,)")):
        unpack(TRELLIS4, random_matrix(TRELLIS4, 1, 9).packed(), 8)


@pytest.mark.parametrize(("fields", "message"), [
    ({"c": 0}, "c must be an integer from 1 to 256, not 0"),
    ({"c": 5}, "a block of 20 bits does not hold the scale and the start of a row, 24 bits"),
    ({"bits": 9}, "bits must be an integer from 1 to 8, not 9"),
    ({"window": 6}, "window must be an integer from 7 to 16, not 6"),
    ({"window": 12.0}, "window must be an integer from 7 to 16, not 12.0"),
    ({"fields": ()}, "the number of fields must be an integer from 1 to 8, not 0"),
    ({"fields": ((3, 9),)}, "a field's width must be an integer from 1 to 8, not 9"),
    ({"fields": ((93, 4),)}, "a field's first bit must be an integer from 0 to 92, not 93")])
def test_wrong_formats(fields: dict, message: str) -> None:
    with pytest.raises(FormatError, match=f"trellis format: {message}"):
        TrellisFormat(**{"c": 8, "bits": 4, "window": 12, "fields": ((18, 4),)} | fields)

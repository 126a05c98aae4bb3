"""The trellis code against a reader of its own, written from docs/trellis.md alone, and against the page's vectors."""

import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from golden.spec import FormatError
from golden.tree import ROOT
from golden.trellis.matrix import TrellisMatrix, unpack
from golden.trellis.spec import TRELLIS4, TRELLIS_FORMATS, TrellisFormat
from golden.trellis.values import all_values, value

VECTORS = json.loads((ROOT / "docs" / "trellis-vectors.json").read_text())
ODD = TrellisFormat(bits=1, window=7, fields=((3, 8), (90, 6)))
FORMATS = [*TRELLIS_FORMATS.values(), ODD]


def read(row: bytes, columns: int, k: int, window: int, fields: list[list[int]], bias: int) -> tuple[list[int],
                                                                                                     list[float]]:
    """The integers and the weights of a row, bit by bit."""
    bits = [byte >> n & 1 for byte in row for n in range(8)]
    sign, exponent, fraction = bits[15], bits[10:15], bits[:10]
    field = sum(bit << n for n, bit in enumerate(exponent))
    significand = sum(bit << n for n, bit in enumerate(fraction)) + (1024 if field else 0)
    scale = (-1) ** sign * significand * 2.0 ** (max(field, 1) - 25)
    offset = sum(2**width - 1 for _, width in fields) // 2
    integers = []
    for i in range(columns):
        out = bits[16 + k * i:16 + k * i + window] + [0] * (16 - window)
        while len(out) < 96:
            out.append(out[-16] ^ out[-15] ^ out[-13] ^ out[-4])
        integers.append(sum(out[low + n] << n for low, width in fields for n in range(width)) - offset)
    return integers, [integer * scale * 2.0**bias for integer in integers]


def random_matrix(fmt: TrellisFormat, rows: int, cols: int, bias: int = 0) -> TrellisMatrix:
    rng = np.random.default_rng([fmt.bits, rows, cols])
    scales = rng.integers(0, 0x7C00, rows, np.uint16) | rng.integers(0, 2, rows, np.uint16) << 15
    return TrellisMatrix(fmt, rng.integers(0, 1 << fmt.bits, (rows, cols), np.uint8),
                         rng.integers(0, 1 << fmt.start_bits, rows, np.uint16), scales.view(np.float16), bias)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: f"{fmt.bits}-{fmt.window}")
@pytest.mark.parametrize(("rows", "cols"), [(3, 29), (2, 1), (1, 0)])
def test_rows_are_read_as_the_page_says(fmt: TrellisFormat, rows: int, cols: int) -> None:
    matrix = random_matrix(fmt, rows, cols, bias=-3)
    packed = matrix.packed()
    for row, integers, weights in zip(packed, matrix.integers().tolist(), matrix.weights().tolist(), strict=True):
        row_bytes = row.to_bytes(-(-fmt.row_bits(cols) // 8), "little")
        assert read(row_bytes, cols, fmt.bits, fmt.window, list(map(list, fmt.fields)), -3) == (integers, weights)
    back = unpack(fmt, packed, cols, -3)
    assert (back.fmt, back.shape, back.exponent_bias) == (fmt, (rows, cols), -3)
    for name in ("codes", "starts", "scales"):
        assert getattr(back, name).tobytes() == getattr(matrix, name).tobytes()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["format"])
def test_vectors(vector: dict) -> None:
    fmt, row, cols = TRELLIS_FORMATS[vector["format"]], bytes.fromhex(vector["row"]), vector["columns"]
    assert vector["fields"] == list(map(list, fmt.fields))
    wanted = vector["integers"], vector["weights"]
    matrix = unpack(fmt, [int.from_bytes(row, "little")], cols, vector["exponent_bias"])
    assert (matrix.integers()[0].tolist(), matrix.weights()[0].tolist()) == wanted
    assert read(row, cols, vector["bits"], vector["window"], vector["fields"], vector["exponent_bias"]) == wanted


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
    (lambda m: {"scales": m.scales[:, None]}, "scales of a 2 x 5 matrix must have shape (2,), not (2, 1)"),
    (lambda m: {"scales": m.scales * np.float16("inf")}, "scales contain NaN or infinity"),
    (lambda m: {"scales": m.scales.astype(np.float32)}, "scales must be float16, not float32")])
def test_wrong_matrices(change: Callable[[TrellisMatrix], dict], message: str) -> None:
    good = random_matrix(TRELLIS4, 2, 5)
    fields = {"codes": good.codes, "starts": good.starts, "scales": good.scales} | change(good)
    with pytest.raises(ValueError, match=re.escape(message)):
        TrellisMatrix(TRELLIS4, **fields)


def test_a_row_of_too_many_bits() -> None:
    row = random_matrix(TRELLIS4, 1, 5).packed()[0]
    with pytest.raises(ValueError, match="a row of 4 weights has 40 bits, not 44"):
        unpack(TRELLIS4, [row | 1 << 43], 4)


@pytest.mark.parametrize(("fields", "message"), [
    ({"bits": 9}, "bits must be an integer from 1 to 8, not 9"),
    ({"window": 6}, "window must be an integer from 7 to 16, not 6"),
    ({"window": 12.0}, "window must be an integer from 7 to 16, not 12.0"),
    ({"fields": ()}, "the number of fields must be an integer from 1 to 8, not 0"),
    ({"fields": ((3, 9),)}, "a field's width must be an integer from 1 to 8, not 9"),
    ({"fields": ((93, 4),)}, "a field's first bit must be an integer from 0 to 92, not 93")])
def test_wrong_formats(fields: dict, message: str) -> None:
    with pytest.raises(FormatError, match=f"trellis format: {message}"):
        TrellisFormat(**{"bits": 4, "window": 12, "fields": ((18, 4),)} | fields)

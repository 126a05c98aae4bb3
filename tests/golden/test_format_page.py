"""The formats against a reader of its own, written from docs/format.md alone, bit by bit, and against the page's
vectors."""

import json
from fractions import Fraction

import numpy as np
import pytest

from golden.block import CompressedMatrix, unpack
from golden.integers import GroupMatrix
from golden.layout import StreamLayout
from golden.product import restored
from golden.spec import FORMATS, FP16, TAPS, BlockFormat, GroupFormat, TrellisFormat, parse_format
from golden.tree import ROOT

VECTORS = json.loads((ROOT / "docs" / "format-vectors.json").read_text())
PAGE = (ROOT / "docs" / "format.md").read_text()


def cells(line: str) -> list[str]:
    return [cell.strip(" `") for cell in line.strip().strip("|").split("|")]


def table(name: str) -> list[int]:
    """The numbers of a format's row in the page's tables."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | "))
    return [int(cell) for cell in cells(row)[1:]]


def taps(k: int) -> list[int]:
    rows = [cells(line) for line in PAGE.splitlines() if line.count("|") == 9]
    found = dict(pair for row in rows for pair in zip(row[::2], row[1::2], strict=True))
    return [int(tap) for tap in found[str(k)].split(", ")]


def number(bits: list[int]) -> int:
    return sum(bit << n for n, bit in enumerate(bits))


def signed(bits: list[int]) -> int:
    return number(bits) - (bits[-1] << len(bits))


def half(bits: list[int]) -> Fraction:
    field, fraction = number(bits[10:15]), number(bits[:10])
    return (-1) ** bits[15] * (fraction + 1024 * (field > 0)) * Fraction(2) ** (max(field, 1) - 25)


def numerators(block: list[int], c: int, p: int, k: int, coef: int, above: int) -> list[int]:
    """The numerators of a block whose coefficients lie above so many bits."""
    b = block[:k]
    while len(b) < c * p + k + 1:
        b.append(sum(b[len(b) - k + tap] for tap in taps(k)) % 2)
    q = [signed(block[above + coef * i:above + coef * (i + 1)]) for i in range(p)]
    return [sum(q[i] * (number(b[p * w + i + 1:p * w + i + 1 + k]) - 2 ** (k - 1)) for i in range(p)) for w in range(c)]


def read_row(name: str, blocks: list[list[int]], columns: int, bias: int) -> list[Fraction]:
    """The weights of a row, exactly."""
    if name == "fp16":
        return [half(block) for block in blocks]
    if name.startswith("int"):
        c, width, _ = table(name)
        found: list[Fraction] = []
        groups = max(len(blocks) // 16, 1)
        for group in range(groups):
            own = blocks[16 * group:16 * (group + 1) if group + 1 < groups else None]
            scale = half([block[-1] for block in own[:16]])
            found += [signed(block[width * i:width * (i + 1)]) * scale for block in own for i in range(c)]
        return found[:columns]
    custom = [int(part) for part in name.split(",")] if "," in name else table(name)[:4]
    c, p, k, coef = [*custom, 4][:4]
    if name.endswith("r") or len(custom) == 5:
        return [n * half(blocks[0][:16]) * Fraction(2) ** bias
                for block in blocks[1:] for n in numerators(block, c, p, k, coef, k)][:columns]
    return [Fraction(n, 2 ** (k - 1) - 1) * Fraction(2) ** (signed(block[k:k + 4]) + bias)
            for block in blocks for n in numerators(block, c, p, k, coef, k + 4)][:columns]


def sizes(name: str, columns: int) -> tuple[int, int]:
    """Bits of a block, and blocks of a row."""
    if name == "fp16":
        return 16, columns
    if name.startswith("int"):
        c, _, width = table(name)
        return width, max(-(-columns // c), 16)
    if "," not in name:
        c, *_, width = table(name)
        return width, -(-columns // c) + name.endswith("r")
    c, p, k, coef, exponent = [int(part) for part in name.split(",")] + [4, 4][name.count(",") - 2:]
    return k + exponent + p * coef, -(-columns // c) + (exponent == 0)


def rows_of(vector: dict) -> list[list[list[int]]]:
    """The bits of each block of each row."""
    bits = [byte >> n & 1 for byte in bytes.fromhex(vector["stream"]) for n in range(8)]
    width, blocks = sizes(vector["format"], vector["columns"])
    lanes = 1
    while lanes * width < vector["bus_bits"]:
        lanes *= 2
    places = [[((row // lanes * blocks + block) * lanes + row % lanes) * width for block in range(blocks)]
              for row in range(vector["rows"])]
    groups = -(-vector["rows"] // lanes)
    assert len(bits) == -(-groups * blocks * lanes * width // vector["bus_bits"]) * vector["bus_bits"]
    return [[bits[at:at + width] for at in row] for row in places]


def with_golden(vector: dict) -> np.ndarray:
    """What golden makes of the same blocks."""
    fmt, cols, bias = parse_format(vector["format"]), vector["columns"], vector["exponent_bias"]
    words = np.array([[number(block) for block in row] for row in rows_of(vector)], dtype=object)
    assert not isinstance(fmt, TrellisFormat)
    assert words.shape[1] == StreamLayout(fmt, vector["bus_bits"]).blocks(cols)
    if isinstance(fmt, BlockFormat):
        scales = words[:, 0].astype(np.uint16).view(np.float16) if fmt.head_blocks else None
        blocks = unpack(fmt, words[:, fmt.head_blocks:])
        return restored(CompressedMatrix(fmt, (len(words), cols), *blocks, bias, scales))
    if isinstance(fmt, GroupFormat):
        codes = np.stack([(words >> fmt.bits * i) & ((1 << fmt.bits) - 1) for i in range(fmt.c)], axis=-1).astype(int)
        codes = np.where(codes > fmt.code_max, codes + 2 * fmt.code_min, codes).reshape(len(words), -1)[:, :cols]
        tops = (words >> fmt.bits * fmt.c).astype(int)
        scales = [[sum(row[16 * group + n] << n for n in range(16)) for group in range(fmt.groups(cols))]
                  for row in tops.tolist()]
        return restored(GroupMatrix(fmt, codes.astype(np.int8), np.array(scales, np.uint16).view(np.float16)))
    return restored(words.astype(np.uint16).view(np.float16))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["format"])
def test_vectors(vector: dict) -> None:
    name, cols, bias = vector["format"], vector["columns"], vector["exponent_bias"]
    read = [list(map(float, read_row(name, row, cols, bias))) for row in rows_of(vector)]
    assert read == vector["weights"] == with_golden(vector).tolist()


def test_the_page_has_every_format() -> None:
    assert {vector["format"] for vector in VECTORS} >= {
        name for name, fmt in FORMATS.items() if not isinstance(fmt, TrellisFormat)}
    for name, fmt in FORMATS.items():
        if isinstance(fmt, BlockFormat):
            assert table(name) == [fmt.c, fmt.p, fmt.k, fmt.coef_bits, fmt.block_bits]
        if isinstance(fmt, GroupFormat):
            assert table(name) == [fmt.c, fmt.bits, fmt.block_bits]
    assert sizes("fp16", 1)[0] == FP16.block_bits
    assert {k: tuple(taps(k)) for k in TAPS} == TAPS

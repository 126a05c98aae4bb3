"""What an engine has to do, derived from the text of its register map: which descriptors are legal, what is wrong with
the others, what a run reads and writes, and its results.

It shares golden's arithmetic and the map's constants with the hardware, and no algorithm. All sizes and addresses are
Python's integers, so nothing wraps.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from golden.activations import to_block_floating_point
from golden.float32 import scaled
from golden.product import factor
from hw.config import EngineConfig
from hw.registers.register_map import DESCRIPTOR_REGISTERS, identity
from sim.bench.rows import row_sum
from sim.bench.sparse_memory import SparseMemory

__all__ = ["DESCRIPTOR_BYTES", "MEMORY_WORDS", "Outcome", "descriptor", "expect", "factor_exponent", "sizes"]

MEMORY_WORDS = (*DESCRIPTOR_REGISTERS, "FORMAT", "RESERVED", "RESERVED_2")
"""Words of a descriptor in memory."""
DESCRIPTOR_BYTES = 4 * len(MEMORY_WORDS)
_LONGEST = 40
"""Matrices after which a chain is taken for endless; no test has one as long."""


@dataclass
class Outcome:
    """What becomes of a run.

    Parameters
    ----------
    causes : dict of str to set of int
        By which errors it may end, and the values that ERROR_ADDR may have with each; empty when it is exact.
    not_finite : int or None
        Address of the first activation that is not finite, in whose burst the run ends.
    results : list of (int, bytes, bytes)
        Of each matrix, the address of its results, the results, and 255 for each byte of them that is determined.
        Nothing is said of seeds that are 0, of weights and scales that are not finite, and of vectors without zeros
        behind them.
    reads, writes : list of (int, int)
        The regions of the run, (address, bytes), of which the reads are whole beats.
    endless : bool
        The descriptors form a circle.
    """

    causes: dict[str, set[int]] = field(default_factory=dict)
    not_finite: int | None = None
    results: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)
    endless: bool = False


def descriptor(words: Mapping[str, int]) -> bytes:
    """A descriptor as it lies in memory; words that are not given are 0."""
    return struct.pack(f"<{len(MEMORY_WORDS)}I", *(words.get(name, 0) for name in MEMORY_WORDS))


def sizes(config: EngineConfig, rows: int, blocks: int) -> tuple[int, int]:
    """Beats of activations and beats of weights that a matrix has."""
    weights = -(-rows // config.lanes) * blocks * config.word_bits
    return -(-16 * _elements(config, blocks) // config.bus_bits), -(-weights // config.bus_bits)


def _elements(config: EngineConfig, blocks: int) -> int:
    """Elements of the vector of a matrix of so many blocks: ``c`` for each block of a row but its head."""
    return (blocks - config.fmt.head_blocks) * config.c


def factor_exponent(config: EngineConfig) -> int:
    """FACTOR_EXPONENT of a matrix whose weights have no exponent bias."""
    return int(factor(config.fmt, 0, config.act_bits).view(np.uint32)) >> 23


def _address(words: Mapping[str, int], name: str) -> int:
    return words[name] | words[f"{name}_HI"] << 32


def _align(config: EngineConfig) -> int:
    """Of what a descriptor's address is a multiple, and the bytes that are read of it."""
    return max(DESCRIPTOR_BYTES, config.bus_bytes)


def _regions(config: EngineConfig, words: Mapping[str, int]) -> Iterator[tuple[str, int, int, int]]:
    """Name, address, bytes and alignment of the regions of a matrix; none for what it does not have."""
    width = config.bus_bytes
    for name, size in (("ACTIVATION", words["ACTIVATION_BEATS"] * width), ("WEIGHT", words["WEIGHT_BEATS"] * width),
                       ("RESULT", -(-4 * words["ROWS"] // width) * width)):
        yield name, _address(words, f"{name}_ADDR"), size, width
    following = _address(words, "NEXT")
    yield "NEXT", following, _align(config) if following else 0, _align(config)


def _wrong(config: EngineConfig, words: Mapping[str, int], blocks_before: int, place: int) -> dict[str, set[int]]:
    """What is wrong with a descriptor that lies at ``place``, or in the registers if that is 0: causes, and the values
    that ERROR_ADDR may have with each. ``blocks_before`` are the blocks of the vector that is there to share."""
    rows, blocks = words["ROWS"], words["BLOCKS"]
    if place and (words["FORMAT"] != identity(config) or words["RESERVED"] or words["RESERVED_2"]):
        return {"bad_descriptor": {place}}
    wrong: dict[str, set[int]] = {}
    if not (1 <= rows <= config.max_rows and 1 <= blocks <= config.max_blocks and
            blocks >= config.least_blocks and 1 <= words["FACTOR_EXPONENT"] <= 254):
        wrong["bad_size"] = {place}
    activations, weights = sizes(config, rows, blocks)
    if words["ACTIVATION_BEATS"] != activations if words["ACTIVATION_BEATS"] else blocks != blocks_before:
        wrong["bad_activations"] = {place}
    if words["WEIGHT_BEATS"] != weights:
        wrong["bad_weights"] = {place}
    bad = {address % (1 << config.addr_bits) for name, address, size, align in _regions(config, words)
           if _misplaced(config, address, size, align)}
    if bad:
        wrong["bad_address"] = bad
    return wrong


def _misplaced(config: EngineConfig, address: int, size: int, align: int) -> bool:
    """Whether a region that a matrix has does not lie where it may."""
    return size > 0 and (address % align > 0 or address + size > 1 << config.addr_bits)


def expect(config: EngineConfig, words: Mapping[str, int], memory: SparseMemory) -> Outcome:
    """What becomes of a run whose first descriptor is ``words``, over this content of memory."""
    outcome, place, blocks, vector = Outcome(), 0, 0, b""
    for _ in range(_LONGEST):
        outcome.causes = _wrong(config, words, blocks, place)
        found = {name: (address, size) for name, address, size, align in _regions(config, words)
                 if size and not _misplaced(config, address, size, align)}
        if not {"bad_descriptor", "bad_size", "bad_activations"} & outcome.causes.keys():
            # A region that is right may be read before another one, or the number of its beats, is found to be wrong.
            outcome.reads += [found[name] for name in ("ACTIVATION", "NEXT", "WEIGHT")
                              if name in found and not (name == "WEIGHT" and "bad_weights" in outcome.causes)]
        if outcome.causes:
            return outcome
        outcome.writes.append((found["RESULT"][0], 4 * words["ROWS"]))
        blocks = words["BLOCKS"]
        if "ACTIVATION" in found:
            vector = memory.read(*found["ACTIVATION"])
            finite = np.isfinite(np.frombuffer(vector, "<f2"))
            if not finite.all():
                outcome.not_finite = found["ACTIVATION"][0] + 2 * int(np.argmin(finite))
                return outcome
        outcome.results.append((found["RESULT"][0], *_results(
            config, words["ROWS"], blocks, words["FACTOR_EXPONENT"], memory.read(*found["WEIGHT"]), vector)))
        if "NEXT" not in found:
            return outcome
        place = found["NEXT"][0]
        words = dict(zip(MEMORY_WORDS, struct.unpack(f"<{len(MEMORY_WORDS)}I", memory.read(place, DESCRIPTOR_BYTES)),
                         strict=True))
    outcome.endless = True
    return outcome


@cache
def _results(config: EngineConfig, rows: int, blocks: int, exponent: int, image: bytes,
             vector: bytes) -> tuple[bytes, bytes]:
    """Results of a matrix, and which bytes of them are determined, as in :class:`Outcome`."""
    count = _elements(config, blocks)
    if any(vector[2 * min(count, config.max_cols):]):
        return bytes(4 * rows), bytes(4 * rows)
    vector, stored = vector[:2 * count], _stored(config, rows, blocks, image)
    scale = factor(config.fmt, 0, config.act_bits).view(np.uint32) & 0x7FFFFF | exponent << 23
    x: np.ndarray = np.frombuffer(vector, "<f2")
    elements, shared = to_block_floating_point(x, config.act_bits) if config.fmt.block_floating else (x, 0)
    results, determined = [], []
    for row in stored:
        found = row_sum(config, row, elements)
        determined.append(b"\0\0\0\0" if found is None else b"\xFF\xFF\xFF\xFF")
        results.append(bytes(4) if found is None else
                       scaled(found[0], np.uint32(scale).view(np.float32), shared, found[1]).astype("<f4").tobytes())
    return b"".join(results), b"".join(determined)


def _stored(config: EngineConfig, rows: int, blocks: int, image: bytes) -> np.ndarray:
    """The blocks of a weight image as integers, (rows, blocks)."""
    stream, bits, found = int.from_bytes(image, "little"), config.block_bits, np.empty((rows, blocks), dtype=object)
    for row in range(rows):
        for block in range(blocks):
            word = row // config.lanes * blocks + block
            found[row, block] = stream >> (word * config.lanes + row % config.lanes) * bits & (1 << bits) - 1
    return found

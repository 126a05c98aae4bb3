"""Where the operands and results of a chain of matrices lie in the device's memory, and the chain's descriptors."""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.config import EngineConfig
from hw.engine.registers import identity

__all__ = ["Loaded", "Operand", "Placed", "activation_bytes", "image_bytes", "memory_needed", "place"]

_PAGE = 4096
"""Everything starts on its own: bursts do not cross pages."""


@dataclass(frozen=True)
class Operand:
    """What is needed to place a product: shape, size of its images in bytes (0 activations: those of the product
    before), and the biased exponent of its factor."""

    rows: int
    cols: int
    activation_bytes: int
    image_bytes: int
    factor_exponent: int


@dataclass(frozen=True)
class Placed:
    """A product in memory: its shape, where things are, and its descriptor's words."""

    rows: int
    cols: int
    descriptor_addr: int
    words: dict[str, int]
    image_bytes: int

    def regions(self, bus_bytes: int) -> Iterator[tuple[str, int, int]]:
        """Name, address and bytes of all that the engine reads and writes for it."""
        yield "activations", self.words["ACTIVATION_ADDR"], self.words["ACTIVATION_BEATS"] * bus_bytes
        yield "weights", self.words["WEIGHT_ADDR"], self.words["WEIGHT_BEATS"] * bus_bytes
        yield "results", self.words["RESULT_ADDR"], 4 * self.rows
        yield "the descriptor", self.descriptor_addr, _PAGE if self.descriptor_addr else 0


@dataclass(frozen=True)
class Loaded:
    """Products in the device's memory, in the order in which the engine computes them; a single one is a chain too."""

    matrices: tuple[Placed, ...]

    @property
    def beats(self) -> int:
        """Beats of activations and weights."""
        return sum(placed.words["ACTIVATION_BEATS"] + placed.words["WEIGHT_BEATS"] for placed in self.matrices)


def _aligned(address: int) -> int:
    return -(-address // _PAGE) * _PAGE


def activation_bytes(config: EngineConfig, cols: int) -> int:
    """Bytes of the image of a vector, whole beats."""
    return -(-2 * config.blocks(cols) * config.c // config.bus_bytes) * config.bus_bytes


def image_bytes(config: EngineConfig, shape: tuple[int, int]) -> int:
    """Bytes of the image of a matrix, whole beats."""
    rows, cols = shape
    words = -(-rows // config.lanes) * config.blocks(cols)
    return -(-words * config.word_bits // config.bus_bits) * config.bus_bytes


def memory_needed(config: EngineConfig, shapes: list[tuple[int, int]]) -> int:
    """Bytes that a chain of matrices of these shapes needs at most."""
    return sum(_PAGE + sum(map(_aligned, (activation_bytes(config, cols), image_bytes(config, (rows, cols)), 4 * rows)))
               for rows, cols in shapes)


def place(config: EngineConfig, operands: list[Operand]) -> tuple[Loaded, int]:
    """Addresses for a chain of products from address 0 on, and how many bytes it takes.

    The first product's descriptor is the registers themselves; the others' take a page each.
    """
    placed: list[Placed] = []
    end = 0

    def take(size: int) -> int:
        nonlocal end
        start, end = end, end + _aligned(size)
        return start

    activation_addr = 0
    for operand in operands:
        if operand.activation_bytes:
            activation_addr = take(operand.activation_bytes)
        words = {
            "NEXT": 0,
            "FORMAT": identity(config),
            "ACTIVATION_ADDR": activation_addr,
            "WEIGHT_ADDR": take(operand.image_bytes),
            "RESULT_ADDR": take(4 * operand.rows),
            "ROWS": operand.rows,
            "BLOCKS": config.blocks(operand.cols),
            "ACTIVATION_BEATS": operand.activation_bytes // config.bus_bytes,
            "WEIGHT_BEATS": operand.image_bytes // config.bus_bytes,
            "FACTOR_EXPONENT": operand.factor_exponent,
        }
        descriptor_addr = take(_PAGE) if placed else 0
        if placed:
            placed[-1].words["NEXT"] = descriptor_addr
        placed.append(Placed(operand.rows, operand.cols, descriptor_addr, words, operand.image_bytes))
    return Loaded(tuple(placed)), end

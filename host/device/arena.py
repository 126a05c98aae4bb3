"""Where the operands and results of a chain of matrices lie in the device's memory, and the chain's descriptors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from host.errors import UserError
from host.packing.image import activation_bytes, image_bytes
from hw.config import EngineConfig
from hw.registers.register_map import identity

__all__ = ["Loaded", "Operand", "Placed", "check_room", "memory_needed", "place"]

_PAGE = 4096
"""Every region starts on a page of its own, because bursts of AXI do not cross pages (the 4 KB rule)."""
_WORD = 1 << 32
"""What a register or a word of a descriptor can hold, and one more."""


@dataclass(frozen=True)
class Operand:
    """What is needed to place one product in memory.

    Parameters
    ----------
    rows, cols : int
        Shape of its matrix.
    activation_bytes : int
        Size of the image of its vector, or 0 when it shares the vector of the product before.
    image_bytes : int
        Size of the image of its matrix.
    factor_exponent : int
        Biased exponent of the float32 that its row sums are multiplied by.
    """

    rows: int
    cols: int
    activation_bytes: int
    image_bytes: int
    factor_exponent: int


@dataclass(frozen=True)
class Placed:
    """A product in memory.

    ``words`` are the words of its descriptor by name, 32 bits each, among them the two halves of the addresses of its
    operands and results. ``descriptor_addr`` is the address of the descriptor itself, or 0 for the first product of a
    chain, whose descriptor is the registers. ``image_bytes`` is the size of the image of its matrix.
    """

    rows: int
    cols: int
    descriptor_addr: int
    words: dict[str, int]
    image_bytes: int

    def address(self, name: str) -> int:
        """Return an address of 64 bits from its two words, ``name`` and ``name_HI``."""
        return self.words[name] + _WORD * self.words[f"{name}_HI"]

    def regions(self, bus_bytes: int) -> Iterator[tuple[str, int, int]]:
        """Yield name, address and size in bytes of all that the engine reads and writes for this product."""
        yield "activations", self.address("ACTIVATION_ADDR"), self.words["ACTIVATION_BEATS"] * bus_bytes
        yield "weights", self.address("WEIGHT_ADDR"), self.words["WEIGHT_BEATS"] * bus_bytes
        yield "results", self.address("RESULT_ADDR"), 4 * self.rows
        yield "the descriptor", self.descriptor_addr, _PAGE if self.descriptor_addr else 0


@dataclass(frozen=True)
class Loaded:
    """A chain of products in the device's memory, in the order in which the engine computes them.

    A single product is a chain of one.
    """

    matrices: tuple[Placed, ...]

    @property
    def beats(self) -> int:
        """Beats of activations and weights that the engine reads for the whole chain."""
        return sum(placed.words["ACTIVATION_BEATS"] + placed.words["WEIGHT_BEATS"] for placed in self.matrices)


def _aligned(address: int) -> int:
    """Return the address rounded up to the start of a page."""
    return -(-address // _PAGE) * _PAGE


def _address_words(name: str, address: int) -> dict[str, int]:
    """Return the two words of an address by name: its lower half, and its upper one."""
    return {name: address % _WORD, f"{name}_HI": address // _WORD}


def memory_needed(config: EngineConfig, shapes: list[tuple[int, int]]) -> int:
    """Return the bytes of memory that a chain of matrices of these shapes, (rows, columns), needs at most."""
    return sum(_PAGE + sum(map(_aligned, (activation_bytes(config, cols), image_bytes(config, (rows, cols)), 4 * rows)))
               for rows, cols in shapes)


def place(config: EngineConfig, operands: Sequence[Operand], base: int = 0) -> tuple[Loaded, int]:
    """Place a chain of products in memory; return it and the bytes that it takes from ``base`` on.

    The first region begins at ``base``, or at the next page where that is not the start of one. The descriptor of the
    first product is the registers themselves. The descriptors of the others take a page each.
    """
    placed: list[Placed] = []
    end = _aligned(base)

    def allocate(size: int) -> int:
        """Return the address of the next free region of this size."""
        nonlocal end
        start, end = end, end + _aligned(size)
        return start

    activation_addr = 0
    for operand in operands:
        if operand.activation_bytes:
            activation_addr = allocate(operand.activation_bytes)
        words = {
            **_address_words("NEXT", 0),
            **_address_words("ACTIVATION_ADDR", activation_addr),
            **_address_words("WEIGHT_ADDR", allocate(operand.image_bytes)),
            **_address_words("RESULT_ADDR", allocate(4 * operand.rows)),
            "ROWS": operand.rows,
            "BLOCKS": config.blocks(operand.cols),
            "ACTIVATION_BEATS": operand.activation_bytes // config.bus_bytes,
            "WEIGHT_BEATS": operand.image_bytes // config.bus_bytes,
            "FACTOR_EXPONENT": operand.factor_exponent,
            "FORMAT": identity(config),
        }
        descriptor_addr = allocate(_PAGE) if placed else 0
        if placed:
            placed[-1].words.update(_address_words("NEXT", descriptor_addr))
        placed.append(Placed(operand.rows, operand.cols, descriptor_addr, words, operand.image_bytes))
    return Loaded(tuple(placed)), end - base


def check_room(config: EngineConfig, loaded: Loaded, size: int, base: int, memory_bytes: int) -> None:
    """Refuse a chain that does not fit memory of ``memory_bytes`` from ``base`` on, where it takes ``size`` bytes, or
    that would lie beyond the engine's addresses.

    Raises
    ------
    UserError
    """
    matrices = loaded.matrices
    what = f"a matrix of {matrices[0].rows} x {matrices[0].cols}"
    if len(matrices) > 1:
        what = f"a chain of {len(matrices)} matrices"
    if size > memory_bytes:
        raise UserError(f"{what} needs {size} bytes of memory; the device has {memory_bytes}")
    if base + size > 1 << config.addr_bits:
        raise UserError(f"{what} would lie at {base:#x} to {base + size - 1:#x}, beyond the {config.addr_bits}-bit "
                        "addresses of the engine: use an engine with more of them, or load less at once")

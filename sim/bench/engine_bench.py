"""What the testbenches of the whole engine share: chains of matrices in memory, runs of them, and what is checked."""

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from cocotb.triggers import RisingEdge, with_timeout

from hw.config import EngineConfig
from hw.registers.cycle_classes import CYCLE_CLASSES
from hw.registers.register_map import ABORT, DESCRIPTOR_REGISTERS, ERRORS, START, Status, identity
from sim.bench.engine_model import DESCRIPTOR_BYTES, Outcome, descriptor, expect, factor_exponent, sizes
from sim.bench.hostile_memory import Behaviour, HostileMemory
from sim.bench.register_pins import RegisterPins
from sim.bench.rows import random_half, random_row
from sim.bench.sparse_memory import SparseMemory
from sim.bench.streams import PERIOD_NS, cycles, start
from sim.tools.run import arguments

__all__ = ["LIMIT", "WATCHDOG", "Chain", "EngineBench", "open_bench", "sample", "shapes"]

WATCHDOG = 600
"""Silent cycles after which runs end here; none of these chains computes for so long without a transfer."""
LIMIT = 20_000
"""Cycles within which every run ends."""
_PAGE = 4096

T = TypeVar("T")


def _image(config: EngineConfig, rows: int, blocks: int) -> bytes:
    """A random weight image."""
    groups, lanes = -(-rows // config.lanes), config.lanes
    matrix = [random_row(config, blocks) for _ in range(groups * lanes)]
    stream, place = 0, 0
    for group in range(groups):
        for block in range(blocks):
            for row in matrix[group * lanes:(group + 1) * lanes]:
                stream |= row[block] << place
                place += config.block_bits
    return stream.to_bytes(sizes(config, rows, blocks)[1] * config.bus_bytes, "little")


def shapes(config: EngineConfig) -> list[tuple[int, int, bool]]:
    """Rows, blocks, and whether the vector is that of the matrix before, of a short chain that has everything: groups
    of rows, an incomplete last one, a shared vector, a whole burst of results, and results that are no whole beats."""
    together, lanes = config.fmt.group_blocks, config.lanes
    few = together if together > 1 else config.fmt.head_blocks + max(2, 8 // config.c)
    # A last group of blocks that share a scale has more of them than the others.
    more = few + together // 2
    burst = config.write_beats * config.bus_bytes // 4
    return [(max(lanes, burst) + 3, few, False), (3, few, True), (2 * lanes + 1, more, False)]


def sample(things: Sequence[T], share: float) -> Sequence[T]:
    """Every n-th of ``things``, about a ``share`` of them and at least one; all from a share of 1 on."""
    step = min(max(1, round(1 / share)), len(things))
    return things[random.randrange(step)::step]


class Chain:
    """A chain of random matrices in a memory of its own.

    Parameters
    ----------
    config : EngineConfig
    wanted : sequence of (rows, blocks, shared)
        The matrices, as :func:`shapes` returns them.
    base : int
        Address from which on it lies.
    beside : Chain or None
        A chain that lies in the same memory.

    Attributes
    ----------
    memory : SparseMemory
        Everything but the first descriptor.
    descriptors : list of dict
        Words of the descriptors by name.
    places : list of int
        Where the descriptors lie in memory, 0 for the first.
    end : int
        Address behind the last region.
    """

    def __init__(self, config: EngineConfig, wanted: Sequence[tuple[int, int, bool]], base: int,
                 beside: "Chain | None" = None) -> None:
        self.memory: SparseMemory = SparseMemory(beside.memory if beside else None)
        self._config, self.end = config, base
        self.descriptors: list[dict[str, int]] = []
        self.places: list[int] = []
        vector = 0
        for rows, blocks, shared in wanted:
            activations, weights = sizes(config, rows, blocks)
            if not shared:
                halves = [random_half() for _ in range((blocks - config.fmt.head_blocks) * config.c)]
                vector = self._place(b"".join(half.to_bytes(2, "little") for half in halves).ljust(
                    activations * config.bus_bytes, b"\0"))
            words = {"ROWS": rows, "BLOCKS": blocks, "ACTIVATION_BEATS": 0 if shared else activations,
                     "WEIGHT_BEATS": weights, "FACTOR_EXPONENT": factor_exponent(config), "FORMAT": identity(config)}
            addresses = {"ACTIVATION_ADDR": vector, "WEIGHT_ADDR": self._place(_image(config, rows, blocks)),
                         "RESULT_ADDR": self._place(b"", 4 * rows), "NEXT": 0}
            for name, address in addresses.items():
                words |= _halves(name, address)
            self.places.append(self._place(b"", DESCRIPTOR_BYTES, DESCRIPTOR_BYTES) if self.places else 0)
            if self.descriptors:
                self.descriptors[-1] |= _halves("NEXT", self.places[-1])
            self.descriptors.append(words)
        for place, words in zip(self.places[1:], self.descriptors[1:], strict=True):
            self.memory.write(place, descriptor(words))

    def _place(self, content: bytes, size: int = 0, align: int = 1) -> int:
        """Give ``content``, or ``size`` bytes, the next place, up to two beats behind the last one."""
        width = self._config.bus_bytes
        align = max(align, width)
        place = -(-(self.end + random.randrange(3) * width) // align) * align
        self.memory.write(place, content)
        self.end = place + max(len(content), size)
        return place

    def expect(self) -> Outcome:
        """What becomes of a run."""
        return expect(self._config, self.descriptors[0], self.memory)


def _halves(name: str, address: int) -> dict[str, int]:
    """The two words of an address."""
    return {name: address & 0xFFFFFFFF, f"{name}_HI": address >> 32}


class EngineBench:
    """The engine with its memory and the master of its registers.

    Parameters
    ----------
    dut : handle
        :class:`~hw.engine.pins.EnginePins`.
    config : EngineConfig
    base : int
        Least address of the memory that tests use, a multiple of 4096.
    """

    def __init__(self, dut: Any, config: EngineConfig, base: int = 0) -> None:
        self.dut, self.config, self.base = dut, config, base
        self.memory, self.registers = HostileMemory(dut, config), RegisterPins(dut)
        self.outcome = Outcome()
        # Cycles within which an aborted run ends while memory is silent, and while it never stops answering.
        self.ends, self.ends_at_last = 2 * config.latency + 30, 32 * config.latency + 200

    def chain(self, wanted: Sequence[tuple[int, int, bool]] | None = None, beside: Chain | None = None) -> Chain:
        """A chain of these matrices, or of :func:`shapes`, whose regions cross a page; behind another one, if it is to
        lie in the memory of that."""
        end = beside.end if beside else self.base
        return Chain(self.config, wanted or shapes(self.config),
                     end // _PAGE * _PAGE + 2 * _PAGE - 16 * self.config.bus_bytes, beside)

    async def reset(self, length: int, survives: bool = False) -> None:
        """Reset for ``length`` cycles; the memory goes on if it ``survives``."""
        self.memory.survives = survives
        self.dut.rst.value = 1
        await cycles(self.dut, length)
        self.dut.rst.value = 0

    def load(self, memory: SparseMemory, outcome: Outcome) -> None:
        """Fill the memory for a run of which ``outcome`` is expected."""
        self.outcome = outcome
        self.memory.load(memory, outcome.reads, outcome.writes)

    async def begin_run(self, chain: Chain, behaviour: Behaviour | None = None, watchdog: int = WATCHDOG) -> None:
        """Start a run of ``chain``, on a memory that behaves like this, or keeps to AXI and is fast."""
        self.memory.behaviour = behaviour or Behaviour()
        self.load(chain.memory, chain.expect())
        await self.launch(chain.descriptors[0], watchdog)

    async def launch(self, words: dict[str, int], watchdog: int = WATCHDOG) -> None:
        """Start a run as software does, with the descriptor ``words``; registers that it leaves out keep their values.
        """
        for name in DESCRIPTOR_REGISTERS:
            if name in words:
                await self.registers.write(name, words[name])
        for name, value in (("WATCHDOG", watchdog), ("IRQ_PENDING", 1), ("IRQ_ENABLE", 1), ("CONTROL", START)):
            await self.registers.write(name, value)

    async def abort(self) -> None:
        """Abort the run. What is newly offered must not write, once the abort is through the engine's registers."""
        await self.registers.write("CONTROL", ABORT)
        await cycles(self.dut, 2)
        self.memory.end_writes()

    async def status(self) -> Any:
        """The STATUS register."""
        return Status.from_bits(await self.registers.read("STATUS"))

    async def ended(self, limit: int = LIMIT) -> set[str]:
        """Wait for the end of the run, acknowledge it, and return the errors that STATUS reports."""
        if not self.dut.irq.value:
            await with_timeout(RisingEdge(self.dut.irq), limit * PERIOD_NS, "ns")
        await self.registers.write("IRQ_PENDING", 1)
        await RisingEdge(self.dut.clk)
        assert not self.dut.irq.value, "the interrupt was acknowledged"
        status = await self.status()
        assert (status.busy, status.done) == (0, 1)
        errors = {name for name in ERRORS if status[name]}
        if errors:
            self.memory.end_writes()
        return errors

    async def error_addr(self) -> int:
        """What the first error is about."""
        return await self.registers.read("ERROR_ADDR") | await self.registers.read("ERROR_ADDR_HI") << 32

    def expected(self) -> SparseMemory:
        """The memory after an exact run; bytes of results that are not determined are as they were written."""
        memory = SparseMemory(self.memory.content)
        for address, content, determined in self.outcome.results:
            found = self.memory.written.read(address, len(content))
            memory.write(address, bytes(wanted if known else is_ for wanted, known, is_ in
                                        zip(content, determined, found, strict=True)))
        return memory

    def check_no_harm(self) -> None:
        """Check that nothing was written but results, each of which is exact or not there."""
        changed = self.memory.written.differences(self.memory.content)
        wrong = [place for place in changed if not self._may_hold(place, self.memory.written.read(place, 1)[0])]
        assert not wrong, self._describe(wrong)

    def _may_hold(self, place: int, value: int) -> bool:
        """Whether a matrix of the run has a result that puts this byte there."""
        return any(not determined[place - address] or content[place - address] == value
                   for address, content, determined in self.outcome.results if 0 <= place - address < len(content))

    def _describe(self, wrong: list[int]) -> str:
        """What is wrong with the first of these bytes."""
        place = wrong[0] // 4 * 4
        found, wanted = (memory.read(place, 4)[::-1].hex() for memory in (self.memory.written, self.expected()))
        regions = [f"{address:#x} + {size}" for address, size in self.outcome.writes]
        return f"{found} instead of {wanted} at {place:#x}; results belong at {', '.join(regions)}"

    async def check_ended_exact(self) -> None:
        """Check that the run that has just been launched ends without an error, and that it was exact."""
        errors = await self.ended()
        assert errors == set(), f"{errors} at {await self.error_addr():#x}"
        wrong = self.memory.written.differences(self.expected())
        assert not wrong, self._describe(wrong)
        assert await self.error_addr() == 0
        assert not (await self.status()).settling, "all answers of an exact run have come"
        found = {name: await self.registers.read(name.upper()) for name in ("cycles", *CYCLE_CLASSES, "write_beats")}
        assert sum(found[name] for name in CYCLE_CLASSES) == found["cycles"]
        width = self.config.bus_bytes
        assert found["beats"] == sum(size // width for _, size in self.outcome.reads)
        assert found["write_beats"] == sum(-(-size // width) for _, size in self.outcome.writes)

    async def check_exact(self, chain: Chain) -> None:
        """Check that a run of ``chain`` on a memory that keeps to AXI is exact."""
        await self.begin_run(chain)
        await self.check_ended_exact()

    async def check_fails(self, causes: dict[str, set[int]]) -> None:
        """Check that the run that has just been launched ends by at least one of ``causes`` and no others, that
        ERROR_ADDR has one of the values that go with it, and that nothing wrong was written."""
        errors = await self.ended()
        assert errors, f"the run ended without an error; expected one of {causes}"
        assert errors <= causes.keys(), f"{errors}, expected some of {causes}"
        # Sizes that are out of range do not fit any others.
        assert "bad_size" in errors or "bad_size" not in causes, f"{errors}, expected {causes}"
        found = await self.error_addr()
        assert any(found in causes[error] for error in errors), f"{errors} at {found:#x}, expected {causes}"
        self.check_no_harm()

    async def duration(self, chain: Chain) -> int:
        """Cycles from the start to the end of a run of ``chain``, which is checked."""
        await self.begin_run(chain)
        begun = self.memory.cycle
        await RisingEdge(self.dut.irq)
        ended = self.memory.cycle
        await self.check_ended_exact()
        return ended - begun

    async def drained(self) -> None:
        """Wait until memory owes nothing."""
        for _ in range(LIMIT):
            if not self.memory.owes:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError("the engine does not take what memory offers")

    def burst_of(self, place: int) -> set[int]:
        """Addresses of the read bursts of which the byte at ``place`` was a part."""
        return {address for address, size in self.memory.reads if address <= place < address + size}

    async def check_outcome(self) -> None:
        """Check that the run that has just been launched becomes what is expected of it."""
        outcome = self.outcome
        if outcome.endless:
            await cycles(self.dut, random.randrange(400, 800))
            await self.abort()
            assert await self.ended() == {"aborted"}
            self.check_no_harm()
        elif outcome.causes:
            await self.check_fails(outcome.causes)
        elif outcome.not_finite is not None:
            errors = await self.ended()
            assert errors == {"not_finite"}
            assert await self.error_addr() in self.burst_of(outcome.not_finite)
            self.check_no_harm()
        else:
            await self.check_ended_exact()


async def open_bench(dut: Any) -> tuple[EngineBench, Chain]:
    """The bench whose configuration and base are the first arguments of the testbench, behind a reset; and a chain."""
    config, base, *_ = arguments()
    bench = EngineBench(dut, config, base)
    bench.memory.start()
    await start(dut)
    return bench, bench.chain()

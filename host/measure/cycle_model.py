"""Cycle model: what a chain of matrices takes, from the rules of the engine and of the memory, without their signals.

The model goes from event to event: bursts that are requested, words that the memory accesses, beats, words at the join,
groups of rows, results, write bursts. It knows the latencies that the engine's stages publish, the room in its queues,
and the timings of the memory preset; no number of the engine's or the memory's timing is fitted to a simulation. Where
nothing can hold up a burst, all its beats are one event, so that a layer of billions of cycles' worth of signals takes
seconds. Where in the interval between two refreshes a run begins depends on how long the simulated driver takes between
runs; these cycles were found by measuring its accesses to registers.

- :mod:`host.measure.request_timing`: the bursts that the engine requests, one matrix after another.
- :mod:`host.measure.memory_timing`: when the memory accesses their words, between refreshes and rows.
- :mod:`host.measure.engine_timing`: when the engine accepts them, and when the results come.
- :mod:`host.measure.write_timing`: the bursts in which the results are written.

This module is what lies between them: the memory's front end, which serves reads and writes in turn
(:mod:`sim.dram.memory`).

Some times are needed before the events that they depend on: when a matrix' results are accepted depends on when those
of the matrix before it are sent, and thus on when all reads have ended. A run is therefore gone through again, with
what it has found, until all is as it was foreseen (:class:`~host.measure.write_timing.Foreseen`).

The model is meant to be right to the cycle. :func:`tolerance` says how far it may be off.

A run takes other times when it begins at other places in the interval between two refreshes. Counters are the mean of
as many runs as a measurement makes (:data:`PHASES`), one after another on the same memory.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass, replace

from host.device.arena import Loaded, Operand, place
from host.device.driver import Counters, mean
from host.measure.engine_timing import EngineTiming
from host.measure.memory_timing import NEVER, MemoryTiming, Segment
from host.measure.request_timing import ReadBurst
from host.measure.write_timing import Foreseen, WriteBurst
from host.packing.image import activation_bytes, image_bytes
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_beats
from hw.dma.result_packer import RESULT_BYTES
from hw.engine.sequencer import END_LATENCY
from hw.registers.cycle_classes import CYCLE_CLASSES
from hw.registers.register_map import COUNTERS, DESCRIPTOR_REGISTERS
from sim.dram.dram import Dram
from sim.dram.memory import RESPONSE_LATENCY, read_room
from sim.dram.presets import PRESETS, VARIANTS

__all__ = ["COMPARED", "CYCLES", "PHASES", "TOLERANCE", "Step", "chain_operands", "predict", "predict_runs",
           "tolerance"]

COMPARED = ("ddr4-2400", "ddr4-3200", "ddr3-1600", "lpddr4-2400", "lpddr5-6400", "hbm2", "sdram-133", "ideal", "paper",
            "lpddr4-2400-perbank", "lpddr5-6400-allbank", "lpddr5-6400-hidden", "hbm2-perbank")
"""Memory presets on which the model was compared with RTL."""
TOLERANCE, CYCLES = 1e-3, 3
"""Share of its cycles, and number of cycles, by which a run may differ from RTL: the greater of the two holds."""
_EXTRAPOLATED, _EXTRAPOLATED_UNITS = 1e-3, 3e-3
"""Share by which an extrapolated run may differ from one that is gone through as a whole; where single banks are
refreshed, what they cost depends on where in the banks each of the two shorter runs happens to be."""
PHASES = 16
"""How often a short run is repeated, each time from another point of the memory's refresh interval, for a mean of its
cycles. A run is short below this many intervals: it would be luck whether a refresh falls into it."""
_WRITE, _READ, _INTERRUPT = 3, 4, 4
"""Cycles that the simulated driver takes for a register that it writes, for one that it reads, and from the end of a
run until it has noticed the interrupt, as measured on the simulated driver."""
_BEFORE = _WRITE * (len(DESCRIPTOR_REGISTERS) + 2)
"""Cycles from a point of the refresh interval to the first cycle of a run: the driver writes a descriptor and the two
registers of interrupts."""
_AFTER = _INTERRUPT + _WRITE + _READ * (2 + len(COUNTERS))
"""Cycles from the end of a run until the driver has done with it: it acknowledges the interrupt, and reads the status
twice and the counters."""
_MOST_BEATS = 4_000_000
"""Beats of the longest run that is gone through as a whole, in about a second."""
_TRIES = 8
"""How often a run is gone through at most, to find when the last results of a matrix are sent."""
_RESET = 2
"""The time at the end of the simulated reset, as the simulators count it."""


@dataclass(frozen=True)
class Step:
    """A product of a chain: rows and columns of its matrix, and whether it has the vector of the product before."""

    rows: int
    cols: int
    shares: bool = False


def chain_operands(config: EngineConfig, steps: Sequence[Step]) -> Loaded:
    """Where a chain lies in memory, as the driver places it."""
    return place(config, [Operand(step.rows, step.cols, 0 if step.shares else activation_bytes(config, step.cols),
                                  image_bytes(config, (step.rows, step.cols)), 1) for step in steps])[0]


class _Run:
    """A run of a chain: the memory's front end, between the bursts of the engine and the segments of the memory.

    Parameters
    ----------
    config : EngineConfig
    memory : MemoryTiming
    chain : Loaded
    start : int
        The first cycle of the run, after all others on this memory.
    foreseen : Foreseen
    """

    def __init__(self, config: EngineConfig, memory: MemoryTiming, chain: Loaded, start: int, foreseen: Foreseen
                 ) -> None:
        self._config, self._memory, self._start = config, memory, start
        self._engine = EngineTiming(config, chain, start, foreseen)
        self._requests, self._writes = self._engine.requests, self._engine.writes
        self._room = read_room(memory.dram, config.bus_bits)
        self._last, self._wrote = start - 1, False  # when the front end passed the last segment on; it was written
        self._reserved = 0  # words of all read bursts that were started
        self._refresh = 0
        memory.follow = self._start_bursts

    def counters(self) -> Counters:
        """The counters at the end of the run."""
        memory, engine, end = self._memory, self._engine, self._start
        while memory.queue or self._start_burst(NEVER):
            segment, times = memory.access()
            if times and isinstance(segment.burst, WriteBurst):
                end = memory.now
                if segment.last and segment.done == segment.count:
                    segment.burst.written = end
            elif times and isinstance(segment.burst, ReadBurst):
                offered = memory.columns.offered(times)
                self._refresh += memory.resting(engine.received + 1, offered[0])
                engine.receive(segment.burst, offered)
            self._start_bursts(memory.now)
        cycles = end + RESPONSE_LATENCY + END_LATENCY + 1 - self._start
        parts = {"refresh": self._refresh, "stalled": engine.stalled, "beats": engine.beats,
                 "drain": self._start + cycles - 1 - engine.received}
        size = self._config.bus_bytes
        return Counters(cycles, **parts, starved=cycles - sum(parts.values()), bytes_read=engine.beats * size,
                        bytes_written=self._writes.beats * size)

    @property
    def surprise(self) -> Foreseen | None:
        """After :meth:`counters`: what should have been foreseen, or None if the run went as was foreseen."""
        return self._writes.found if self._writes.mistaken else None

    def _start_bursts(self, until: int) -> None:
        """Start all bursts that the memory starts up to the cycle ``until``, up to which all is known."""
        while self._start_burst(until):
            pass

    def _start_burst(self, until: int) -> bool:
        """Start the next burst if the memory does so up to the cycle ``until``; return whether it does."""
        room = self._memory.room_at
        if room is None:
            return False
        least = max(room, self._last + 1)
        read = max(least, self._read_ready())
        write = max(least, self._write_ready(min(until, read)))
        cycle = min(read, write)
        if cycle > until or cycle >= NEVER:
            return False
        if write == cycle and not (read == cycle and self._wrote):
            self._cut(self._writes.bursts.popleft(), cycle)
        else:
            burst = self._requests.peek()
            assert burst
            self._requests.pop()
            self._reserved += burst.beats
            self._cut(burst, cycle)
        return True

    def _read_ready(self) -> int:
        """The cycle from which a read burst can be started: there is one, and room for all its words."""
        burst = self._requests.peek()
        if burst is None:
            return NEVER
        returned = self._engine.receipt(self._reserved + burst.beats - self._room - 1)
        return NEVER if returned is None else max(burst.requested, returned) + 1

    def _write_ready(self, until: int) -> int:
        """The cycle from which a write burst can be started, if the engine sends it up to the cycle ``until``."""
        self._writes.advance(until)
        return self._writes.bursts[0].complete if self._writes.bursts else NEVER

    def _cut(self, burst: ReadBurst | WriteBurst, cycle: int) -> None:
        """Pass the segments of a burst on from ``cycle`` on."""
        memory, writes = self._memory, isinstance(burst, WriteBurst)
        word, left = burst.addr // self._config.bus_bytes, burst.beats
        while left:
            count = min(left, memory.segment_words - word % memory.segment_words)
            self._last = max(cycle, self._last + 1, memory.room_at or 0)
            memory.accept(Segment(word, count, writes, burst, count == left), self._last)
            word, left = word + count, left - count
        self._wrote = writes


def _settled(config: EngineConfig, memory: MemoryTiming, chain: Loaded, start: int) -> tuple[Counters, MemoryTiming]:
    """The counters of a run, and the memory after it. The run is repeated until it goes as was foreseen."""
    foreseen: Foreseen | None = Foreseen()
    for _ in range(_TRIES):
        assert foreseen is not None
        after = deepcopy(memory)
        run = _Run(config, after, chain, start, foreseen)
        counters = run.counters()
        foreseen = run.surprise
        if foreseen is None:
            break
    after.release()
    return counters, after


def predict_runs(config: EngineConfig, dram: Dram, steps: Sequence[Step], phases: Sequence[float]) -> list[Counters]:
    """What the engine's counters are after runs through a chain of products from reset, one after another.

    ``phases`` are the points of the refresh interval, 0 to 1, to which a driver aligns each run.
    """
    memory, chain, now, interval = MemoryTiming(dram, config.bus_bits), chain_operands(config, steps), _RESET, max(
        dram.refresh_interval, 1)
    found = []
    for phase in phases:
        start = now + (int(phase * interval) - now) % interval + _BEFORE
        counters, memory = _settled(config, memory, chain, start)
        found.append(counters)
        now = start + found[-1].cycles + _AFTER
    return found


def _beats(config: EngineConfig, steps: Sequence[Step]) -> int:
    """Beats that a chain reads, descriptors among them."""
    return chain_operands(config, steps).beats + (len(steps) - 1) * descriptor_beats(config)


def tolerance(config: EngineConfig, dram: Dram, steps: Sequence[Step]) -> float:
    """The share by which the cycles of :func:`predict` may differ from RTL's.

    It is :data:`TOLERANCE` for runs that are gone through as a whole (or :data:`CYCLES`, in runs that are so short that
    these are more), and what extrapolation may add to it for longer ones. On memories other than those
    :data:`COMPARED` it is 1: nothing is known.
    """
    if dram not in [(PRESETS | VARIANTS)[name] for name in COMPARED]:
        return 1.0
    if _beats(config, steps) <= _MOST_BEATS:
        return TOLERANCE
    return _EXTRAPOLATED_UNITS if dram.t_refi_bank else _EXTRAPOLATED


def predict(config: EngineConfig, dram: Dram, steps: Sequence[Step]) -> Counters:
    """What the engine's counters are after a run through a chain of products.

    They are rounded means of :data:`PHASES` runs if the run is shorter than as many refresh intervals, and extrapolated
    if it has more than some million beats.
    """
    beats = _beats(config, steps)
    if beats > _MOST_BEATS:
        return _extrapolated(config, dram, steps, beats)
    first = predict_runs(config, dram, steps, [0])
    if first[0].cycles >= PHASES * dram.refresh_interval:
        return first[0]
    return _balanced(mean(predict_runs(config, dram, steps, [phase / PHASES for phase in range(PHASES)])))


def _balanced(counters: Counters) -> Counters:
    """The same counters, rounded so that the classes of cycles add up."""
    rounding = counters.cycles - sum(getattr(counters, name) for name in CYCLE_CLASSES)
    return replace(counters, starved=counters.starved + rounding)


def _extrapolated(config: EngineConfig, dram: Dram, steps: Sequence[Step], beats: int) -> Counters:
    """Counters of a long run from those of two shorter ones, whose matrices have fewer rows. All counters grow with the
    groups of rows; beats and bytes are those of the whole run."""
    def part(divisor: int) -> Counters:
        shorter = [replace(step, rows=-(-step.rows * _MOST_BEATS // (divisor * beats * config.lanes)) * config.lanes)
                   for step in steps]
        return predict_runs(config, dram, shorter, [0])[0]

    few, more = part(4), part(2)
    scale = (beats - more.beats) / (more.beats - few.beats)
    found = Counters(*(max(round(high + scale * (high - low)), 0)
                       for low, high in zip(astuple(few), astuple(more), strict=True)))
    size = config.bus_bytes
    written = sum(-(-step.rows * RESULT_BYTES // size) for step in steps)
    return _balanced(replace(found, beats=beats, bytes_read=beats * size, bytes_written=written * size))

"""Cycle model: what a chain of matrices takes, from the latencies that the engine's stages publish and the memory's
timing alone. No number in it is fitted to a simulation.

The time of a run is that of its beats, one after another, and what comes on top:

- The **start**: the first request (:mod:`hw.engine.latency`), and the memory's answer to it. Regions of a few beats end
  before the request for the next has been answered.
- The memory's **rests**: a beat may take more than a cycle; a write burst between reads takes its words and two turns
  of the data pins, or, where it meets the bank that is being read, closes and opens rows; a refresh closes all rows.
- The engine's **stalls**: weights wait for the first word of a new vector, and for the lanes where rows are so short
  that the sums of one group cannot leave before those of the next come.
- The **drain** after the last beat: the way of the last sums to memory, or what else is waiting to be written.

While the engine stalls memory reads ahead, which shortens its next rests: of rests and stalls the longer ones count.

Where a run begins in the interval between refreshes is not known: cycles are the average over all places.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from host.device.arena import Loaded, Operand, Placed, place
from host.device.driver import Counters
from host.measure.memory_timing import MemoryTiming
from host.packing.image import activation_bytes, image_bytes
from hw.config import EngineConfig
from hw.dma.burst_cutter import BURST_INTERVAL
from hw.dma.descriptor import descriptor_beats, descriptor_latency
from hw.dma.read import REQUEST_LATENCY, read_latency
from hw.dma.result_packer import RESULT_BYTES
from hw.engine.latency import (
    FIRST_REQUEST,
    group_interval,
    vector_latency,
    weights_latency,
    weights_room,
    write_latency,
)
from hw.engine.sequencer import END_LATENCY
from sim.dram.dram import Dram
from sim.dram.memory import RESPONSE_LATENCY, WRITE_LATENCY

__all__ = ["Step", "chain_operands", "predict"]


@dataclass(frozen=True)
class Step:
    """A product of a chain: rows and columns of its matrix, and whether it has the vector of the product before."""

    rows: int
    cols: int
    shares: bool = False


@dataclass(frozen=True)
class _Region:
    """A region in the order in which the bus brings them: its first beat's place in the stream, and where it lies."""

    start: int
    addr: int
    beats: int


def chain_operands(config: EngineConfig, steps: Sequence[Step]) -> Loaded:
    """Where a chain lies in memory, as the driver places it."""
    return place(config, [Operand(step.rows, step.cols, 0 if step.shares else activation_bytes(config, step.cols),
                                  image_bytes(config, (step.rows, step.cols)), 1) for step in steps])[0]


def _with_following(chain: Loaded) -> Iterator[tuple[Placed, Placed | None]]:
    """Each product and the next, whose descriptor is read between the vector and the weights of the first."""
    return zip(chain.matrices, [*chain.matrices[1:], None], strict=True)


def _group_beats(config: EngineConfig, placed: Placed) -> float:
    """Beats of the weights of one group of rows."""
    return config.blocks(placed.cols) * config.word_bits / config.bus_bits


class _Stream:
    """The beats that a chain reads, region by region.

    Attributes
    ----------
    beats : int
    weights : list of int
        The first beat of the weights of each matrix.
    """

    def __init__(self, config: EngineConfig, chain: Loaded) -> None:
        self._config = config
        self._regions: list[_Region] = []
        self.beats, self.weights = 0, list[int]()
        for placed, following in _with_following(chain):
            self._append(placed.address("ACTIVATION_ADDR"), placed.words["ACTIVATION_BEATS"])
            if following:
                self._append(following.descriptor_addr, descriptor_beats(config))
            self.weights.append(self.beats)
            self._append(placed.address("WEIGHT_ADDR"), placed.words["WEIGHT_BEATS"])
        self._starts = [region.start for region in self._regions]

    def _append(self, addr: int, beats: int) -> None:
        if beats:
            self._regions.append(_Region(self.beats, addr, beats))
            self.beats += beats

    def _region(self, beat: float) -> _Region:
        return self._regions[bisect_right(self._starts, beat) - 1]

    def address(self, beat: float) -> int:
        """Byte address of a beat."""
        region = self._region(beat)
        return region.addr + int(beat - region.start) * self._config.bus_bytes

    def next_read(self, beat: float, room: int) -> float:
        """The first beat that has not been requested, or not passed on by a memory with ``room`` for so many, by the
        time of another; all ``beats`` if there is none."""
        region, size = self._region(beat), self._config.burst_beats
        offset = beat - region.start
        bursts = min(offset // size + self._config.outstanding, (offset + room) // size)
        return min(region.start + min(bursts * size, region.beats), self.beats)

    @property
    def last_burst(self) -> int:
        """Beats of the last burst."""
        return (self._regions[-1].beats - 1) % self._config.burst_beats + 1


class _Walk:
    """A walk along the regions of a chain at a beat a cycle: where beats come late, and where the engine stalls them.

    Attributes
    ----------
    gaps : float
        Cycles in which no beat comes because its region was requested too late: behind regions of a few beats.
    stalls : float
        Cycles in which beats wait: for the first word of a new vector, and for the sums of the rows before.
    paces : list of float
        Cycles of a beat of the weights of each matrix.
    way : float
        Cycles from the last beat to the last word at the join.
    """

    def __init__(self, config: EngineConfig, memory: MemoryTiming, chain: Loaded) -> None:
        self._config, self._memory = config, memory
        self._requested: float = FIRST_REQUEST
        self._now = self._requested + memory.first_beat
        # When the first word of the vector and the last word of weights are at the join.
        self._vector, self._joined = 0.0, float("-inf")
        self.gaps, self.stalls, self.paces, self.way = 0.0, 0.0, list[float](), 0.0
        for placed, following in _with_following(chain):
            if self._read(placed.words["ACTIVATION_BEATS"]):
                self._vector = self._now - 1 + vector_latency(config)
            registers = 0.0
            if following:
                self._read(descriptor_beats(config))
                registers = self._now - 1 + read_latency(config) + descriptor_latency(config)
            self._multiply(placed)
            # A descriptor in the registers is checked, and its first region requested, as when a run starts.
            self._requested = max(self._requested, registers + FIRST_REQUEST)

    def _read(self, beats: int) -> int:
        """Let the beats of a region come, and request the next region; the number of beats."""
        late = max(self._requested + self._memory.first_beat - self._now, 0) if beats else 0
        self.gaps += late
        self._now += late + beats
        bursts = -(-beats // self._config.burst_beats)
        self._requested += REQUEST_LATENCY + BURST_INTERVAL * (bursts - 1)
        return beats

    def _multiply(self, placed: Placed) -> None:
        """Let the weights of a matrix come.

        The last word of a group waits at the join for the sums of the group before. Beats wait behind it, but not
        behind the last words of a matrix, which find room on their way: the beats that follow are for others.
        """
        config, interval = self._config, group_interval(self._config)
        beats = self._read(placed.words["WEIGHT_BEATS"])
        begin = self._now - beats - 1 + weights_latency(config)  # its n-th beat completes a word at ``begin + n``
        groups, words = -(-placed.rows // config.lanes), config.blocks(placed.cols)
        group = _group_beats(config, placed)
        first = begin + ceil(config.word_bits / config.bus_bits)
        late = max(self._vector - first, self._joined + 1 - first, 0)
        held = max(self._joined + interval - begin - ceil(group) - late, 0)  # of the first group; of each other:
        again = max(interval - group, 0)
        # Only those holds count for the beats that end before the last words.
        waited = (groups * words - weights_room(config)) // words
        stalls = late + (held + (waited - 1) * again if waited > 0 else 0)
        self._joined = begin + beats + late + held + (groups - 1) * again
        self.stalls += stalls
        self.paces.append(max(self._memory.beat, 1 + stalls / beats))
        self._now += stalls
        self.way = self._joined - (self._now - 1)


def _bursts(config: EngineConfig, rows: int) -> list[tuple[int, int]]:
    """(rows whose results are in it or before, beats) of every write burst of a matrix."""
    slots = config.bus_bytes // RESULT_BYTES
    size = config.write_beats * slots
    return [(min(done + size, rows), -(-min(size, rows - done) // slots)) for done in range(0, rows, size)]


class _Writes:
    """The write bursts of a chain: each comes when its last row's group has been read, behind the reads that are under
    way by then.

    Attributes
    ----------
    turned : float
        Cycles that those between reads take from them.
    beats : int
        Beats of all.
    """

    def __init__(self, config: EngineConfig, memory: MemoryTiming, chain: Loaded, stream: _Stream,
                 walk: _Walk) -> None:
        self._config, self._memory, self._stream = config, memory, stream
        self._way, self._last_way = (way + write_latency(config) for way in (weights_latency(config), walk.way))
        self._last, self._first, self._pace = chain.matrices[-1], stream.weights[-1], walk.paces[-1]
        self.turned, self.beats, self._behind, self._gathered = 0.0, 0, 0, 0  # of the last two: behind all reads
        for placed, first, pace in zip(chain.matrices, stream.weights, walk.paces, strict=True):
            addr = placed.address("RESULT_ADDR")
            for rows, count in _bursts(config, placed.rows):
                complete = self._time(placed, first, rows, pace) + (count + WRITE_LATENCY) / pace
                after = stream.next_read(complete, memory.room) if complete < stream.beats else stream.beats
                if after < stream.beats:
                    self.turned += count * memory.beat + memory.turns(stream.address(after - 1), addr,
                                                                      stream.address(after))
                else:
                    self._behind += count
                self.beats += count
                self._gathered = count
                addr += count * config.bus_bytes

    def _time(self, placed: Placed, first: int, rows: int, pace: float) -> float:
        """When so many results of a matrix are on the bus at the earliest: the beat that comes then."""
        group = _group_beats(self._config, placed)
        last_group, row = divmod(rows - 1, self._config.lanes)
        return first + ceil((last_group + 1) * group) - 1 + (self._way + row) / pace

    def drain(self, ahead: float) -> float:
        """Cycles of a run after its last beat, with so many beats that the memory had read ahead.

        The last sums are on their way to memory; what else is to be written waits for the reads; and what was gathered
        when only the last burst was left to read crosses the bus from then on.
        """
        memory, last_burst = self._memory, self._stream.last_burst
        flushed = self._flushed(self._stream.beats - 1 - last_burst)
        open_row = 0 if flushed else memory.open_row
        accesses = [
            self._last_way + (self._last.rows - 1) % self._config.lanes + WRITE_LATENCY + open_row,
            memory.last_read_to_write - ahead + (self._behind - 1) * memory.beat,
        ]
        if flushed:
            accesses.append(1 + flushed - last_burst * self._pace + WRITE_LATENCY + (self._gathered - 1) * memory.beat)
        return max(accesses) + RESPONSE_LATENCY + END_LATENCY

    def _flushed(self, beat: int) -> int:
        """Beats of the last write burst whose results have been gathered two cycles after a beat."""
        slots, size = self._config.bus_bytes // RESULT_BYTES, self._gathered
        before = -(-self._last.rows // slots) - size
        done = range(1, size + 1)
        return bisect_right(done, beat + 2 / self._pace, key=lambda count: self._time(
            self._last, self._first, min((before + count) * slots, self._last.rows), self._pace))


def _longer(rests: float, stalls: float, refresh: float, refreshes: float) -> float:
    """What rests and stalls take together. Of ``refreshes``, each of so many cycles, there may be less than one: as
    many runs in a hundred have one."""
    if refreshes >= 1:
        return max(rests + refreshes * refresh, stalls)
    return refreshes * max(rests + refresh, stalls) + (1 - refreshes) * max(rests, stalls)


def predict(config: EngineConfig, dram: Dram, steps: Sequence[Step]) -> Counters:
    """What the engine's counters are after a run through a chain of products; rounded averages."""
    memory, chain = MemoryTiming(config, dram), chain_operands(config, steps)
    stream, walk = _Stream(config, chain), _Walk(config, memory, chain)
    writes = _Writes(config, memory, chain, stream, walk)
    start = FIRST_REQUEST + memory.first_beat + walk.gaps
    rests = stream.beats * (memory.beat - 1) + writes.turned
    drain = writes.drain(max(walk.stalls - rests, 0))
    stream_time = stream.beats + max(rests, walk.stalls)
    refresh, interval = memory.rest
    # Refreshes count while memory is being accessed, and one under way at the first access counts with what is left.
    refreshes = (stream_time + refresh / 2) / (interval - refresh) if interval else 0
    refreshing = _longer(rests, walk.stalls, refresh, refreshes) - max(rests, walk.stalls)
    drain *= interval / (interval - refresh) if interval else 1
    parts = {"starved": round(start + stream_time) - stream.beats - round(walk.stalls), "refresh": round(refreshing),
             "stalled": round(walk.stalls), "drain": round(drain), "beats": stream.beats}
    return Counters(sum(parts.values()), **parts, bytes_read=stream.beats * config.bus_bytes,
                    bytes_written=writes.beats * config.bus_bytes)

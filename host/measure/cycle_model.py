"""Cycle model: what a chain of matrices takes, from the engine's configuration and the memory's timing alone.

A stream that waits for memory takes a beat's time for every beat that crosses the bus, read or written. On top come

- the start: from the start register to the first beat, a row of the memory being opened;
- every write burst between reads: the data pins turn round twice; where the results lie in the bank that is being
  read, its row is closed and opened again, twice, in place of that. Which of the two it is follows from addresses;
- refreshes: close all rows, refresh, open the rows again, once in an interval;
- the drain, after the last beat.

While the engine takes in its first activations, memory works ahead: what it has in store shortens its next rest, so
that this costs nothing.

Where a run begins in the interval between refreshes is not known: cycles are the average over all places.

``tests/host/measure/test_cycle_model.py`` holds it to 0.1 % of RTL. Rows so short that sums cannot leave the lanes in
time (a lane's latency and as many words as there are lanes) hold memory up, which is told only roughly."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from amaranth.utils import ceil_log2, exact_log2

from golden.spec import BlockFormat, GroupFormat, HalfFormat
from host.device.arena import Loaded, Operand, place
from host.device.driver import Counters
from host.packing.image import activation_bytes, image_bytes
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_beats
from hw.lanes.mac import mac_latency
from hw.lanes.numerators import numerators_latency
from hw.parts.axi import BURST_BEATS, BURST_BYTES
from hw.results.normalise import normalise_latency
from sim.dram.memory import QUEUE_LATENCY, SPARE_BURSTS
from sim.dram.presets import Dram

__all__ = ["Step", "chain_operands", "predict"]

_START = 4
"""Cycles from the start strobe to the first read request on the bus: sequencer and read DMA."""
_REST = 10
"""Cycles that the last sum takes on its way to memory, but for the stages that :func:`_depth` adds up: drain, scale,
write DMA, the memory itself. Fitted to RTL."""
_ANSWER = 6
"""Those of them that come after the last data of a write burst: the memory's."""
_LANE = {BlockFormat: 4, GroupFormat: 30, HalfFormat: 5}
"""Latency of a lane, by type of the format, but for that of its products: see the lanes in :mod:`hw.lanes`."""
_RESULT_BYTES = 4
_STALL = 8
"""Cycles in which weights wait for the activations before them, by which time memory has worked ahead."""


@dataclass(frozen=True)
class Step:
    """A product of a chain: rows and columns of its matrix, and whether it has the vector of the product before."""

    rows: int
    cols: int
    shares: bool = False


@dataclass(frozen=True)
class _Region:
    """A region in the order in which the bus brings them: its first beat's place in the stream, and where it lies."""

    start: float
    addr: int
    beats: int


def _lane(config: EngineConfig) -> int:
    """Cycles from the last word of a row to its sum."""
    products = mac_latency(config) if config.fmt.block_floating else 0
    if isinstance(config.fmt, BlockFormat):
        products += numerators_latency(config)
    return _LANE[type(config.fmt)] + products


def _depth(config: EngineConfig) -> int:
    """Cycles from the last beat until the first row of the last group is written to memory."""
    digits = ceil_log2(config.bus_bits // gcd(config.bus_bits, config.word_bits))
    unpacker = 0 if config.bus_bits == config.word_bits else -(-max(digits, 1) // 2)
    return unpacker + _lane(config) + normalise_latency(config) + _REST


class _Memory:
    """What a stream of beats meets in the memory, in fabric cycles. See :mod:`sim.dram.columns` and
    :mod:`sim.dram.rows`, whose rules these are, for a stream that goes through the bank groups in turn."""

    def __init__(self, config: EngineConfig, dram: Dram) -> None:
        self._config, self._dram = config, dram
        bits, groups = config.bus_bits, 1 if dram.columns_lowest else dram.groups
        last_burst = dram.word_ck(bits) - dram.t_bl
        other, same = (last_burst + max(dram.t_bl, ccd) for ccd in (dram.t_ccd_s, dram.t_ccd_l))
        step = max(other, -(-same // groups)) if groups > 1 else same if dram.groups > 1 else other
        self._step = max(step, dram.ratio)
        self._ahead = (groups - 1) * self._step  # CK by which the other groups' words are older than the last
        self._slow_rows = (groups - 1) * max(0, dram.t_rrd_s - self._step)  # CK until rows of all groups are open
        self._row_bits = exact_log2(dram.row_words(bits) * groups)
        self.beat = self._step / dram.ratio
        # Mean wait for a bank under a refresh of its own: all but writes come to banks that are not.
        busy = dram.t_rfc_bank + dram.t_rp
        self._refreshed = busy**2 / (2 * dram.t_refi_bank * dram.banks) if dram.t_refi_bank else 0

    def _cycles(self, ck: float) -> float:
        return ck / self._dram.ratio

    @property
    def first_beat(self) -> float:
        """From a request on the bus to its first beat."""
        return QUEUE_LATENCY + self._cycles(self._dram.t_rcd) + self._dram.read_latency(self._config.bus_bits)

    @property
    def rest(self) -> tuple[float, float]:
        """Length of a refresh in a stream of reads, and the interval between two."""
        dram = self._dram
        if not dram.t_refi or dram.t_refi_bank:
            return 0, 0
        close = 0 if not dram.banks else max(dram.t_rtp + dram.word_ck(self._config.bus_bits) - dram.t_bl - self._step,
                                             0)
        return self._cycles(close + dram.refresh_gap + self._slow_rows), dram.refresh_interval

    @property
    def _to_write(self) -> int:
        """CK from a read's command to a write's."""
        dram = self._dram
        return dram.t_cl + dram.word_ck(self._config.bus_bits) + dram.t_turn - dram.t_cwl

    @property
    def to_write(self) -> float:
        """Rest of the data pins between a read and a write."""
        return self._cycles(self._to_write - self._step) if self._dram.banks else 0

    def _row(self, addr: int) -> tuple[int, int]:
        """Bank, in whatever group, and row of an address."""
        above = addr // self._config.bus_bytes >> self._row_bits
        return above % self._dram.banks, above // self._dram.banks

    def turns(self, before: int, write: int, after: int) -> float:
        """What a write burst costs on top of its words, between reads; of each its address."""
        dram = self._dram
        if not dram.banks:
            return 0
        word = dram.word_ck(self._config.bus_bits)
        written = dram.t_cwl + word
        rows = dram.t_rp + dram.t_rcd + self._slow_rows
        to_write = self._to_write
        to_read = max(written + dram.t_wtr_s, written + dram.t_wtr_l - self._ahead)
        if self._conflict(before, write):
            to_write = max(to_write, max(word - dram.t_bl + dram.t_rtp - self._ahead, dram.ratio) + rows)
        if self._conflict(write, after):
            to_read = max(to_read, max(written + dram.t_wr - self._ahead, dram.ratio) + rows)
        return self._cycles(max(to_write - self._step, 0) + max(to_read - self._step, 0) + self._refreshed)

    def _conflict(self, *addresses: int) -> bool:
        """Whether two addresses lie in different rows of a bank."""
        (bank, row), (other_bank, other_row) = map(self._row, addresses)
        return bank == other_bank and row != other_row


def chain_operands(config: EngineConfig, steps: Sequence[Step]) -> Loaded:
    """Where a chain lies in memory, as the driver places it."""
    return place(config, [Operand(step.rows, step.cols, 0 if step.shares else activation_bytes(config, step.cols),
                                  image_bytes(config, (step.rows, step.cols)), 1) for step in steps])[0]


def _bursts(config: EngineConfig, rows: int) -> list[tuple[int, int]]:
    """(rows whose results are in it or before, beats) of every write burst of a matrix."""
    slots = config.bus_bytes // _RESULT_BYTES
    size = config.write_beats * slots
    return [(min(done + size, rows), -(-min(size, rows - done) // slots)) for done in range(0, rows, size)]


def predict(config: EngineConfig, dram: Dram, steps: Sequence[Step]) -> Counters:
    """What the engine's counters are after a run through a chain of products; rounded averages."""
    memory, chain = _Memory(config, dram), chain_operands(config, steps)
    regions, weights, beats = [], [], 0
    for number, placed in enumerate(chain.matrices):
        descriptor = chain.matrices[number + 1].descriptor_addr if number + 1 < len(chain.matrices) else None
        for name, addr, count in (("", placed.words["ACTIVATION_ADDR"], placed.words["ACTIVATION_BEATS"]),
                                  ("", descriptor or 0, 0 if descriptor is None else descriptor_beats(config)),
                                  ("weights", placed.words["WEIGHT_ADDR"], placed.words["WEIGHT_BEATS"])):
            if name:
                weights.append(beats)
            if count:
                regions.append(_Region(beats, addr, count))
            beats += count

    # Write bursts: each comes when its last row's group has been read, behind the reads that are under way by then.
    starts = [region.start for region in regions]
    room = dram.read_latency(config.bus_bits) + SPARE_BURSTS * min(BURST_BEATS, BURST_BYTES // config.bus_bytes)

    def address(beat: float) -> int:
        region = regions[bisect_right(starts, beat) - 1]
        return region.addr + int(beat - region.start) * config.bus_bytes

    def next_read(beat: float) -> float:
        """The first beat that has not been asked for, or not passed on, by the time of another; ``beats`` if none."""
        region = regions[bisect_right(starts, beat) - 1]
        size, offset = config.burst_beats, beat - region.start
        bursts = min(offset // size + config.outstanding, (offset + room) // size)
        return min(region.start + min(bursts * size, region.beats), beats)

    depth, written, behind, turned, held = _depth(config), 0, 0, 0.0, 0.0  # `behind` all reads, and of the `written`
    for placed, first in zip(chain.matrices, weights, strict=True):
        group = config.blocks(placed.cols) * config.word_bits / config.bus_bits
        # The last word of a group waits until the sums before it have left the lanes.
        held += -(-placed.rows // config.lanes) * max(_lane(config) + config.lanes - group * memory.beat, 0)
        addr = placed.words["RESULT_ADDR"]
        for rows, count in _bursts(config, placed.rows):
            last_group, row = divmod(rows - 1, config.lanes)
            ready = first + (last_group + 1) * group + (depth - _ANSWER + row + count) / memory.beat
            written += count
            after = next_read(ready) if ready < beats else beats
            if after < beats:
                turned += count * memory.beat + memory.turns(address(after - 1), addr, address(after))
            else:
                behind += count
            addr += count * config.bus_bytes

    streaming = beats * memory.beat + turned + held + _START + memory.first_beat
    # What was gathered crosses the bus beside the last read burst, and reaches memory behind it; the last beat follows.
    last_read = (regions[-1].beats - 1) % config.burst_beats + 1
    drain = max(depth + (chain.matrices[-1].rows - 1) % config.lanes + memory.beat,
                memory.to_write + max(count - last_read, 0) + behind * memory.beat + _ANSWER)
    rest, interval = memory.rest
    refresh = (streaming + drain) * rest / (interval - rest) if interval else 0
    starved = max(streaming - beats - _STALL - held, 0)
    parts = {"starved": round(starved), "refresh": round(refresh), "stalled": round(streaming - beats - starved),
             "drain": round(drain), "beats": beats}
    return Counters(sum(parts.values()), **parts, bytes_read=beats * config.bus_bytes,
                    bytes_written=written * config.bus_bytes)

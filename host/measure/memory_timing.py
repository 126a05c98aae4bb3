"""What a stream of beats meets in a memory: the rules of :mod:`sim.dram` in closed form, from a preset's numbers."""

from amaranth.utils import exact_log2

from hw.config import EngineConfig
from hw.parts.axi import BURST_BEATS, BURST_BYTES
from sim.dram.dram import Dram
from sim.dram.memory import QUEUE_LATENCY, SPARE_BURSTS

__all__ = ["MemoryTiming"]


class MemoryTiming:
    """What a stream of beats meets in the memory, in fabric cycles. See :mod:`sim.dram.columns` and
    :mod:`sim.dram.rows`, whose rules these are, for a stream that goes through the bank groups in turn."""

    def __init__(self, config: EngineConfig, dram: Dram) -> None:
        self._config, self._dram = config, dram
        bits, groups = config.bus_bits, 1 if dram.columns_lowest else dram.groups
        self._step = dram.stream_step(bits)
        self._ahead = (groups - 1) * self._step  # CK by which the other groups' words are older than the last
        self._slow_rows = (groups - 1) * max(0, dram.t_rrd_s - self._step)  # CK until rows of all groups are open
        self._row_bits = exact_log2(dram.row_words(bits) * groups)
        self.beat = self._step / dram.ratio / dram.bank_refresh_share(bits)
        """Cycles that a beat takes in a stream of reads or of writes, refreshes of single banks included."""
        # Mean wait of a write for a bank under a refresh of its own.
        busy = dram.t_rfc_bank + dram.t_rp
        self._refreshed = busy**2 / (2 * dram.t_refi_bank * dram.banks) if dram.t_refi_bank else 0

    def _cycles(self, ck: float) -> float:
        return ck / self._dram.ratio

    @property
    def first_beat(self) -> float:
        """From a request on the bus to its first beat."""
        return QUEUE_LATENCY + self.open_row + self._dram.read_latency(self._config.bus_bits)

    @property
    def open_row(self) -> float:
        """From the command that opens a row to the first access."""
        return self._cycles(self._dram.t_rcd)

    @property
    def rest(self) -> tuple[float, float]:
        """Length of a refresh in a stream of reads, and the interval between two."""
        dram = self._dram
        if not dram.t_refi or dram.t_refi_bank:
            return 0, 0
        return self._cycles(dram.refresh_rest(self._config.bus_bits)), dram.refresh_interval

    @property
    def _to_write(self) -> int:
        """CK from a read's command to a write's."""
        dram = self._dram
        return dram.t_cl + dram.word_ck(self._config.bus_bits) + dram.t_turn - dram.t_cwl

    @property
    def last_read_to_write(self) -> float:
        """From the last beat read on the bus to the first access of a write that waits for it; negative, as beats take
        their time from the memory to the bus."""
        to_write = self._cycles(self._to_write) if self._dram.banks else self.beat
        return to_write - self._dram.read_latency(self._config.bus_bits)

    @property
    def room(self) -> int:
        """Beats that memory can have read ahead of the bus."""
        return self._dram.read_latency(self._config.bus_bits) + SPARE_BURSTS * min(
            BURST_BEATS, BURST_BYTES // self._config.bus_bytes)

    def _row(self, addr: int) -> tuple[int, int]:
        """Bank, in whatever group, and row of an address."""
        above, banks = addr // self._config.bus_bytes >> self._row_bits, self._dram.banks * self._dram.ranks
        return above % banks, above // banks

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

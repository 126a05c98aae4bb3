"""The timing of the write DMA: from results to bursts, by the rules of :mod:`hw.dma.write`."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from host.device.arena import Placed
from hw.config import EngineConfig
from hw.dma.result_packer import RESULT_BYTES
from hw.dma.write import PENDING
from hw.dma.write import WRITE_LATENCY as BURST_LATENCY
from hw.parts.axi import BURST_BYTES

__all__ = ["WriteBurst", "WriteTiming"]


@dataclass
class WriteBurst:
    """A write burst: its byte address, its beats, the cycle from which memory can start it, and, once it is written,
    that of its last access."""

    addr: int
    beats: int
    complete: int
    written: int | None = None


class WriteTiming:
    """Results become write bursts.

    Parameters
    ----------
    config : EngineConfig
    flush : callable
        Returns the cycle from which bursts are sent without waiting for more data, None while it is not known.

    Attributes
    ----------
    accepted : list of int
        The cycle in which the address of each matrix' results was accepted.
    bursts : deque of WriteBurst
        Bursts that memory has not started.
    beats : int
        Beats of all bursts.
    """

    def __init__(self, config: EngineConfig, flush: Callable[[], int | None]) -> None:
        self._config, self._flush = config, flush
        self._slots = config.bus_bytes // RESULT_BYTES
        self.accepted = list[int]()
        self.bursts: deque[WriteBurst] = deque()
        self.beats = 0
        self._pending: deque[WriteBurst] = deque(maxlen=PENDING)
        self._bases: deque[tuple[int, Placed]] = deque()
        self._free = 0  # the next cycle in which the sender can start a burst or a matrix
        self._ready: deque[int] = deque()  # from when on each beat of the queue is there
        self._active, self._addr, self._rows, self._taken = False, 0, 0, 0

    def begin(self, placed: Placed, cycle: int) -> None:
        """The address of a matrix' results is in the queue from ``cycle`` on."""
        self._bases.append((cycle, placed))

    @property
    def enabled(self) -> int:
        """The cycle from which results of the next matrix are accepted."""
        self.advance(1 << 60, eager=True)
        assert self._active, "a matrix whose address is not known"
        return self.accepted[-1] + 1

    def result(self, cycle: int, count: int) -> None:
        """``count`` results are accepted together."""
        self._taken += count
        if self._taken % self._slots == 0 or self._taken == self._rows:
            self._ready.append(cycle + BURST_LATENCY - 1)

    def advance(self, until: int, eager: bool = False) -> None:
        """Start all bursts that start up to the cycle ``until``. All results up to then have to be there.

        A burst that waits for a response that is not known yet starts later, or, if this is ``eager``, at once.
        """
        while True:
            if not self._active:
                if not self._bases:
                    return
                cycle, placed = self._bases.popleft()
                self.accepted.append(max(self._free, cycle))
                self._free = self.accepted[-1] + 1
                self._active, self._addr = True, placed.address("RESULT_ADDR")
                self._rows, self._taken = placed.rows, 0
            start = self._start(eager)
            if start is None or start > until:
                return
            self._send(start)

    def _start(self, eager: bool) -> int | None:
        """The cycle in which the next burst starts; None if that is not known."""
        if not self._ready:
            return None
        starts, size, flushed = [], self._config.write_beats, self._flush()
        if len(self._ready) >= size:
            starts.append(self._ready[size - 1])
        if self._taken == self._rows:
            starts.append(self._ready[-1])
        if flushed is not None:
            starts.append(max(flushed, self._ready[0]))
        if not starts:
            return None
        answered = 0
        if len(self._pending) == PENDING:
            written = self._pending[0].written
            if written is None and not eager:
                return None
            answered = (written or 0) + 2
        return max(self._free, min(starts), answered)

    def _send(self, start: int) -> None:
        """A burst starts after the cycle ``start``, in which its length is decided."""
        room = (BURST_BYTES - self._addr % BURST_BYTES) // self._config.bus_bytes
        level = sum(ready <= start for ready in self._ready)
        beats = min(level, room)
        for _ in range(beats):
            self._ready.popleft()
        burst = WriteBurst(self._addr, beats, start + beats + 1)
        self.bursts.append(burst)
        self._pending.append(burst)
        self.beats += beats
        self._addr += beats * self._config.bus_bytes
        self._free = start + beats + 1
        self._active = not (self._taken == self._rows and not self._ready)

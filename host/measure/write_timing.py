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

__all__ = ["Foreseen", "WriteBurst", "WriteTiming"]


@dataclass
class WriteBurst:
    """A write burst: its byte address, its beats, the cycle from which memory can start it, and, once it is written,
    that of its last access."""

    addr: int
    beats: int
    complete: int
    written: int | None = None


@dataclass(frozen=True)
class Foreseen:
    """What is known of a run before it is gone through: the cycle from which bursts are sent without waiting for more
    data, or None, and for each of its first bursts the cycle of the last access."""

    flush: int | None = None
    written: tuple[int, ...] = ()


class WriteTiming:
    """Results become write bursts.

    When the results of a matrix are accepted depends on when those of the matrix before have been sent. This is asked
    for early, when the memory has not been followed up to there. Bursts then start at the times that follow from what
    is foreseen, and :attr:`mistaken` says at the end whether they did.

    Parameters
    ----------
    config : EngineConfig
    flush : callable
        Returns the cycle from which bursts are sent without waiting for more data, None while it is not known.
    foreseen : Foreseen

    Attributes
    ----------
    accepted : list of int
        The cycle in which the address of each matrix' results was accepted.
    bursts : deque of WriteBurst
        Bursts that memory has not started.
    beats : int
        Beats of all bursts.
    """

    def __init__(self, config: EngineConfig, flush: Callable[[], int | None], foreseen: Foreseen) -> None:
        self._config, self._flush, self._foreseen = config, flush, foreseen
        self._slots = config.bus_bytes // RESULT_BYTES
        self.accepted = list[int]()
        self.bursts: deque[WriteBurst] = deque()
        self.beats = 0
        self._sent: list[WriteBurst] = []
        self._bases: deque[tuple[int, Placed]] = deque()
        self._free = 0  # the next cycle in which the sender can start a burst or a matrix
        self._ready: deque[int] = deque()  # from when on each beat of the queue is there
        self._active, self._addr, self._rows, self._taken = False, 0, 0, 0
        # What early starts have assumed: of the flush, and of the response to a burst, each with the start.
        self._flushes: list[tuple[int | None, int]] = []
        self._responses: list[tuple[WriteBurst, int, int]] = []

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

        What is not known yet keeps bursts from being started, or, if this is ``eager``, is as it is foreseen.
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
        early = eager and flushed is None
        if early:
            flushed = self._foreseen.flush
        if len(self._ready) >= size:
            starts.append(self._ready[size - 1])
        if self._taken == self._rows:
            starts.append(self._ready[-1])
        if flushed is not None:
            starts.append(max(flushed, self._ready[0]))
        if not starts:
            return None
        start, oldest = max(self._free, min(starts)), len(self._sent) - PENDING
        if oldest >= 0:
            written = self._sent[oldest].written
            if written is None:
                if not eager:
                    return None
                written = self._foreseen.written[oldest] if oldest < len(self._foreseen.written) else 0
                start = max(start, written + 2)
                self._responses.append((self._sent[oldest], written, start))
            start = max(start, written + 2)
        if early:
            self._flushes.append((flushed, start))
        return start

    @property
    def mistaken(self) -> bool:
        """At the end of the run: whether a burst would have started at another time, had all been known."""
        flush = self._flush()
        assert flush is not None
        return (any(flush != assumed and min(flush, flush if assumed is None else assumed) < start
                    for assumed, start in self._flushes)
                or any(burst.written != written and max(burst.written or 0, written) + 2 >= start
                       for burst, written, start in self._responses))

    @property
    def found(self) -> Foreseen:
        """At the end of the run: what can be foreseen of the same run."""
        return Foreseen(self._flush(), tuple(burst.written or 0 for burst in self._sent))

    def _send(self, start: int) -> None:
        """A burst starts after the cycle ``start``, in which its length is decided."""
        room = (BURST_BYTES - self._addr % BURST_BYTES) // self._config.bus_bytes
        level = sum(ready <= start for ready in self._ready)
        beats = min(level, room)
        for _ in range(beats):
            self._ready.popleft()
        burst = WriteBurst(self._addr, beats, start + beats + 1)
        self.bursts.append(burst)
        self._sent.append(burst)
        self.beats += beats
        self._addr += beats * self._config.bus_bytes
        self._free = start + beats + 1
        self._active = not (self._taken == self._rows and not self._ready)

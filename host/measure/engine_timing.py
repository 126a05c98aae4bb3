"""When the engine accepts what it has read and when results come, from the latencies that its stages publish.

Beats that nothing can hold back are gone through a burst at a time, all others one by one.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from host.device.arena import Loaded
from host.measure.column_timing import LONG_AGO
from host.measure.request_timing import ReadBurst, RequestTiming
from host.measure.write_timing import Foreseen, WriteTiming
from hw.activations.activations import activations_latency
from hw.activations.buffer import exponent_latency
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_latency
from hw.dma.read import read_latency
from hw.dma.unpacker import unpacker_latency
from hw.dma.write import WRITE_LATENCY
from hw.engine.latency import group_interval, groups_outstanding, weights_latency, write_latency
from hw.lanes.join import RETURN_LATENCY
from hw.parts.stream_slice import StreamSlice
from hw.payloads import Destination
from hw.rounding.rounding import rounding_latency

__all__ = ["EngineTiming"]

_DEPTH = 16
"""Words, and results, in the queues of :mod:`hw.activations.activations` and :mod:`hw.rounding.rounding`."""
_CREDIT = 2
"""Cycles from when a payload leaves a queue until its credit lets another one pass the gate before the queue."""
_EDGE = 4 * _DEPTH
"""Words at both ends of a matrix that are always gone through one by one: what other matrices do depends on them."""


class _Slices:
    """A row of stream slices (:mod:`hw.parts.stream_slice`), each of which holds two payloads."""

    def __init__(self, count: int) -> None:
        self._entered = [deque([LONG_AGO] * StreamSlice.room, StreamSlice.room) for _ in range(count + 1)]

    def enter(self, cycle: int) -> tuple[int, int]:
        """Return the cycle in which a payload offered from ``cycle`` on is accepted, and that from which it is offered
        behind the slices. Without slices both are ``cycle``."""
        accepted, offered = cycle, cycle
        for number, (mine, following) in enumerate(pairwise(self._entered)):
            entered = max(offered, mine[-1] + 1, following[0] + 1)
            mine.append(entered)
            accepted = accepted if number else entered
            offered = entered + StreamSlice.latency
        return accepted, offered

    def leave(self, cycle: int) -> None:
        """The payload that entered last is accepted behind the slices in ``cycle``."""
        self._entered[-1].append(cycle)


class EngineTiming:
    """The engine in a run.

    Parameters
    ----------
    config : EngineConfig
    chain : Loaded
    start : int
        The first cycle of the run.
    foreseen : Foreseen

    Attributes
    ----------
    requests : RequestTiming
    writes : WriteTiming
    beats : int
        Beats that have been received.
    received : int
        The cycle in which the last of them was.
    stalled : int
        Cycles in which a beat has waited on the bus.
    """

    def __init__(self, config: EngineConfig, chain: Loaded, start: int, foreseen: Foreseen) -> None:
        self._config, self._chain, pipelining = config, chain, config.pipelining
        self.writes = WriteTiming(config, lambda: self.requests.flush, foreseen)
        self.requests = RequestTiming(config, chain, start, self.writes)
        self.beats, self.received, self.stalled = 0, start - 1, 0
        self._receipts: deque[tuple[int, Sequence[int]]] = deque(maxlen=64)  # first beat, cycles
        # Beats on their way to their streams, and when the last one was accepted there.
        self._read_slices, self._accepted = _Slices(pipelining.read), start - 1
        # The unpacker: its steps, when it stood still, its slices.
        self._steps = unpacker_latency(config.bus_bits, config.word_bits)
        self._stalls: deque[tuple[int, int]] = deque(maxlen=_DEPTH)
        self._word_slices = _Slices(pipelining.unpacker if self._steps else 0)
        # The matrix whose weights come: beats and words of it so far, words of a row, words and rows of all.
        self._beat, self._word, self._blocks, self._words, self._rows = 0, 0, 1, 0, 0
        # The activations: the last beat of the vector, the requests for the first and the last word, the first word.
        self._vector, self._request, self._last_request, self._first_word = start - 1, start - 1, start - 1, 0
        # The join: when it accepted the last words, and when the last one that had to wait for something.
        self._joined: deque[int] = deque([start - 1], _DEPTH + 2 * pipelining.words + 1)
        self._held = start - 1
        # The results: when the drain accepted the matrix, and passed the last row; when results left their queue.
        self._matrix, self._row = start - 1, start - 1
        self._left: deque[int] = deque([LONG_AGO] * _DEPTH, _DEPTH)
        self._result_slices, self._result = _Slices(pipelining.results), start - 1
        self._enabled: int | None = None
        # When the last groups left room for others, and when the next group may end.
        self._groups: deque[int] = deque([LONG_AGO] * groups_outstanding(config), groups_outstanding(config))
        self._free = start

    def receipt(self, beat: int) -> int | None:
        """The cycle in which a beat was received, one of the last ones; None while that is not known."""
        if beat >= self.beats:
            return None
        return next((cycles[beat - first] for first, cycles in reversed(self._receipts) if 0 <= first <= beat),
                    LONG_AGO)

    def receive(self, burst: ReadBurst, offered: Sequence[int]) -> None:
        """The next beats of a burst are offered from these cycles on."""
        if burst.to is Destination.WEIGHTS:
            cycles = self._receive_weights(burst.matrix, offered)
        else:
            ready = (self._job(burst.matrix) + 1 if burst.to is Destination.ACTIVATIONS
                     else self.requests.fetching[burst.matrix])
            cycles = [self._receive(cycle, ready) for cycle in offered]
        self._receipts.append((self.beats, cycles))
        self.beats += len(cycles)
        burst.received += len(cycles)
        if burst.received < burst.beats:
            return
        self.requests.completed.append(self.received)
        if burst.to is Destination.ACTIVATIONS:
            self._vector = self._accepted
        if burst.to is Destination.DESCRIPTOR and burst.final:
            self.requests.fetched[burst.matrix] = self._accepted + descriptor_latency(self._config) - 1

    # Beats

    def _receive(self, offered: int, ready: int | None = None) -> int:
        """A beat is offered from a cycle on: to a stream that accepts beats from the cycle ``ready`` on, or, with None,
        to the unpacker. The cycle in which it is received."""
        offered = max(offered, self.received + 1)
        received, arrived = self._read_slices.enter(offered)
        arrived = max(arrived, self._accepted + 1)
        self._accepted = self._unpack(arrived) if ready is None else max(arrived, ready)
        self._read_slices.leave(self._accepted)
        self.received = received if self._config.pipelining.read else self._accepted
        self.stalled += self.received - offered
        return self.received

    def _receive_weights(self, matrix: int, offered: Sequence[int]) -> Sequence[int]:
        """Weights of a matrix."""
        if not self._beat:
            self._begin(matrix)
        streamed = self._stream(offered)
        cycles = offered
        if streamed < len(offered):
            cycles = [*offered[:streamed], *map(self._receive, offered[streamed:])]
        if self._beat == self._chain.matrices[matrix].words["WEIGHT_BEATS"]:
            self._end()
        return cycles

    def _stream(self, offered: Sequence[int]) -> int:
        """Let weights be received at once, as far as nothing can hold them back; return the number of beats."""
        config, latency, first = self._config, weights_latency(self._config), offered[0]
        words, count = self._completed_words(self._beat + len(offered)), len(offered)
        if (self._word < _EDGE or words > self._words - _EDGE or first <= max(self.received, self._held)
                or first + latency <= self._joined[-1] or first + read_latency(config) <= self._accepted):
            return 0
        for group in range(self._word // self._blocks, words // self._blocks):
            beat = -(-(group + 1) * self._blocks * config.word_bits // config.bus_bits) - 1 - self._beat
            if offered[beat] + latency < self._free:
                count = beat
                break
            self._finish(offered[beat] + latency, group)
        if count:
            self._beat += count
            self._word = self._completed_words(self._beat)
            self.received = offered[count - 1]
            self._joined.append(self.received + latency)
            self._accepted = self.received + read_latency(config)
        return count

    def _completed_words(self, beats: int) -> int:
        """Words of the matrix that so many beats complete."""
        return min(beats * self._config.bus_bits // self._config.word_bits, self._words)

    def _unpack(self, cycle: int) -> int:
        """A beat is offered to the unpacker from ``cycle`` on; the cycle in which it is accepted."""
        self._beat += 1
        if self._completed_words(self._beat) == self._word:
            return self._advancing(cycle)
        if not self._steps:
            return self._join(cycle)
        accepted = step = self._advancing(cycle)
        for _ in range(self._steps - 1):
            step = self._advancing(step + 1)
        left, arrived = self._word_slices.enter(step + 1)
        joined = self._join(arrived)
        self._word_slices.leave(joined)
        if not self._config.pipelining.unpacker:
            left = joined
        if left > step + 1:
            self._stalls.append((step + 1, left))
        return accepted

    def _advancing(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which the steps of the unpacker advance."""
        for begin, end in self._stalls:
            if begin <= cycle < end:
                cycle = end
        return cycle

    # Words

    def _job(self, matrix: int) -> int:
        """The cycle in which the activation buffer accepts the job of a matrix."""
        jobs = self.requests.jobs
        if matrix not in jobs:
            jobs[matrix] = max(self.requests.begun[matrix], self._last_request + 1)
        return jobs[matrix]

    def _begin(self, matrix: int) -> None:
        """The first weights of a matrix come: the words of its vector have been requested when that was there, and the
        drain had accepted the matrix before."""
        config, placed = self._config, self._chain.matrices[matrix]
        job = self._job(matrix)
        request = self._vector + exponent_latency(config) if placed.words["ACTIVATION_BEATS"] else job + 1
        self._request = max(request, self._matrix + 1)
        self._first_word = self._request + activations_latency(config) - exponent_latency(config)
        self._matrix = max(self._request + 2, self._row + 1)
        self._blocks, self._rows, self._word = config.blocks(placed.cols), placed.rows, 0
        self._words = self._blocks * -(-placed.rows // config.lanes)
        self._enabled = None

    def _end(self) -> None:
        """All weights of the matrix have come: this is when the last word of its vector was requested. There are
        credits for the words in the queue and in the slices behind it."""
        slices = self._config.pipelining.words
        self._last_request, waiting = self._request + self._words - 1, _DEPTH + 2 * slices + 1
        if self._words >= waiting:
            self._last_request = max(self._last_request, self._joined[-waiting] + slices + _CREDIT)
        self._beat = 0

    def _join(self, offered: int) -> int:
        """A word is offered to the join from a cycle on; the cycle in which it is accepted."""
        cycle = max(offered, self._joined[-1] + 1)
        if not self._word:
            cycle = max(cycle, self._first_word)
        self._word += 1
        last = self._word % self._blocks == 0
        if last:
            cycle = max(cycle, self._free)
        if cycle > offered:
            self._held = cycle
        self._joined.append(cycle)
        if last:
            self._finish(cycle, self._word // self._blocks - 1)
        return cycle

    # Results

    def _finish(self, joined: int, group: int) -> None:
        """The last word of a group of rows is accepted by the join in a cycle: its results follow."""
        config = self._config
        count, slices, rest = config.results_per_cycle, config.pipelining.results, rounding_latency(config) - 1
        if self._enabled is None:
            self._enabled = self.writes.enabled
        first = max(joined + write_latency(config) - WRITE_LATENCY - rest, self._matrix + 1)
        row, left, accepted = first - 1, self._left, self._result
        rows = min(config.lanes, self._rows - group * config.lanes)
        for done in range(0, rows, count):
            row = max(row + 1, left[0] + _CREDIT) if count == 1 else row + 1
            passed, arrived = self._result_slices.enter(max(row + rest - slices * StreamSlice.latency, left[-1] + 1))
            accepted = max(arrived, self._enabled, accepted + 1)
            self._result_slices.leave(accepted)
            left.append(passed if slices else accepted)
            self.writes.result(accepted, min(count, rows - done))
        self._row, self._result = row, accepted
        self._groups.append(left[-1] + RETURN_LATENCY)
        self._free = row + 1 if count == 1 else max(joined + group_interval(config), self._groups[0])

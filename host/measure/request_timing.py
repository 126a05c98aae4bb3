"""When the engine requests what it reads: the rules of :mod:`hw.engine.sequencer` and :mod:`hw.dma.read`."""

from collections.abc import Iterator
from dataclasses import dataclass

from host.device.arena import Loaded
from host.measure.write_timing import WriteTiming
from hw.config import EngineConfig
from hw.dma.burst_cutter import BURST_INTERVAL, CUTTER_LATENCY
from hw.dma.descriptor import descriptor_beats
from hw.engine.sequencer import IN_FLIGHT, START_LATENCY
from hw.parts.axi import BURST_BYTES
from hw.payloads import Destination

__all__ = ["ReadBurst", "RequestTiming"]

_QUEUED = 2
"""Cycles from the begin of a matrix until its job, and the address of its results, come out of their queues; and from
when a place in one of the queues is free until the sequencer knows it."""
_JOBS = 2
"""Jobs that the queue before the activation buffer holds."""


@dataclass
class ReadBurst:
    """A burst that the engine reads.

    Attributes
    ----------
    addr, beats : int
        Byte address and length.
    to : Destination
    matrix : int
        Number of the matrix in the chain.
    final : bool
        Whether it is the last burst of its region.
    requested : int
        The cycle in which memory accepts its address.
    received : int
        Beats of it that have been received.
    """

    addr: int
    beats: int
    to: Destination
    matrix: int
    final: bool
    requested: int
    received: int = 0


class RequestTiming:
    """The bursts of a run in the order of the requests.

    Parameters
    ----------
    config : EngineConfig
    chain : Loaded
    start : int
        The first cycle of the run.
    writes : WriteTiming
        Is told of each matrix that begins, and says when there is room for another one.

    Attributes
    ----------
    begun : dict of int
        For each matrix, by its number, the cycle from which its job is offered to the activation buffer.
    jobs : dict of int
        The cycle in which the activation buffer accepts the job. The datapath's model enters it.
    fetching : dict of int
        The cycle from which the descriptor of the matrix is accepted.
    fetched : dict of int
        The cycle in which the last beat of that descriptor is reported. The datapath's model enters it.
    completed : list of int
        The cycles in which bursts have been completely received. The datapath's model appends to it.
    """

    def __init__(self, config: EngineConfig, chain: Loaded, start: int, writes: WriteTiming) -> None:
        self._config, self._matrices, self._start, self._writes = config, chain.matrices, start, writes
        self.begun, self.jobs = dict[int, int](), dict[int, int]()
        self.fetching, self.fetched = dict[int, int](), dict[int, int]()
        self.completed: list[int] = []
        self._cutter_free = start  # when the burst cutter can accept a region
        self._requested = start  # when memory accepted the last request
        self._count = 0  # bursts that have been requested
        self._all_requested: int | None = None
        self._bursts = self._read_bursts()
        self._next: ReadBurst | None = None

    def peek(self) -> ReadBurst | None:
        """The next burst; None while it is not known when it is requested, or if there is none."""
        if self._next is None:
            self._next = next(self._bursts, None)
        return self._next

    def pop(self) -> None:
        """The next burst is no longer the next one."""
        self._next = None

    @property
    def flush(self) -> int | None:
        """The cycle from which results need not wait for a whole burst, as at most one burst is outstanding and none
        follows; None while it is not known."""
        if self._all_requested is None or len(self.completed) < self._count - 1:
            return None
        return max(self._all_requested, self.completed[self._count - 2] + 1 if self._count > 1 else 0)

    def _read_bursts(self) -> Iterator[ReadBurst | None]:
        """All bursts in order; None where something else has to be known first."""
        for number, placed in enumerate(self._matrices):
            last = number + 1 == len(self._matrices)
            begin = self._start + START_LATENCY - 1
            for known in self._ready(number):
                if known is None:
                    yield None
                else:
                    begin = max(begin, known)
            begin = max(begin, self._cutter_free)
            self.begun[number] = begin + _QUEUED
            self._writes.begin(placed, begin + _QUEUED)
            yield from self._region(number, Destination.ACTIVATIONS, placed.address("ACTIVATION_ADDR"),
                                    placed.words["ACTIVATION_BEATS"], begin)
            weights = begin + 2  # the state of the sequencer in between takes a cycle where there is no descriptor
            if not last:
                descriptor = max(begin + 1, self._cutter_free)
                yield from self._region(number + 1, Destination.DESCRIPTOR, self._matrices[number + 1].descriptor_addr,
                                        descriptor_beats(self._config), descriptor)
                weights = descriptor + 1
            weights = max(weights, self._cutter_free)
            yield from self._region(number, Destination.WEIGHTS, placed.address("WEIGHT_ADDR"),
                                    placed.words["WEIGHT_BEATS"], weights, last)

    def _ready(self, number: int) -> Iterator[int | None]:
        """The cycles that the begin of a matrix waits for: its descriptor, and room in the queues of jobs and of
        addresses for results."""
        if number:
            while number not in self.fetched:
                yield None
            yield self.fetched[number] + START_LATENCY
        if number >= _JOBS:
            while number - _JOBS not in self.jobs:
                yield None
            yield self.jobs[number - _JOBS] + _QUEUED
        if number >= IN_FLIGHT:
            while len(self._writes.accepted) <= number - IN_FLIGHT:
                yield None
            yield self._writes.accepted[number - IN_FLIGHT] + _QUEUED

    def _region(self, matrix: int, to: Destination, addr: int, beats: int, cycle: int, last: bool = False
                ) -> Iterator[ReadBurst | None]:
        """The bursts of a region that the burst cutter accepts in ``cycle``, the ``last`` one of the run or not."""
        config, offered = self._config, cycle + CUTTER_LATENCY
        if not beats:
            self._cutter_free = offered
        while beats:
            size = min(beats, config.burst_beats, (BURST_BYTES - addr % BURST_BYTES) // config.bus_bytes)
            credit = self._count - config.outstanding
            while credit >= len(self.completed):
                yield None
            accepted = max(offered, self._requested, self.completed[credit] + 1 if credit >= 0 else 0)
            self._count += 1
            self._requested = accepted + 1
            beats -= size
            if not beats:
                self._cutter_free = accepted + 1
                if to is Destination.DESCRIPTOR:  # the weights follow, and the descriptor is waited for
                    self.fetching[matrix] = max(accepted, cycle) + 2
                if last:
                    self._all_requested = max(accepted, cycle) + 1
            yield ReadBurst(addr, size, to, matrix, not beats, self._requested)
            addr += size * config.bus_bytes
            offered = accepted + BURST_INTERVAL

"""Read DMA: every beat of every region arrives once, in legal bursts, as many of them outstanding as allowed. Whatever
breaks AXI's rules is reported at once, and once it is forgotten the next regions are exact.
"""

import random
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hw.config import EngineConfig
from hw.dma.read import REQUEST_LATENCY, read_latency
from hw.parts.axi import BURST_BYTES, AXI4ReadSignature, Burst, Resp, beat_size
from hw.payloads import Destination, packed_layout, region_layout
from sim.bench.axi_slave import watch_offers
from sim.bench.streams import PERIOD_NS, Stream, cycles, send, start
from sim.tools.run import arguments


def _base(config: EngineConfig) -> int:
    """Byte address of the beat number 0. With addresses of 64 bits, regions lie across a multiple of 2**32."""
    return 0xA5A5_5A5A_FFFF_E000 if config.addr_bits == 64 else 0


def _now() -> int:
    """Number of the rising edge at which it is called."""
    return round(get_sim_time("ns") / PERIOD_NS)


@dataclass(frozen=True)
class Fault:
    """A memory that does not answer as it was asked to, from the burst number ``since`` on.

    Of a burst of ``length`` beats, it sends ``sent(length)``, and marks a beat as the last one where ``marked(place,
    length)``.
    """

    marked: Callable[[int, int], bool] = lambda place, length: place == length - 1
    sent: Callable[[int], int] = lambda length: length
    since: int = 2


FAULTS = {
    "every beat marked": Fault(lambda place, length: True),
    "first beat marked, and no more": Fault(lambda place, length: True, lambda length: 1),
    "marked early": Fault(lambda place, length: place == length - 2, lambda length: length - 1),
    "marked early and at the end": Fault(lambda place, length: place >= length - 2),
    "never marked": Fault(lambda place, length: False),
    "marked late": Fault(lambda place, length: place == length, lambda length: length + 1),
    "never marked, from the first burst on": Fault(lambda place, length: False, since=0),
}


@dataclass
class Outstanding:
    """A burst that memory has accepted in order to answer it from the cycle ``due`` on; ``place`` beats are sent."""

    due: int
    first: int
    length: int
    fault: Fault
    place: int = 0

    @property
    def marked(self) -> bool:
        """Whether memory marks the next beat as the last one."""
        return self.fault.marked(self.place, self.length)


class Slave:
    """Answers reads with the number of the beat read, after ``latency`` cycles; checks every request.

    Beats in ``failing`` have the response ``resp``. ``lengths`` are the beats of each burst requested, ``bursts`` those
    that are outstanding, and ``most`` is the greatest number of these so far. No request is accepted unless
    ``accepting``, and no more than ``allowed`` beats are sent. The payloads ``strays`` are sent first, although nobody
    asked for them. ``wrong`` has an entry for each beat that is not as it was asked for: the edge at which memory has
    first offered it (a stray) or sent it, and its burst's address, 0 for a stray.
    """

    def __init__(self, dut: Any, config: EngineConfig, latency: int, idle: float, failing: Collection[int] = (),
                 resp: Resp = Resp.SLVERR) -> None:
        self.config, self.latency, self.idle, self.failing, self.resp = config, latency, idle, failing, resp
        members = AXI4ReadSignature(config.addr_bits, config.bus_bits).members
        self.request, self.response = (members[name].signature.members["payload"].shape for name in ("ar", "r"))
        self.ar, self.r = Stream(dut, "axi__ar"), Stream(dut, "axi__r")
        self.bursts: deque[Outstanding] = deque()
        self.lengths: list[int] = []
        self.most = 0
        self.fault, self.accepting, self.allowed = Fault(), True, 1 << 30
        self.strays: deque[int] = deque()
        self.wrong: list[tuple[int, int]] = []

    def _check(self, bits: int, due: int) -> Outstanding:
        """The burst that the request ``bits`` is for."""
        request, size = self.request.from_bits(bits), self.config.bus_bytes
        assert request.burst == Burst.INCR
        assert request.size == beat_size(self.config.bus_bits)
        assert request.addr % size == 0
        assert request.addr % BURST_BYTES + (request.len + 1) * size <= BURST_BYTES, "a burst crosses 4 KB"
        fault = self.fault if len(self.lengths) >= self.fault.since else Fault()
        self.lengths.append(request.len + 1)
        return Outstanding(due, (request.addr - _base(self.config)) // size, request.len + 1, fault)

    def beat(self, data: int, last: bool, resp: Resp = Resp.OKAY) -> int:
        """Payload of a beat."""
        return self.response.const({"data": data, "resp": resp, "last": last}).as_bits()

    def _next(self) -> int:
        """Payload of the next beat of the oldest burst."""
        burst = self.bursts[0]
        number = burst.first + burst.place
        return self.beat(number, burst.marked, self.resp if number in self.failing else Resp.OKAY)

    def _sent(self) -> None:
        """The next beat of the oldest burst is received."""
        burst = self.bursts[0]
        if burst.marked != (burst.place == burst.length - 1):
            self.wrong.append((_now(), _base(self.config) + burst.first * self.config.bus_bytes))
        burst.place += 1
        self.allowed -= 1
        if burst.place == burst.fault.sent(burst.length):
            self.bursts.popleft()

    def forget(self) -> None:
        """Forget all bursts and be without a fault."""
        self.bursts.clear()
        self.wrong.clear()
        self.lengths.clear()
        self.fault, self.accepting, self.allowed, self.most = Fault(), True, 1 << 30, 0

    async def run(self) -> None:
        """Answer from now on."""
        cycle, offering = 0, False
        while True:
            self.ar.ready.value = ready = self.accepting and random.random() >= self.idle
            if self.strays:
                self.r.payload.value = self.strays[0]
                if not offering:
                    self.wrong.append((_now() + 1, 0))
                offering = stray = True
            elif not offering and self.bursts and self.allowed and cycle >= self.bursts[0].due \
                    and random.random() >= self.idle:
                self.r.payload.value = self._next()
                offering, stray = True, False
            self.r.valid.value = offering
            await RisingEdge(self.ar.clk)
            cycle += 1
            if offering and self.r.ready.value:
                offering = False
                if stray:
                    self.strays.popleft()
                else:
                    self._sent()
            if ready and self.ar.valid.value:
                self.bursts.append(self._check(int(self.ar.payload.value), cycle + self.latency))
                self.most = max(self.most, len(self.bursts))


class Sinks:
    """Takes the beats of all three streams.

    ``found`` are those that arrived, each as (number of the beat, its destination); ``last`` are the numbers of those
    beats of weights that were marked as the last of their region. Each cycle, no stream is ready with probability
    ``stall``.
    """

    def __init__(self, dut: Any, config: EngineConfig, stall: float) -> None:
        self.config, self.stall = config, stall
        self.found: list[tuple[int, Destination]] = []
        self.last: list[int] = []
        self._streams = {to: Stream(dut, to.name.lower()) for to in Destination}
        self._dut = dut
        self.weights = self._streams[Destination.WEIGHTS]
        self.readies = [sink.ready for sink in self._streams.values()]

    async def run(self) -> None:
        """Receive from now on."""
        while True:
            ready = random.random() >= self.stall
            for handle in self.readies:
                handle.value = ready
            await RisingEdge(self._dut.clk)
            for to, sink in self._streams.items():
                if ready and sink.valid.value:
                    word = int(sink.payload.value)
                    if to == Destination.WEIGHTS:
                        beat = packed_layout(self.config.bus_bits).from_bits(word)
                        word = beat.data
                        if beat.last:
                            self.last.append(word)
                    self.found.append((word, to))

    async def receive(self, count: int) -> list[tuple[int, Destination]]:
        """The next ``count`` beats, and those that arrive in 20 further cycles."""
        while len(self.found) < count:
            await RisingEdge(self._dut.clk)
        await cycles(self._dut, 20)
        found, self.found = self.found, []
        return found


class Reports:
    """What the design reports of broken rules: ``found`` are the edge and the address of each report, and ``legal``
    says that there may be none."""

    def __init__(self, dut: Any) -> None:
        self._dut, self.legal = dut, True
        self.found: list[tuple[int, int]] = []

    async def run(self) -> None:
        """Watch from now on."""
        while True:
            await RisingEdge(self._dut.clk)
            if self._dut.protocol.value:
                assert not self.legal, "a memory that keeps the rules is accused"
                self.found.append((_now(), int(self._dut.protocol_addr.value)))


@dataclass
class Bench:
    """The design and what stands around it."""

    dut: Any
    config: EngineConfig
    slave: Slave
    sinks: Sinks
    reports: Reports

    async def recover(self) -> None:
        """Abort what is under way until neither side offers anything, and have both sides forget the rest."""
        self.dut.abort.value = 1
        self.slave.accepting = True
        await cycles(self.dut, 3)
        while self.dut.requesting.value or self.slave.r.valid.value or (self.slave.bursts and self.slave.allowed):
            await RisingEdge(self.dut.clk)
        self.slave.forget()
        self.dut.forget.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.forget.value = 0
        await RisingEdge(self.dut.clk)
        assert self.dut.idle.value
        self.dut.abort.value = 0
        await RisingEdge(self.dut.clk)
        self.reports.found.clear()
        self.reports.legal = True
        self.sinks.found.clear()

    async def read(self) -> None:
        """Read regions of more bursts than may be outstanding, and find each beat once."""
        half = self.config.outstanding // 2 * self.config.burst_beats
        regions = [(9, 1, Destination.DESCRIPTOR), (2, 3, Destination.ACTIVATIONS), (5, half, Destination.WEIGHTS),
                   (half, half, Destination.ACTIVATIONS)]
        cocotb.start_soon(send(Stream(self.dut, "i"), [_region(self.config, *region) for region in regions]))
        wanted = [(beat, to) for first, beats, to in regions for beat in range(first, first + beats)]
        assert await self.sinks.receive(len(wanted)) == wanted
        assert self.dut.idle.value


async def _connect(dut: Any, latency: int, idle: float, stall: float, failing: Collection[int] = (),
                   resp: Resp = Resp.SLVERR) -> Bench:
    """Reset the design and let a slave and sinks run."""
    (config,) = arguments()
    bench = Bench(dut, config, Slave(dut, config, latency, idle, failing, resp), Sinks(dut, config, stall),
                  Reports(dut))
    slave, sinks = bench.slave, bench.sinks
    await start(dut, dut.i__valid, *sinks.readies, slave.ar.ready, slave.r.valid, dut.abort, dut.forget)
    for task in (slave.run(), sinks.run(), bench.reports.run(), watch_offers(slave.ar)):
        cocotb.start_soon(task)
    return bench


def _region(config: EngineConfig, first: int, beats: int, to: Destination) -> int:
    """Payload of a region of ``beats`` from the beat number ``first`` on."""
    return region_layout(config).const(
        {"addr": _base(config) + first * config.bus_bytes, "beats": beats, "to": to}).as_bits()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.4])
async def regions_are_read_once_and_in_order(dut: Any, idle: float, stall: float) -> None:
    bench = await _connect(dut, 40, idle, stall)
    config, slave, sinks = bench.config, bench.slave, bench.sinks
    pages = BURST_BYTES // config.bus_bytes
    regions = [(first, beats, random.choice(list(Destination))) for first, beats in
               ((0, 1), (pages - 1, 2), (pages, pages), (5, 3 * pages + 7), (9, 0), (2 * pages - 3, 3), (100, 17))]
    cocotb.start_soon(send(Stream(dut, "i"), [_region(config, *region) for region in regions]))
    wanted = [(beat, to) for first, beats, to in regions for beat in range(first, first + beats)]
    assert await sinks.receive(len(wanted)) == wanted
    assert sinks.last == [first + beats - 1 for first, beats, to in regions if beats and to == Destination.WEIGHTS]
    assert dut.idle.value
    assert slave.most <= config.outstanding
    if idle == stall == 0:
        assert slave.most == config.outstanding, "fewer bursts outstanding than allowed"
    assert max(slave.lengths) == config.burst_beats


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latencies_are_as_published(dut: Any) -> None:
    """From a region to its request, and from a beat on the bus to its stream."""
    bench = await _connect(dut, 3, 0.0, 0.0)
    config, slave, sinks = bench.config, bench.slave, bench.sinks
    await send(Stream(dut, "i"), [_region(config, 0, 4, Destination.WEIGHTS)])
    requested: list[int] = []
    received: list[int] = []
    delivered: list[int] = []
    for cycle in range(1, 30):
        await RisingEdge(dut.clk)
        for log, stream in ((requested, slave.ar), (received, slave.r), (delivered, sinks.weights)):
            if stream.valid.value and stream.ready.value:
                log.append(cycle)
    assert requested == [REQUEST_LATENCY]
    assert len(received) == 4
    assert delivered == [cycle + read_latency(config) for cycle in received]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4])
async def an_abort_drops_what_was_requested(dut: Any, idle: float) -> None:
    """The abort comes in the middle of a region, wherever that may be; the next region is then whole."""
    bench = await _connect(dut, 25, idle, 0.5)
    config, slave, sinks = bench.config, bench.slave, bench.sinks
    i = Stream(dut, "i")
    for before in (1, 2, 3, 10, 26, 27, 28, 40, 50):
        await send(i, [_region(config, 3, config.max_beats, Destination.WEIGHTS)])
        await cycles(dut, before)
        assert not dut.idle.value
        dut.abort.value = 1
        await RisingEdge(dut.clk)
        sinks.found.clear()
        await RisingEdge(dut.clk)
        while not dut.idle.value:
            await RisingEdge(dut.clk)
        assert not sinks.found, "a beat came out during an abort"
        dut.abort.value = 0
        assert not slave.bursts
        cocotb.start_soon(send(i, [_region(config, 7, 5, Destination.ACTIVATIONS)]))
        assert await sinks.receive(5) == [(beat, Destination.ACTIVATIONS) for beat in range(7, 12)]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_abort_receives_a_beat_in_every_cycle(dut: Any) -> None:
    """From its first cycle on, although no sink has been ready and every slice is full."""
    bench = await _connect(dut, 3, 0.0, 1.0)
    config, slave = bench.config, bench.slave
    await send(Stream(dut, "i"), [_region(config, 0, config.max_beats, Destination.WEIGHTS)])
    await cycles(dut, 30)
    assert slave.r.valid.value
    assert not slave.r.ready.value, "beats were received that nobody had room for"
    dut.abort.value = 1
    while slave.bursts:
        await RisingEdge(dut.clk)
        assert slave.r.ready.value or not slave.r.valid.value, "the bus waits during an abort"
    await cycles(dut, 2)
    assert dut.idle.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(resp=[resp for resp in Resp if resp != Resp.OKAY])
async def errors_are_reported_with_their_burst(dut: Any, resp: Resp) -> None:
    """Whatever is not OKAY is an error; it is reported for as long as the beat is on offer."""
    failing = 9
    bench = await _connect(dut, 3, 0.0, 0.3, {failing}, resp)
    config, sinks = bench.config, bench.sinks
    failed = set()

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            if dut.error.value:
                failed.add((int(dut.addr.value) - _base(config)) // config.bus_bytes)

    cocotb.start_soon(watch())
    pages = BURST_BYTES // config.bus_bytes
    cocotb.start_soon(send(Stream(dut, "i"), [_region(config, first, beats, Destination.WEIGHTS) for first, beats in
                                              ((pages, 3), (failing - 3, 20), (2 * pages, 2))]))
    await sinks.receive(25)
    assert failed == {failing - 3}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_fast_memory_is_not_accused(dut: Any) -> None:
    """It answers in the cycle after it has accepted a request, also bursts of one beat."""
    bench = await _connect(dut, 0, 0.0, 0.0)
    regions = [(n, beats, random.choice(list(Destination))) for n, beats in enumerate([1] * 20 + [2, 1, 3, 40, 1, 1])]
    cocotb.start_soon(send(Stream(dut, "i"), [_region(bench.config, *region) for region in regions]))
    wanted = [(beat, to) for first, beats, to in regions for beat in range(first, first + beats)]
    assert await bench.sinks.receive(len(wanted)) == wanted


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_answer_may_come_with_the_acceptance_of_its_request(dut: Any) -> None:
    """Memory that answers combinationally is not accused either."""
    bench = await _connect(dut, 3, 0.0, 0.0)
    bench.slave.accepting, bench.slave.allowed = False, 0
    await send(Stream(dut, "i"), [_region(bench.config, 4, 1, Destination.WEIGHTS)])
    await cycles(dut, REQUEST_LATENCY + 2)
    assert dut.requesting.value
    bench.slave.accepting = True
    bench.slave.strays.append(bench.slave.beat(4, True))
    assert await bench.sinks.receive(1) == [(4, Destination.WEIGHTS)]
    assert dut.idle.value
    bench.slave.forget()
    await bench.read()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(kind=list(FAULTS), idle=[0.0, 0.4])
async def a_mark_in_the_wrong_place_is_reported(dut: Any, kind: str, idle: float) -> None:
    """In the cycle after the first such beat, and with the burst that it belongs to."""
    bench = await _connect(dut, 5, idle, idle)
    bench.slave.fault, bench.reports.legal = FAULTS[kind], False
    page = BURST_BYTES // bench.config.bus_bytes
    await send(Stream(dut, "i"), [_region(bench.config, page - 7, 7 + 2 * bench.config.burst_beats + 3,
                                          random.choice(list(Destination)))])
    while not bench.slave.wrong:
        assert not bench.reports.found
        await RisingEdge(dut.clk)
    await cycles(dut, 2)
    (edge, addr), *_ = bench.slave.wrong
    assert bench.reports.found[0] == (edge + 1, addr)
    await bench.recover()
    await bench.read()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(last=[0, 1])
async def beats_without_a_burst_are_swallowed(dut: Any, last: int) -> None:
    """One in each cycle, whatever its response; each is reported, and no stream sees it."""
    bench = await _connect(dut, 3, 0.0, 0.0)
    for before in (False, True):
        if before:
            await bench.read()
            bench.sinks.found.clear()
        bench.reports.legal = False
        bench.slave.strays += [bench.slave.beat(n, bool(last), resp) for n, resp in enumerate(Resp)]
        first = _now() + 1
        for _ in Resp:
            await RisingEdge(dut.clk)
            assert not dut.error.value
        await cycles(dut, 10)
        assert bench.reports.found[:len(Resp)] == [(edge, 0) for edge in range(first + 1, first + 1 + len(Resp))]
        assert len(bench.reports.found) == len(Resp)
        assert not bench.sinks.found
        assert dut.idle.value
        bench.reports.found.clear()
        bench.reports.legal = True
    await bench.read()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(last=[0, 1])
async def a_beat_before_its_request_is_accepted_is_reported(dut: Any, last: int) -> None:
    """At every distance from the region that is to be read."""
    bench = await _connect(dut, 3, 0.0, 0.0)
    for before in range(REQUEST_LATENCY + 4):
        bench.slave.accepting, bench.reports.legal = False, False
        await send(Stream(dut, "i"), [_region(bench.config, 4, 2, Destination.WEIGHTS)])
        await cycles(dut, before)
        bench.slave.strays.append(bench.slave.beat(0, bool(last)))
        await cycles(dut, 3)
        assert bench.reports.found[0] == (bench.slave.wrong[0][0] + 1, 0)
        assert bool(bench.sinks.found) <= (before >= REQUEST_LATENCY - 2)
        await bench.recover()
        await bench.read()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_request_on_offer_outlasts_an_abort(dut: Any) -> None:
    bench = await _connect(dut, 3, 0.0, 0.0)
    bench.slave.accepting = False
    await send(Stream(dut, "i"), [_region(bench.config, 4, 2, Destination.WEIGHTS)])
    for _ in range(REQUEST_LATENCY - 1):
        await RisingEdge(dut.clk)
        assert not dut.requesting.value
    dut.abort.value = 1
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert dut.requesting.value
    bench.slave.accepting = True
    await cycles(dut, 3)
    assert not dut.requesting.value
    assert not dut.idle.value, "the burst is not answered"
    await cycles(dut, 10)
    assert dut.idle.value
    assert bench.slave.lengths == [2]
    dut.abort.value = 0
    await bench.read()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(late=[False, True])
async def what_is_outstanding_can_be_forgotten(dut: Any, late: bool) -> None:
    """After any number of beats, which have come before the abort or in it: then all bursts may be requested again."""
    bench = await _connect(dut, 2, 0.0, 0.0)
    longest = bench.config.burst_beats
    for answered in (0, 1, 6, 7, 8, 6 + longest, 7 + longest, 9 + longest):
        bench.slave.allowed = 0 if late else answered
        page = BURST_BYTES // bench.config.bus_bytes
        await send(Stream(dut, "i"), [_region(bench.config, page - 7, 7 + 2 * longest, Destination.ACTIVATIONS)])
        await cycles(dut, 3 * longest)
        assert len(bench.sinks.found) == bench.slave.allowed == 0 if late else len(bench.sinks.found) == answered
        dut.abort.value = 1
        await cycles(dut, 3)
        bench.slave.allowed = answered if late else 0
        await cycles(dut, 3 * longest)
        assert not dut.idle.value
        await bench.recover()
        await bench.read()
        assert bench.slave.most == bench.config.outstanding

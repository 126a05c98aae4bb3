"""Read DMA: every beat of every region arrives once, in legal bursts, as many of them outstanding as allowed."""

import random
from collections import deque
from collections.abc import Collection
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.dma.read import REQUEST_LATENCY, read_latency
from hw.parts.axi import BURST_BYTES, AXI4ReadSignature, Burst, Resp, beat_size
from hw.payloads import Destination, packed_layout, region_layout
from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments


class Slave:
    """Answers reads with the number of the beat read, after ``latency`` cycles; checks every request.

    Beats in ``failing`` have the response ``resp``. ``lengths`` are the beats of each burst requested, ``bursts`` those
    that are outstanding, and ``most`` is the greatest number of these so far.
    """

    def __init__(self, dut: Any, config: EngineConfig, latency: int, idle: float, failing: Collection[int] = (),
                 resp: Resp = Resp.SLVERR) -> None:
        self.config, self.latency, self.idle, self.failing, self.resp = config, latency, idle, failing, resp
        members = AXI4ReadSignature(config.addr_bits, config.bus_bits).members
        self.request, self.response = (members[name].signature.members["payload"].shape for name in ("ar", "r"))
        self.ar, self.r = Stream(dut, "axi__ar"), Stream(dut, "axi__r")
        self.bursts: deque[tuple[int, deque[int]]] = deque()
        self.lengths: list[int] = []
        self.most = 0

    def _check(self, bits: int) -> deque[int]:
        """Numbers of the beats that the request ``bits`` is for."""
        request, size = self.request.from_bits(bits), self.config.bus_bytes
        assert request.burst == Burst.INCR
        assert request.size == beat_size(self.config.bus_bits)
        assert request.addr % size == 0
        assert request.addr % BURST_BYTES + (request.len + 1) * size <= BURST_BYTES, "a burst crosses 4 KB"
        self.lengths.append(request.len + 1)
        return deque(range(request.addr // size, request.addr // size + request.len + 1))

    async def run(self) -> None:
        """Answer from now on."""
        cycle, beat = 0, None
        while True:
            self.ar.ready.value = ready = random.random() >= self.idle
            if beat is None and self.bursts and cycle >= self.bursts[0][0] and random.random() >= self.idle:
                beat = self.bursts[0][1].popleft()
                resp = self.resp if beat in self.failing else Resp.OKAY
                self.r.payload.value = self.response.const(
                    {"data": beat, "resp": resp, "last": not self.bursts[0][1]}).as_bits()
            self.r.valid.value = beat is not None
            await RisingEdge(self.ar.clk)
            cycle += 1
            if beat is not None and self.r.ready.value:
                beat = None
                if not self.bursts[0][1]:
                    self.bursts.popleft()
            if ready and self.ar.valid.value:
                self.bursts.append((cycle + self.latency, self._check(int(self.ar.payload.value))))
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


async def _connect(dut: Any, latency: int, idle: float, stall: float, failing: Collection[int] = (),
                   resp: Resp = Resp.SLVERR) -> tuple[EngineConfig, Slave, Sinks]:
    """Reset the design and let a slave and sinks run."""
    (config,) = arguments()
    slave, sinks = Slave(dut, config, latency, idle, failing, resp), Sinks(dut, config, stall)
    await start(dut, dut.i__valid, *sinks.readies, slave.ar.ready, slave.r.valid, dut.abort, dut.forget)
    cocotb.start_soon(slave.run())
    cocotb.start_soon(sinks.run())
    return config, slave, sinks


def _region(config: EngineConfig, first: int, beats: int, to: Destination) -> int:
    """Payload of a region of ``beats`` from the beat number ``first`` on."""
    return region_layout(config).const({"addr": first * config.bus_bytes, "beats": beats, "to": to}).as_bits()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.4])
async def regions_are_read_once_and_in_order(dut: Any, idle: float, stall: float) -> None:
    config, slave, sinks = await _connect(dut, 40, idle, stall)
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
    config, slave, sinks = await _connect(dut, 3, 0.0, 0.0)
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
    config, slave, sinks = await _connect(dut, 25, idle, 0.5)
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
    config, slave, _ = await _connect(dut, 3, 0.0, 1.0)
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
    config, _, sinks = await _connect(dut, 3, 0.0, 0.3, {failing}, resp)
    failed = set()

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            if dut.error.value:
                failed.add(int(dut.addr.value) // config.bus_bytes)

    cocotb.start_soon(watch())
    pages = BURST_BYTES // config.bus_bytes
    cocotb.start_soon(send(Stream(dut, "i"), [_region(config, first, beats, Destination.WEIGHTS) for first, beats in
                                              ((pages, 3), (failing - 3, 20), (2 * pages, 2))]))
    await sinks.receive(25)
    assert failed == {failing - 3}

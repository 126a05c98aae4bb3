"""Read DMA: every beat of every region once, in legal bursts, as many under way as allowed."""

import random
from collections import deque

import cocotb
from cocotb.triggers import RisingEdge

from hw.axi import BURST_BYTES, AXI4ReadSignature, Burst, Resp, beat_size
from hw.read_dma import region_layout
from sim.runner import arguments
from sim.streams import Stream, cycles, receive, send, start


class Slave:
    """Answers reads with the number of the beat read, after ``latency`` cycles; checks every request."""

    def __init__(self, dut, config, latency, idle, failing=()):
        self.config, self.latency, self.idle, self.failing = config, latency, idle, failing
        members = AXI4ReadSignature(config.addr_bits, config.bus_bits).members
        self.request, self.response = (members[name].signature.members["payload"].shape for name in ("ar", "r"))
        self.ar, self.r = Stream(dut, "axi__ar"), Stream(dut, "axi__r")
        self.bursts, self.lengths, self.most = deque(), [], 0

    def _check(self, bits):
        request, size = self.request.from_bits(bits), self.config.bus_bytes
        assert request.burst == Burst.INCR
        assert request.size == beat_size(self.config.bus_bits)
        assert request.addr % size == 0
        assert request.addr % BURST_BYTES + (request.len + 1) * size <= BURST_BYTES, "a burst crosses 4 KB"
        self.lengths.append(request.len + 1)
        return deque(range(request.addr // size, request.addr // size + request.len + 1))

    async def run(self):
        cycle, beat = 0, None
        while True:
            self.ar.ready.value = ready = random.random() >= self.idle
            if beat is None and self.bursts and cycle >= self.bursts[0][0] and random.random() >= self.idle:
                beat = self.bursts[0][1].popleft()
                resp = Resp.SLVERR if beat in self.failing else Resp.OKAY
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


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.4], stall=[0.0, 0.4])
async def regions_are_read_once_and_in_order(dut, idle, stall):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    slave = Slave(dut, config, 40, idle)
    await start(dut, i.valid, o.ready, slave.ar.ready, slave.r.valid)
    cocotb.start_soon(slave.run())
    pages = BURST_BYTES // config.bus_bytes
    regions = [(0, 1), (pages - 1, 2), (pages, pages), (5, 3 * pages + 7), (9, 0), (2 * pages - 3, 3), (100, 17)]
    payloads = [region_layout(config).const({"addr": first * config.bus_bytes, "beats": beats}).as_bits()
                for first, beats in regions]
    cocotb.start_soon(send(i, payloads))
    wanted = [beat for first, beats in regions for beat in range(first, first + beats)]
    assert await receive(o, len(wanted), stall) == wanted
    assert slave.most <= config.outstanding
    if idle == stall == 0:
        assert slave.most == config.outstanding, "fewer bursts under way than allowed"
    assert max(slave.lengths) == config.burst_beats


@cocotb.test()
async def errors_are_reported(dut):
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    slave = Slave(dut, config, 3, 0.0, failing={7})
    await start(dut, i.valid, o.ready, slave.ar.ready, slave.r.valid)
    cocotb.start_soon(slave.run())
    strobes = []

    async def watch():
        while True:
            await RisingEdge(dut.clk)
            strobes.append(int(dut.error.value))

    cocotb.start_soon(watch())
    cocotb.start_soon(send(i, [region_layout(config).const({"addr": 0, "beats": 20}).as_bits()]))
    await receive(o, 20)
    await cycles(dut, 2)
    assert sum(strobes) == 1

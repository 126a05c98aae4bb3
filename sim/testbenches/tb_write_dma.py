"""Write DMA: results land where they belong, nothing else changes, bursts are legal."""

import random

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

from hw.axi import BURST_BYTES, AXI4WriteSignature, Burst, Resp, beat_size
from hw.scale import result_layout
from sim.runner import arguments
from sim.streams import Stream, cycles, send, start


class Slave:
    """A byte memory behind the write channels; checks every request."""

    def __init__(self, dut, config, idle, resp=Resp.OKAY):
        self.config, self.idle, self.resp = config, idle, resp
        members = AXI4WriteSignature(config.addr_bits, config.bus_bits).members
        self.request, self.data, self.response = (
            members[name].signature.members["payload"].shape for name in ("aw", "w", "b"))
        self.aw, self.w, self.b = (Stream(dut, f"axi__{channel}") for channel in ("aw", "w", "b"))
        self.memory, self.lengths = {}, []

    async def _take(self, stream):
        while True:
            stream.ready.value = ready = random.random() >= self.idle
            await RisingEdge(stream.clk)
            if ready and stream.valid.value:
                stream.ready.value = 0
                return int(stream.payload.value)

    async def run(self):
        size = self.config.bus_bytes
        while True:
            request = self.request.from_bits(await self._take(self.aw))
            assert request.burst == Burst.INCR
            assert request.size == beat_size(self.config.bus_bits)
            assert request.addr % size == 0
            assert request.addr % BURST_BYTES + (request.len + 1) * size <= BURST_BYTES, "a burst crosses 4 KB"
            self.lengths.append(request.len + 1)
            for n in range(request.len + 1):
                beat = self.data.from_bits(await self._take(self.w))
                assert beat.last == (n == request.len)
                for k in range(size):
                    if beat.strb >> k & 1:
                        self.memory[request.addr + n * size + k] = beat.data >> 8 * k & 255
            await send(self.b, [self.response.const({"resp": self.resp}).as_bits()], self.idle)


async def _connect(dut, idle, resp=Resp.OKAY):
    """Reset the design and let a slave answer it."""
    (config,) = arguments()
    slave = Slave(dut, config, idle, resp)
    await start(dut, dut.i__valid, slave.aw.ready, slave.w.ready, slave.b.valid, dut.start)
    cocotb.start_soon(slave.run())
    return slave


async def _write(dut, slave, base, count):
    """Write ``count`` random results to ``base``; the bytes that memory should hold, and the error strobes seen."""
    slave.memory.clear()
    dut.base.value, dut.start.value = base, 1
    await cycles(dut, 1)
    dut.start.value = 0
    results = [random.getrandbits(32) for _ in range(count)]
    payloads = [result_layout().const({"result": value, "last": n == count - 1}).as_bits()
                for n, value in enumerate(results)]
    cocotb.start_soon(send(Stream(dut, "i"), payloads, slave.idle))
    errors = 0

    async def until_done():
        nonlocal errors
        done = False
        while not done:
            await RisingEdge(dut.clk)
            done = bool(dut.done.value)
            errors += int(dut.error.value)

    await with_timeout(until_done(), 200, "us")
    content = b"".join(value.to_bytes(4, "little") for value in results)
    return {base + n: byte for n, byte in enumerate(content)}, errors


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.4])
async def results_land_in_place(dut, idle):
    slave = await _connect(dut, idle)
    size = slave.config.bus_bytes
    for base, count in ((0, 1), (BURST_BYTES - 2 * size, 100), (3 * size, 2 * size // 4), (0, 16 * size // 4 + 1)):
        wanted, errors = await _write(dut, slave, base, count)
        assert slave.memory == wanted
        assert errors == 0
    assert max(slave.lengths) <= slave.config.write_beats


@cocotb.test()
async def errors_are_reported(dut):
    slave = await _connect(dut, 0.0, Resp.SLVERR)
    _, errors = await _write(dut, slave, 0, 40)
    assert errors == len(slave.lengths)

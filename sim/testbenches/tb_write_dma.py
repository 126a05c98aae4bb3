"""Write DMA: results land where they belong, nothing else changes, bursts are legal."""

import random
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotb.triggers import RisingEdge, with_timeout

from hw.config import EngineConfig
from hw.dma.write import PENDING, WRITE_LATENCY
from hw.parts.axi import BURST_BYTES, AXI4WriteSignature, Burst, Resp, beat_size
from hw.payloads import result_layout
from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments


class Slave:
    """A byte memory behind the write channels; checks every request.

    ``memory`` maps the address of each byte written to its value, and ``lengths`` are the beats of each burst. Bursts
    have the response ``resp``, while ``responding``.
    """

    def __init__(self, dut: Any, config: EngineConfig, idle: float, resp: Resp = Resp.OKAY) -> None:
        self.config, self.idle, self.resp, self.responding = config, idle, resp, True
        members = AXI4WriteSignature(config.addr_bits, config.bus_bits).members
        self.request, self.data, self.response = (
            members[name].signature.members["payload"].shape for name in ("aw", "w", "b"))
        self.aw, self.w, self.b = (Stream(dut, f"axi__{channel}") for channel in ("aw", "w", "b"))
        self.memory: dict[int, int] = {}
        self.lengths: list[int] = []
        self._received: Queue[int] = Queue()

    async def _take(self, stream: Stream) -> int:
        """The next payload of ``stream``."""
        while True:
            stream.ready.value = ready = random.random() >= self.idle
            await RisingEdge(stream.clk)
            if ready and stream.valid.value:
                stream.ready.value = 0
                return int(stream.payload.value)

    async def receive(self) -> None:
        """Take bursts from now on."""
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
            self._received.put_nowait(request.addr)

    async def respond(self) -> None:
        """Answer what has been received, from now on."""
        while True:
            await self._received.get()
            while not self.responding:
                await RisingEdge(self.b.clk)
            await send(self.b, [self.response.const({"resp": self.resp}).as_bits()], self.idle)


async def _connect(dut: Any, idle: float, resp: Resp = Resp.OKAY) -> Slave:
    """Reset the design and let a slave answer it."""
    (config,) = arguments()
    slave = Slave(dut, config, idle, resp)
    await start(dut, dut.i__valid, dut.bases__valid, slave.aw.ready, slave.w.ready, slave.b.valid, dut.flush, dut.abort,
                dut.forget)
    cocotb.start_soon(slave.receive())
    cocotb.start_soon(slave.respond())
    return slave


async def _write(dut: Any, slave: Slave, regions: Sequence[tuple[int, int]]) -> tuple[dict[int, int], list[int]]:
    """Write random results to each ``(base, count)``, one behind the other.

    Returns the bytes that memory should hold, by address, and the addresses of the bursts that failed.
    """
    slave.memory.clear()
    payloads: list[int] = []
    wanted: dict[int, int] = {}
    failed: list[int] = []
    for base, count in regions:
        results = [random.getrandbits(32) for _ in range(count)]
        payloads += [result_layout().const({"result": value, "last": n == count - 1}).as_bits()
                     for n, value in enumerate(results)]
        content = b"".join(value.to_bytes(4, "little") for value in results)
        wanted |= {base + n: byte for n, byte in enumerate(content)}
    cocotb.start_soon(send(Stream(dut, "bases"), [base for base, _ in regions]))
    cocotb.start_soon(send(Stream(dut, "i"), payloads, slave.idle))

    async def until_done() -> None:
        done = 0
        while done < len(regions):
            await RisingEdge(dut.clk)
            done += int(dut.done.value)
            if dut.error.value:
                failed.append(int(dut.addr.value))

    await with_timeout(until_done(), 200, "us")
    return wanted, failed


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.4], flush=[0, 1])
async def results_land_in_place(dut: Any, idle: float, flush: int) -> None:
    slave = await _connect(dut, idle)
    dut.flush.value = flush
    size = slave.config.bus_bytes
    regions = [(0, 1), (BURST_BYTES - 2 * size, 100), (BURST_BYTES // 2 + 3 * size, 2 * size // 4),
               (4 * BURST_BYTES, 1), (2 * BURST_BYTES, 16 * size // 4 + 1)]
    wanted, failed = await _write(dut, slave, regions)
    assert slave.memory == wanted
    assert not failed
    assert max(slave.lengths) <= slave.config.write_beats
    if not flush:
        assert max(slave.lengths) == slave.config.write_beats
        assert len(slave.lengths) <= sum(-(-4 * count // size) // slave.config.write_beats + 2 for _, count in regions)
    await cycles(dut, 3)
    assert dut.idle.value


@cocotb.test()
async def latency_is_as_published(dut: Any) -> None:
    """From the last result of a burst to its address and its first beat."""
    slave = await _connect(dut, 0.0)
    await send(Stream(dut, "bases"), [0])
    await cycles(dut, 3)
    await send(Stream(dut, "i"), [result_layout().const({"result": 1, "last": 1}).as_bits()])
    for cycle in range(1, WRITE_LATENCY + 1):
        await RisingEdge(dut.clk)
        assert bool(slave.aw.valid.value) == bool(slave.w.valid.value) == (cycle == WRITE_LATENCY)


@cocotb.test()
@cocotb.parametrize(resp=[resp for resp in Resp if resp != Resp.OKAY])
async def errors_are_reported(dut: Any, resp: Resp) -> None:
    """Whatever is not OKAY is an error."""
    slave = await _connect(dut, 0.0, resp)
    _, failed = await _write(dut, slave, [(0, 40)])
    assert len(failed) == len(slave.lengths)
    assert failed == [sum(slave.lengths[:n]) * slave.config.bus_bytes for n in range(len(failed))]


@cocotb.test()
async def bursts_wait_while_responses_are_pending(dut: Any) -> None:
    """No more than may be pending are sent; then all go on, and each response belongs to its burst."""
    slave = await _connect(dut, 0.0, Resp.DECERR)
    slave.responding = False
    burst_bytes = slave.config.write_beats * slave.config.bus_bytes
    bursts = PENDING + 3
    writing = cocotb.start_soon(_write(dut, slave, [(0, bursts * burst_bytes // 4)]))
    await cycles(dut, 2 * bursts * burst_bytes // 4)
    assert len(slave.lengths) == PENDING
    assert not dut.idle.value
    slave.responding = True
    wanted, failed = await writing
    assert slave.memory == wanted
    assert failed == [n * burst_bytes for n in range(bursts)]


async def _end_abort(dut: Any) -> None:
    """Wait until the DMA is idle, for 200 cycles at most, and end the abort after one idle cycle."""
    for _ in range(200):
        await RisingEdge(dut.clk)
        if dut.idle.value:
            break
    assert dut.idle.value
    dut.abort.value = 0


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.4])
async def an_abort_ends_the_burst_under_way_and_no_more(dut: Any, idle: float) -> None:
    slave = await _connect(dut, idle)
    size, results = slave.config.bus_bytes, Stream(dut, "i")
    for before in range(0, 6 * size, 5):
        feeder = cocotb.start_soon(send(results, [result_layout().const({"result": n}).as_bits()
                                                  for n in range(10 * size)]))
        await send(Stream(dut, "bases"), [0])
        await cycles(dut, before)
        feeder.cancel()
        results.valid.value = 0
        dut.abort.value = 1
        bursts = len(slave.lengths)
        await RisingEdge(dut.clk)
        await _end_abort(dut)
        assert len(slave.lengths) <= bursts + 1
        wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3)])
        assert slave.memory == wanted, "something was left of the run before"


@cocotb.test()
async def an_abort_forgets_results_that_wait(dut: Any) -> None:
    """All of a matrix, in a full queue and in a full beat before it."""
    slave = await _connect(dut, 0.0)
    slave.responding = False
    count = ((PENDING + 1) * slave.config.write_beats + 1) * slave.config.bus_bytes // 4
    await send(Stream(dut, "bases"), [0])
    await send(Stream(dut, "i"), [result_layout().const({"result": n, "last": n == count - 1}).as_bits()
                                  for n in range(count)])
    await cycles(dut, 20)
    assert len(slave.lengths) == PENDING
    dut.abort.value = 1
    slave.responding = True
    await _end_abort(dut)
    wanted, _ = await _write(dut, slave, [(BURST_BYTES, 3)])
    assert slave.memory == wanted, "something was left of the run before"
    assert len(slave.lengths) == PENDING + 1

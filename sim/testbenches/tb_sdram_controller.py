"""SDRAM controller on a chip that checks every command, under an AXI master that we did not write: data, rate, latency.
"""

import random
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import AxiMaster, AxiResp

from hw.parts.axi import Burst
from hw.sdram.part import CAS_LATENCY
from sim.bench.axi_master import open_master
from sim.bench.streams import cycles, start
from sim.tools.run import arguments

_WIDTH = 4
_BEATS = 64


async def _start(dut: Any, pause: float = 0.0) -> AxiMaster:
    """Reset; returns the master, which stalls on every channel with probability ``pause``."""
    master = open_master(dut, pause)
    await start(dut)
    return master


async def _random_traffic(dut: Any, pause: float) -> None:
    part, _ = arguments()
    master, size = await _start(dut, pause), part.size_bytes
    # Rows are hit, missed and changed; a row ends in the middle of each place.
    places = [row * 1024 - 256 for row in random.sample(range(1, size // 1024), 3)]
    expected = {place: bytearray(random.randbytes(512)) for place in places}
    for place, content in expected.items():
        assert (await master.write(place, bytes(content), awid=0)).resp == AxiResp.OKAY
    for _ in range(8):
        a, b = random.choice(places), random.choice(places)
        at, to = random.randrange(512), random.randrange(512)
        data = random.randbytes(min(random.choice((1, 4, 64, 300)), 512 - at))
        count = min(random.choice((1, 4, 100, 300)), 512 - to)
        reading = master.init_read(b + to, count, arid=0)
        if a == b:
            await reading.wait()
        before = bytes(expected[b][to:to + count])
        response = await master.write(a + at, data, awid=0)
        expected[a][at:at + len(data)] = data
        await reading.wait()
        assert response.resp == AxiResp.OKAY
        assert reading.data.resp == AxiResp.OKAY
        assert reading.data.data == before
    for place, content in expected.items():
        assert (await master.read(place, 512, arid=0)).data == bytes(content)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def traffic(dut: Any) -> None:
    await _random_traffic(dut, 0.0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def traffic_with_pauses(dut: Any) -> None:
    await _random_traffic(dut, 0.4)


async def _sequential(dut: Any, bursts: int) -> list[int]:
    """Read from address 0, requests back to back; returns the cycles in which words were received."""
    requests = [number * _BEATS * _WIDTH for number in range(bursts)]
    dut.s_axi_arlen.value, dut.s_axi_arsize.value, dut.s_axi_arburst.value = _BEATS - 1, 2, Burst.INCR.value
    dut.s_axi_rready.value = 1
    received: list[int] = []
    requested = cycle = 0
    while len(received) < bursts * _BEATS:
        dut.s_axi_arvalid.value = requested < bursts
        dut.s_axi_araddr.value = requests[min(requested, bursts - 1)]
        await RisingEdge(dut.clk)
        requested += bool(dut.s_axi_arvalid.value and dut.s_axi_arready.value)
        if dut.s_axi_rvalid.value:
            received.append(cycle)
        cycle += 1
        assert cycle < 10_000 + 4 * bursts * _BEATS, "words stopped coming"
    return received


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def a_stream_at_the_limit(dut: Any) -> None:
    """What a stream loses in a refresh interval is little more than what closing, refreshing and opening take. Of the
    limit that this leaves, it reaches at least 95 %."""
    part, clock = arguments()
    await start(dut, dut.s_axi_arvalid, dut.s_axi_awvalid, dut.s_axi_wvalid, dut.s_axi_bready)
    interval = part.refresh_interval(clock)
    received = await _sequential(dut, (4 * interval // 2) // _BEATS)
    first = received[0] + interval
    words = sum(first <= cycle < first + 2 * interval for cycle in received)
    assert received[-1] >= first + 2 * interval
    least = sum(part.clocks(name, clock) for name in ("t_rp", "t_rfc", "t_rcd"))
    assert interval - words <= least + 12
    assert words / interval >= 0.95 * part.sequential_limit(clock)
    assert least <= max(later - earlier for earlier, later in pairwise(received)) <= least + 12


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut: Any) -> None:
    """The latency of a read whose row is open, once the chip is initialised."""
    await start(dut, dut.s_axi_arvalid, dut.s_axi_awvalid, dut.s_axi_wvalid, dut.s_axi_bready)
    dut.s_axi_arlen.value, dut.s_axi_arsize.value, dut.s_axi_arburst.value = 0, 2, Burst.INCR.value
    dut.s_axi_rready.value = 1
    latencies = []
    for _ in range(10):
        dut.s_axi_araddr.value, dut.s_axi_arvalid.value = 64, 1
        await RisingEdge(dut.clk)
        while not dut.s_axi_arready.value:
            await RisingEdge(dut.clk)
        dut.s_axi_arvalid.value = 0
        for count in range(1, 10_000):
            await RisingEdge(dut.clk)
            if dut.s_axi_rvalid.value:
                latencies.append(count)
                break
    assert min(latencies) == CAS_LATENCY + 13


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reader_that_stops_holds_up_no_write(dut: Any) -> None:
    master = await _start(dut)
    data = random.randbytes(512)
    await master.write(0, data, awid=0)
    master.read_if.r_channel.pause = True
    reading = [master.init_read(0, 512, arid=0) for _ in range(6)]
    await cycles(dut, 1000)
    assert not reading[0].is_set()
    await with_timeout(cocotb.start_soon(_write(master)), 20_000, "ns")
    master.read_if.r_channel.pause = False
    for read in reading:
        await read.wait()
        assert read.data.data == data
    assert (await master.read(2048, 256, arid=0)).data == b"\xC3" * 256


async def _write(master: AxiMaster) -> None:
    await master.write(2048, b"\xC3" * 256, awid=0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def idle(dut: Any) -> None:
    """Refreshes go on without traffic; the chip checks them."""
    part, clock = arguments()
    await _start(dut)
    for _ in range(2):
        await RisingEdge(dut.refreshing)
    await cycles(dut, 4 * part.refresh_interval(clock))

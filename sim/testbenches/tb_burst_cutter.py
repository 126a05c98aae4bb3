"""Burst cutter: a region's bursts are as few as the 4 KB rule allows, in order, and as fast as published."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import EngineConfig
from hw.dma.burst_cutter import BURST_INTERVAL, CUTTER_LATENCY, burst_layout
from hw.parts.axi import BURST_BYTES
from hw.payloads import Destination, region_layout
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments

Region = tuple[int, int, Destination]
"""Number of the first beat, beats, destination."""


def _base(config: EngineConfig) -> int:
    """Byte address of the beat number 0. With addresses of 64 bits, regions lie across a multiple of 2**32."""
    return 0xA5A5_5A5A_FFFF_E000 if config.addr_bits == 64 else 0


def _regions(config: EngineConfig) -> list[Region]:
    """Regions before, at and across boundaries, and random ones."""
    page, longest = BURST_BYTES // config.bus_bytes, config.burst_beats
    places = [(page - 1, 1), (page - 1, 2), (page, page), (0, page + 1), (3, 0), (5, longest),
              (page - longest, longest + 1), (7, config.max_beats),
              *((random.randrange(4 * page), random.randrange(config.max_beats)) for _ in range(20))]
    return [(first, beats, random.choice(list(Destination))) for first, beats in places]


def _cut(config: EngineConfig, region: Region) -> list[int]:
    """Payloads of the bursts of a region."""
    (first, beats, to), page = region, BURST_BYTES // config.bus_bytes
    bursts = []
    while beats:
        length = min(beats, config.burst_beats, page - first % page)
        bursts.append(burst_layout(config).const(
            {"addr": _base(config) + first * config.bus_bytes, "beats": length, "to": to,
             "final": length == beats}).as_bits())
        first, beats = first + length, beats - length
    return bursts


def _payload(config: EngineConfig, region: Region) -> int:
    first, beats, to = region
    return region_layout(config).const(
        {"addr": _base(config) + first * config.bus_bytes, "beats": beats, "to": to}).as_bits()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def bursts_keep_the_rule(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.abort)
    regions = _regions(config)
    wanted = [burst for region in regions for burst in _cut(config, region)]
    cocotb.start_soon(send(i, [_payload(config, region) for region in regions], idle))
    assert await receive(o, len(wanted), stall) == wanted
    assert not dut.busy.value


@cocotb.test()
async def latency_and_rate_are_as_published(dut: Any) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.abort)
    o.ready.value = 1
    region = (0, 2 * config.burst_beats, Destination.WEIGHTS)
    await send(i, [_payload(config, region)])  # returns at the edge at which the region is accepted
    offered = []
    for cycle in range(1, CUTTER_LATENCY + 3 * BURST_INTERVAL):
        await RisingEdge(dut.clk)
        if o.valid.value:
            offered.append(cycle)
    assert offered == [CUTTER_LATENCY, CUTTER_LATENCY + BURST_INTERVAL]


@cocotb.test()
async def an_abort_forgets_the_region(dut: Any) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.abort)
    region = (1, 2 * config.burst_beats, Destination.WEIGHTS)
    for before in range(1, 8):
        await send(i, [_payload(config, region)])
        await cycles(dut, before)
        assert dut.busy.value
        dut.abort.value = 1
        await RisingEdge(dut.clk)
        assert not o.valid.value
        dut.abort.value = 0
        await RisingEdge(dut.clk)
        assert not dut.busy.value
        wanted = _cut(config, region)
        cocotb.start_soon(send(i, [_payload(config, region)]))
        assert await receive(o, len(wanted)) == wanted

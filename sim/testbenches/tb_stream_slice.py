"""Slice: payloads come out in order, one a cycle, the first in the cycle after it went in; it holds two of them."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hw.parts.stream_slice import StreamSlice
from sim.bench.streams import PERIOD_NS, Stream, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def order_is_kept(dut: Any, idle: float, stall: float) -> None:
    width, = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads = [random.getrandbits(width) for _ in range(200)]
    before = get_sim_time("ns")
    cocotb.start_soon(send(i, payloads, idle))
    assert await receive(o, len(payloads), stall, more=True) == payloads
    if not idle and not stall:
        assert get_sim_time("ns") - before <= PERIOD_NS * (len(payloads) + 2)
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert not o.valid.value


@cocotb.test()
async def it_fills_up(dut: Any) -> None:
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    i.valid.value = 1
    for n in range(5):
        i.payload.value = n
        await RisingEdge(dut.clk)
        assert bool(i.ready.value) == (n < StreamSlice.room)
        assert bool(o.valid.value) == (n >= StreamSlice.latency), "a payload is not offered in time"

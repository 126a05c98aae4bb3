"""Queue: payloads come out in order, the first in the cycle after it went in; it holds ``depth`` of them."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.parts.stream_queue import StreamQueue
from sim.bench.streams import Stream, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def order_is_kept(dut: Any, idle: float, stall: float) -> None:
    width, _ = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    payloads = [random.getrandbits(width) for _ in range(200)]
    cocotb.start_soon(send(i, payloads, idle))
    assert await receive(o, len(payloads), stall) == payloads


@cocotb.test()
async def it_fills_up(dut: Any) -> None:
    width, depth = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    i.valid.value = 1
    for n in range(depth + 3):
        i.payload.value = n % (1 << width)
        await RisingEdge(dut.clk)
        assert bool(i.ready.value) == (n < depth)
        assert bool(o.valid.value) == (n >= StreamQueue.latency), "a payload is not offered in time"
        assert int(dut.level.value) == min(n, depth)

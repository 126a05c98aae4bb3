"""Credit gate before a queue: the queue never overflows, no payload is lost, and no room is left unused."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.bench.streams import Stream, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.3, 0.9])
async def payloads_wait_for_room(dut: Any, idle: float, stall: float) -> None:
    shape, depth = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, dut.returned)
    payloads = [random.getrandbits(shape) for _ in range(300)]
    cocotb.start_soon(send(i, payloads, idle))
    # This list stands for the pipeline and the queue behind it: a payload in either of them holds a credit.
    queue: list[int] = []
    found: list[int] = []
    fullest = waited = 0
    while len(found) < len(payloads):
        dut.returned.value = popped = bool(queue) and random.random() >= stall
        if popped:
            found.append(queue.pop(0))
        await RisingEdge(dut.clk)
        if o.valid.value:
            queue.append(int(o.payload.value))
        waited = waited + 1 if not i.ready.value and len(queue) < depth else 0
        assert waited <= 2, "closed, with credits left"
        fullest = max(fullest, len(queue))
        assert fullest <= depth
    assert found == payloads
    if stall == 0.9 and not idle:
        assert fullest == depth

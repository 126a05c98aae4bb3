"""Credit gate before a queue: the queue never overflows, nothing is lost, and room that is there is used."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from sim.bench.streams import Stream, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.3, 0.9])
async def payloads_wait_for_room(dut, idle, stall):
    shape, depth = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, dut.returned)
    payloads = [random.getrandbits(shape) for _ in range(300)]
    cocotb.start_soon(send(i, payloads, idle))
    # The queue is this list; what a pipeline before it holds has been let in, so it counts.
    queue, found, fullest, waited = [], [], 0, 0
    while len(found) < len(payloads):
        dut.returned.value = taken = bool(queue) and random.random() >= stall
        if taken:
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

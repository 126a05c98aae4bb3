"""Beat router: the first beats go one way, the rest the other."""

import random

import cocotb

from sim.runner import arguments
from sim.streams import Stream, cycles, receive, send, start


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def beats_part_after_the_activations(dut, idle, stall):
    (config,) = arguments()
    i, activations, weights = (Stream(dut, name) for name in ("i", "activations", "weights"))
    await start(dut, i.valid, activations.ready, weights.ready, dut.start)
    for first, rest in ((1, 30), (12, 40), (config.max_activation_beats, 5)):
        dut.beats.value, dut.start.value = first, 1
        await cycles(dut, 1)
        dut.start.value = 0
        beats = [random.getrandbits(config.bus_bits) for _ in range(first + rest)]
        cocotb.start_soon(send(i, beats, idle))
        taken = cocotb.start_soon(receive(weights, rest, stall))
        assert await receive(activations, first, stall) == beats[:first]
        assert await taken == beats[first:]

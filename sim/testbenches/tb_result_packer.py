"""Result packer: results become beats in order, the last of a matrix says which slots it fills, and clear forgets."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.dma.result_packer import result_beat
from sim.bench.results import packed
from sim.bench.streams import Stream, cycles, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def results_become_beats(dut: Any, idle: float, stall: float) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.clear)
    payloads: list[int] = []
    expected: list[tuple[list[int], int]] = []
    for count in (1, config.beat_results, config.beat_results + 1, 5 * config.beat_results - 1, 2):
        results = [random.getrandbits(32) for _ in range(count)]
        payloads += packed(config, results)
        beats = [results[n:n + config.beat_results] for n in range(0, count, config.beat_results)]
        expected += [(beat, (1 << len(beat)) - 1) for beat in beats]
    cocotb.start_soon(send(i, payloads, idle))
    for bits, (results, slots) in zip(await receive(o, len(expected), stall), expected, strict=True):
        beat = result_beat(config.bus_bits).from_bits(bits)
        assert [beat.data >> 32 * n & 0xFFFF_FFFF for n in range(len(results))] == results
        assert beat.slots == slots


@cocotb.test()
async def as_many_as_published_pass_in_every_cycle(dut: Any) -> None:
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.clear)
    o.ready.value = 1
    sending = cocotb.start_soon(send(i, packed(config, range(8 * config.beat_results))))
    await cycles(dut, 8 * config.beat_results // config.results_per_cycle)
    assert i.ready.value
    await cycles(dut, 1)
    assert sending.done()


@cocotb.test()
async def what_is_under_way_is_forgotten(dut: Any) -> None:
    """A beat that waits, and one that is not full."""
    (config,) = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready, dut.clear)
    whole = packed(config, list(range(config.beat_results)))
    for started in range(1, len(whole) + 1):
        await send(i, whole[:started])
        dut.clear.value = 1
        await RisingEdge(dut.clk)
        dut.clear.value = 0
        cocotb.start_soon(send(i, packed(config, [7])))
        (bits,) = await receive(o, 1)
        beat = result_beat(config.bus_bits).from_bits(bits)
        assert (beat.data & 0xFFFF_FFFF, beat.slots) == (7, 1)

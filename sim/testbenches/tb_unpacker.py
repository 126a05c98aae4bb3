"""Unpacker: no bit is lost or moved, and a beat is accepted in every cycle."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from hw.dma.unpacker import unpacker_latency, unpacker_room
from hw.payloads import packed_layout
from sim.bench.streams import PERIOD_NS, Stream, receive, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5], stall=[0.0, 0.5])
async def words_are_the_bits_of_the_beats(dut: Any, idle: float, stall: float) -> None:
    beat_bits, word_bits, *_ = arguments()
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    for length in (300, 1, 2, 7, 8, 9, 10, 299):  # nothing of a matrix may be left in the next one
        beats = [random.getrandbits(beat_bits) for _ in range(length)]
        bits = sum(beat << n * beat_bits for n, beat in enumerate(beats))
        count = len(beats) * beat_bits // word_bits
        began = get_sim_time("ns")
        sender = cocotb.start_soon(send(i, [packed_layout(beat_bits).const(
            {"data": beat, "last": n == len(beats) - 1}).as_bits() for n, beat in enumerate(beats)], idle))
        words = await receive(o, count, stall) if count else []
        await sender
        if idle == stall == 0:
            assert (get_sim_time("ns") - began) / PERIOD_NS <= len(beats) + 25, "a beat was not accepted in every cycle"
        assert words == [bits >> n * word_bits & (1 << word_bits) - 1 for n in range(count)]


@cocotb.test()
async def latency_and_room_are_as_published(dut: Any) -> None:
    """Nobody accepts a word: the first is offered in time, and no more words are received than there is room for."""
    (beat_bits, word_bits, *_), beats, offered = arguments(), 0, None
    i, o = Stream(dut, "i"), Stream(dut, "o")
    await start(dut, i.valid, o.ready)
    i.valid.value, i.payload.value = 1, 0
    for cycle in range(40):
        await RisingEdge(dut.clk)
        if (beats + 1) * beat_bits >= word_bits and offered is None:
            offered = cycle + unpacker_latency(*arguments())
        assert bool(o.valid.value) == (offered is not None and cycle >= offered)
        beats += bool(i.ready.value)
    assert beats * beat_bits // word_bits <= unpacker_room(*arguments())

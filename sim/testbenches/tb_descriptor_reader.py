"""Descriptor reader: what the host wrote arrives in the registers; a wrong descriptor is reported."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.dma.descriptor import (
    WORDS,
    beat_words,
    descriptor_alignment,
    descriptor_beats,
    descriptor_image,
    descriptor_latency,
)
from hw.registers.register_map import DESCRIPTOR_REGISTERS
from sim.bench.streams import Stream, beats_of, send, start
from sim.tools.run import arguments


@cocotb.test()
@cocotb.parametrize(idle=[0.0, 0.5])
async def descriptors_arrive(dut: Any, idle: float) -> None:
    config, identity = arguments()
    i = Stream(dut, "i")
    await start(dut, i.valid, dut.enable)
    registers: dict[str, int] = {}
    done: list[int] = []
    bad: list[int] = []

    async def watch() -> None:
        while True:
            await RisingEdge(dut.clk)
            words = int(dut.words.value) if dut.load.value else 0
            for n, name in enumerate(DESCRIPTOR_REGISTERS):
                if int(dut.load.value) >> n & 1:
                    registers[name] = words >> 32 * (n % beat_words(config)) & 0xFFFFFFFF
            done.append(int(dut.done.value))
            bad.append(int(dut.bad.value))

    cocotb.start_soon(watch())
    alignment = descriptor_alignment(config)
    for wrong in (None, len(WORDS) - 1, len(WORDS), None, len(WORDS) + 1):
        words = {name: random.getrandbits(32) for name in DESCRIPTOR_REGISTERS}
        image = bytearray(descriptor_image(words | {"FORMAT": identity}).ljust(alignment, b"\0"))
        if wrong is not None:
            image[4 * wrong + random.randrange(4)] ^= 1 << random.randrange(8)
        beats = beats_of(bytes(image), config.bus_bytes)
        assert len(beats) == descriptor_beats(config)
        for log in (done, bad, registers):
            log.clear()
        dut.enable.value = 0
        sender = cocotb.start_soon(send(i, beats, idle))
        for _ in range(5):
            await RisingEdge(dut.clk)
        assert not registers, "a beat was accepted before it was enabled"
        dut.enable.value = 1
        await sender
        for _ in range(2):
            await RisingEdge(dut.clk)
        assert registers == words
        assert sum(done) == 1
        assert sum(bad) == (wrong is not None)


@cocotb.test()
async def latency_is_as_published(dut: Any) -> None:
    """From a beat to the report of what is wrong with it; the word is valid in the cycle before."""
    config, identity = arguments()
    i = Stream(dut, "i")
    await start(dut, i.valid, dut.enable)
    dut.enable.value = 1
    words = dict.fromkeys(WORDS, 0) | {"FORMAT": identity ^ 1}
    beats = beats_of(descriptor_image(words).ljust(descriptor_alignment(config), b"\0"), config.bus_bytes)
    wrong = WORDS.index("FORMAT") // beat_words(config)
    loaded, bad = [], []
    for cycle in range(wrong + descriptor_latency(config) + 3):
        i.valid.value = cycle <= wrong  # a beat is accepted at each edge
        i.payload.value = beats[min(cycle, wrong)]
        await RisingEdge(dut.clk)
        if int(dut.load.value) & 1:
            loaded.append(cycle)
        if dut.bad.value:
            bad.append(cycle)
    assert loaded == [descriptor_latency(config) - 1]
    assert bad == [wrong + descriptor_latency(config)]

"""The bridge to the registers: accesses reach the bus once, and what they find or fail at comes back."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.link.register_bridge import ACCESS
from hw.registers.register_map import ADDR_BITS
from sim.bench.axi_lite_slave import AxiLiteSlave
from sim.bench.streams import Stream, cycles, receive, start

BAD_REGISTER = 0x40
"""Answered with an error."""


class Decoder:
    """What stands before the bridge, and the registers behind it."""

    def __init__(self, dut: Any, idle: float) -> None:
        self._dut, self._access, self.words = dut, Stream(dut, "i"), Stream(dut, "words")
        self.registers = AxiLiteSlave(dut, "axil", ADDR_BITS, idle, frozenset({BAD_REGISTER}))

    async def start(self) -> None:
        await start(self._dut, self._access.valid, self.words.ready, *self.registers.inputs)
        self.registers.start()

    async def access(self, write: bool, addr: int, data: int = 0) -> bool:
        """Whether the access was carried out."""
        self._access.payload.value = ACCESS.const({"write": write, "addr": addr, "data": data}).as_bits()
        self._access.valid.value = 1
        await RisingEdge(self._dut.clk)
        while not self._access.ready.value:
            await RisingEdge(self._dut.clk)
        self._access.valid.value = 0
        return not self._dut.refused.value


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.6])
async def every_access_is_carried_out_once(dut: Any, idle: float) -> None:
    decoder, expected, transfers = Decoder(dut, idle), dict[int, int](), 0
    await decoder.start()
    for _ in range(200):
        write, addr, data = random.random() < 0.5, 4 * random.randrange(24), random.getrandbits(32)
        done = await decoder.access(write, addr, data)
        assert done == (addr != BAD_REGISTER)
        transfers += 1 + write
        if done and write:
            expected[addr] = data
        elif done:
            assert await receive(decoder.words, 1, idle, more=True) == [expected.get(addr, 0)]
        await cycles(dut, random.choice((1, 1, 4)))
        assert not decoder.words.valid.value
        assert decoder.registers.accesses == transfers
    assert decoder.registers.values == expected


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_word_waits_for_its_receiver(dut: Any) -> None:
    """The next read does not reach the bus before the word is accepted; a write does not change the word."""
    decoder = Decoder(dut, 0.0)
    await decoder.start()
    for addr in (0, 4):
        assert await decoder.access(True, addr, 100 + addr)
    assert await decoder.access(False, 0)
    assert await decoder.access(True, 8, 5)
    before = decoder.registers.accesses
    second = cocotb.start_soon(decoder.access(False, 4))
    await cycles(dut, 20)
    assert decoder.registers.accesses == before
    assert await receive(decoder.words, 1, more=True) == [100]
    assert await second
    assert await receive(decoder.words, 1) == [104]

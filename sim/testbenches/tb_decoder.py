"""The decoder of requests: each goes to the part that carries it out, once, and is answered; or it is refused."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout

from hw.link.memory_bridge import Transfer, transfer_layout
from hw.link.protocol import IDENTITY, REQUEST, RESPONSE, LinkCommand, LinkStatus
from hw.link.register_bridge import ACCESS
from hw.registers.register_map import ADDR_BITS
from sim.bench.streams import Stream, cycles, start
from sim.tools.run import arguments

READS = {LinkCommand.READ_MEMORY: Transfer.READ, LinkCommand.SUM_MEMORY: Transfer.SUM}
UNKNOWN = len(LinkCommand)


class Link:
    """What stands around the decoder. ``calls`` is what it has asked for: "identify", accesses and transfers."""

    def __init__(self, dut: Any) -> None:
        (self.addr_bits,) = arguments()
        self._dut, self._request, self._header = dut, Stream(dut, "i"), Stream(dut, "header")
        self._access, self._transfer = Stream(dut, "access"), Stream(dut, "transfer")
        self._layout = transfer_layout(self.addr_bits)
        self.calls: list[Any] = []
        self.refuse = False
        self.sequence = random.getrandbits(8)

    async def start(self) -> None:
        await start(self._dut, self._request.valid, self._header.ready, self._access.ready, self._transfer.ready,
                    self._dut.refused, self._dut.written, self._dut.word)
        for task in (self._identity(), self._registers(), self._memory()):
            cocotb.start_soon(task)

    async def _identity(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            if self._dut.identify.value:
                self.calls.append("identify")

    async def _registers(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            await self._rises(self._access.valid)  # at an edge of the clock: between two, it may glitch
            await cycles(self._dut, random.randrange(4))
            self._access.ready.value, self._dut.refused.value = 1, self.refuse
            await RisingEdge(self._dut.clk)
            access = ACCESS.from_bits(int(self._access.payload.value))
            self.calls.append((access.write, access.addr, access.data if access.write else None))
            self._access.ready.value = self._dut.refused.value = 0

    async def _memory(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            await self._rises(self._transfer.valid)  # at an edge of the clock: between two, it may glitch
            await cycles(self._dut, random.randrange(4))
            self._transfer.ready.value = 1
            await RisingEdge(self._dut.clk)
            transfer = self._layout.from_bits(int(self._transfer.payload.value))
            self.calls.append((transfer.kind, transfer.addr, transfer.count))
            self._transfer.ready.value = 0
            if transfer.kind == Transfer.WRITE:
                pause = random.randrange(20)
                for _ in range(pause):
                    await RisingEdge(self._dut.clk)
                    assert not self._header.valid.value, "answered before it was written"
                self._dut.written.value = 1
                await RisingEdge(self._dut.clk)
                self._dut.written.value = 0

    async def _rises(self, handle: Any) -> None:
        while not handle.value:
            await RisingEdge(self._dut.clk)

    async def request(self, command: int, count: int, address: int, word: int = 0, *, repeat: bool = False
                      ) -> tuple[LinkStatus, int]:
        """Status and count of the response."""
        self.sequence = (self.sequence + (not repeat)) % 256
        self._request.payload.value = REQUEST.const(
            {"sequence": self.sequence, "command": command, "count": count, "address": address}).as_bits()
        self._request.valid.value, self._dut.word.value = 1, word
        await RisingEdge(self._dut.clk)
        await with_timeout(self._rises(self._header.valid), 1, "us")
        await cycles(self._dut, random.randrange(3))
        self._header.ready.value = 1
        await RisingEdge(self._dut.clk)
        self._header.ready.value = 0
        header = RESPONSE.from_bits(int(self._header.payload.value))
        assert header.sequence == self.sequence
        for _ in range(random.randrange(1, 10)):
            await RisingEdge(self._dut.clk)
            assert not self._request.ready.value, "accepted before the response was sent"
        self._header.ready.value = 1
        await RisingEdge(self._dut.clk)
        self._header.ready.value = 0
        assert self._request.ready.value
        self._request.valid.value = 0
        await cycles(self._dut, random.randrange(3))
        assert not self._header.valid.value
        return LinkStatus(header.status), header.count

    async def expect(self, *request: int, call: Any = None, count: int = 0, status: LinkStatus = LinkStatus.DONE,
                     repeat: bool = False) -> None:
        """The request is answered so, and asks for ``call`` or nothing."""
        self.calls = []
        assert await self.request(*request, repeat=repeat) == (status, count)
        assert self.calls == ([] if call is None else [call])


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_command_reaches_its_part(dut: Any) -> None:
    link = Link(dut)
    await link.start()
    size = 1 << link.addr_bits
    for _ in range(20):
        await link.expect(LinkCommand.IDENTIFY.value, random.getrandbits(16), random.getrandbits(32), call="identify",
                          count=len(IDENTITY))
        addr, word = random.getrandbits(ADDR_BITS), random.getrandbits(32)
        await link.expect(LinkCommand.READ_REGISTER.value, random.getrandbits(16), addr, call=(0, addr, None), count=1)
        await link.expect(LinkCommand.WRITE_REGISTER.value, 1, addr, word, call=(1, addr, word))
        for count in (0, random.randrange(1, 100), min(size // 4, 0xFFFF)):
            place = 4 * random.randrange(size // 4 - count + 1) % size
            for command, kind in READS.items():
                await link.expect(command.value, count, place, call=(kind, place, count),
                                  count=count if kind == Transfer.READ else 1)
            await link.expect(LinkCommand.WRITE_MEMORY.value, count, place, call=(Transfer.WRITE, place, count))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def what_does_not_exist_is_refused(dut: Any) -> None:
    """Nothing is asked for, and the next request is carried out."""
    link = Link(dut)
    await link.start()
    size = 1 << link.addr_bits
    memory = [(command.value, count, address) for command in (*READS, LinkCommand.WRITE_MEMORY)
              for count, address in ((1, size), (2, size - 4), (1, 2), (1, (1 << 32) - 4), (0xFFFF, 0))]
    registers = [(LinkCommand.READ_REGISTER.value, 1, 1 << ADDR_BITS), (LinkCommand.READ_REGISTER.value, 1, 1 << 31),
                 (LinkCommand.WRITE_REGISTER.value, 1, 1 << ADDR_BITS), (LinkCommand.WRITE_REGISTER.value, 0, 0),
                 (LinkCommand.WRITE_REGISTER.value, 2, 0)]
    for request in (*memory, *registers, (UNKNOWN, 1, 0), (255, 0, 0)):
        await link.expect(*request, status=LinkStatus.REFUSED)
        await link.expect(LinkCommand.WRITE_REGISTER.value, 1, 8, 5, call=(1, 8, 5))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_repeated_write_is_answered_as_before(dut: Any) -> None:
    """It asks for nothing. A write whose number was used earlier, or before an IDENTIFY, is another one."""
    link = Link(dut)
    await link.start()
    writes = ((LinkCommand.WRITE_REGISTER.value, 1, 4, 7), (1, 4, 7)), ((LinkCommand.WRITE_MEMORY.value, 9, 64),
                                                                        (Transfer.WRITE, 64, 9))
    for write, call in writes:
        await link.expect(*write, call=call)
        for _ in range(2):
            await link.expect(*write, repeat=True)
        await link.expect(LinkCommand.IDENTIFY.value, 4, 0, call="identify", count=len(IDENTITY), repeat=True)
        await link.expect(*write, call=call, repeat=True)
    link.refuse = True
    write, call = writes[0]
    await link.expect(*write, call=call, status=LinkStatus.REFUSED)
    await link.expect(*write, repeat=True, status=LinkStatus.REFUSED)
    await link.expect(LinkCommand.READ_REGISTER.value, 1, 4, call=(0, 4, None), status=LinkStatus.REFUSED)
    link.refuse = False
    await link.expect(*write, call=call)
    for _ in range(255):
        await link.expect(LinkCommand.READ_REGISTER.value, 1, 4, call=(0, 4, None), count=1)
    await link.expect(*write, call=call)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_first_write_after_reset_is_no_repetition(dut: Any) -> None:
    link = Link(dut)
    await link.start()
    link.sequence = 0
    await link.expect(LinkCommand.WRITE_REGISTER.value, 1, 4, 7, call=(1, 4, 7), repeat=True)

"""UART, both directions, its line driven and read by time: every byte, other clocks, noise, missing stop bits."""

import random
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer, ValueChange
from cocotb.utils import get_sim_time

from sim.bench.streams import Stream, cycles, send, start
from sim.tools.run import arguments

CYCLE_PS = 10_000


class Line:
    """The far end of the receiver's line, whose bits are ``rate`` times as long as ours, and the bytes received."""

    def __init__(self, dut: Any, rate: float = 1.0) -> None:
        (self.divisor,) = arguments()
        self._dut, self._bit = dut, self.divisor * rate
        self.bytes: list[int] = []

    async def start(self) -> None:
        self._dut.rx.value = 1
        await start(self._dut, self._dut.i__valid)
        cocotb.start_soon(self._receive())
        await Timer(random.randrange(CYCLE_PS), "ps")  # not in step with our clock

    async def _receive(self) -> None:
        while True:
            await RisingEdge(self._dut.received)
            await RisingEdge(self._dut.clk)
            self.bytes.append(int(self._dut.byte.value))
            await RisingEdge(self._dut.clk)
            assert not self._dut.received.value, "a byte is offered for more than a cycle"

    async def level(self, value: int, bits: float) -> None:
        """Hold the line at ``value`` for as long as ``bits`` last."""
        self._dut.rx.value = value
        await Timer(round(bits * self._bit * CYCLE_PS), "ps")

    async def send(self, byte: int, stop: int = 1) -> None:
        """Send a byte, its stop bit at ``stop``."""
        for value in (0, *(byte >> n & 1 for n in range(8)), stop):
            await self.level(value, 1)

    async def found(self) -> list[int]:
        """The bytes received so far, once none is on its way."""
        await self.level(1, 10 + 8 / self.divisor)
        found, self.bytes = self.bytes, []
        return found


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(rate=[1.0, 0.96, 1.04])
async def every_byte_back_to_back(dut: Any, rate: float) -> None:
    (divisor,) = arguments()
    line = Line(dut, rate if divisor > 10 else 1.0)  # few cycles a bit leave no room for another clock
    await line.start()
    sent = random.sample(range(256), 256 if rate == 1 else 50)
    for byte in sent:
        await line.send(byte)
    assert await line.found() == sent


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def noise_is_no_byte(dut: Any) -> None:
    """Noise is a line that is low for less than half a bit, alone and before a byte."""
    line = Line(dut)
    await line.start()
    for _ in range(12):
        await line.level(0, random.uniform(0.05, (line.divisor // 2 - 0.1) / line.divisor))
        assert await line.found() == []
        await line.level(0, 0.4)
        await line.level(1, 0.7)
        await line.send(byte := random.getrandbits(8))
        assert await line.found() == [byte]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_byte_without_a_stop_bit_is_dropped(dut: Any) -> None:
    """Whatever follows until the line is high again is dropped too; the next byte is right."""
    line = Line(dut)
    await line.start()
    for low in (0, 1, 5, 9, 10, 14, 33):
        await line.send(random.getrandbits(8), stop=0)
        await line.level(0, low + random.random())
        await line.level(1, 1)
        await line.send(byte := random.getrandbits(8))
        assert await line.found() == [byte]


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(idle=[0.0, 0.01])
async def every_byte_goes_out(dut: Any, idle: float) -> None:
    """Every level lasts whole bits, and bytes that wait follow each other a cycle after the stop bit."""
    (divisor,) = arguments()
    line = Stream(dut, "i")
    changes: list[tuple[int, int]] = []

    async def watch() -> None:
        while True:
            await ValueChange(dut.tx)
            changes.append((int(get_sim_time("ps")) // CYCLE_PS, int(dut.tx.value)))

    await start(dut, line.valid)
    assert dut.tx.value, "the line is not high when idle"
    cocotb.start_soon(watch())
    sent = random.sample(range(256), 50 if idle else 256)
    await send(line, sent, idle)
    await cycles(dut, 11 * divisor)
    found, starts = [], []
    while changes:
        begin, level = changes[0]
        assert level == 0
        levels = [[value for time, value in changes if time <= begin + bit * divisor][-1] for bit in range(10)]
        during = [time for time, _ in changes if time < begin + 10 * divisor]
        assert all((time - begin) % divisor == 0 for time in during), "a bit of another length"
        assert levels[9] == 1, "no stop bit"
        found.append(sum(value << n for n, value in enumerate(levels[1:9])))
        starts.append(begin)
        changes = changes[len(during):]
    assert found == sent
    gaps = [later - earlier - 10 * divisor for earlier, later in pairwise(starts)]
    assert min(gaps) >= 0
    if not idle:
        assert max(gaps) <= 1

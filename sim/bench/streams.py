"""Drivers and monitors under cocotb for ``lib.stream`` ports, whose payloads are integers here.

Values are read just after a rising edge and are those of before it; so a transfer happens at every edge that finds
``valid`` and ``ready`` set.
"""

import random
from collections.abc import Iterable
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout

__all__ = ["PERIOD_NS", "Stream", "beats_of", "cycles", "receive", "receive_one", "send", "start"]

PERIOD_NS = 10
"""Clock period of every testbench, nanoseconds."""
_QUIET_CYCLES = 20
"""Cycles after the last payload in which no further one may be offered."""


class Stream:
    """The port ``name`` of ``dut``: handles of its ``valid``, ``ready`` and ``payload``, and of the clock ``clk``."""

    def __init__(self, dut: Any, name: str) -> None:
        self.clk, self.name = dut.clk, name
        self.valid, self.ready, self.payload = (getattr(dut, f"{name}__{part}") for part in
                                                ("valid", "ready", "payload"))


def beats_of(content: bytes, bus_bytes: int) -> list[int]:
    """``content`` as beats of ``bus_bytes`` bytes, little-endian integers, with zeros behind the last byte."""
    padded = content + bytes(-len(content) % bus_bytes)
    return [int.from_bytes(padded[n:n + bus_bytes], "little") for n in range(0, len(padded), bus_bytes)]


async def start(dut: Any, *inputs: Any) -> None:
    """Start the clock, set ``inputs`` (handles) to 0 and reset the design; returns at the edge that ends the reset."""
    for handle in inputs:
        handle.value = 0
    Clock(dut.clk, PERIOD_NS, "ns").start()
    dut.rst.value = 1
    await cycles(dut, 3)
    dut.rst.value = 0


async def cycles(dut: Any, count: int) -> None:
    """Wait for ``count`` rising edges."""
    for _ in range(count):
        await RisingEdge(dut.clk)


async def send(stream: Stream, payloads: Iterable[int], idle: float = 0.0) -> None:
    """Send each payload; before each, skip cycles with probability ``idle``."""
    for payload in payloads:
        while random.random() < idle:
            stream.valid.value = 0
            await RisingEdge(stream.clk)
        stream.valid.value = 1
        stream.payload.value = payload
        await RisingEdge(stream.clk)
        while not stream.ready.value:
            await RisingEdge(stream.clk)
    stream.valid.value = 0


async def receive_one(stream: Stream) -> int:
    """The next payload that ``stream`` offers."""
    stream.ready.value = 1
    await RisingEdge(stream.clk)
    while not stream.valid.value:
        await RisingEdge(stream.clk)
    stream.ready.value = 0
    return int(stream.payload.value)


async def receive(stream: Stream, count: int, stall: float = 0.0, timeout_cycles: int = 100_000,
                  more: bool = False) -> list[int]:
    """Receive ``count`` payloads, not ready with probability ``stall``.

    With ``stall``, ready is set only once the first payload is offered, because valid must not wait for ready. An
    offered payload must stay until it is accepted. After the last payload none may be offered, unless ``more`` are
    expected.

    Raises
    ------
    AssertionError
        When the stream breaks one of these rules.
    cocotb.triggers.SimTimeoutError
        When the payloads take longer than ``timeout_cycles`` cycles.
    """
    payloads: list[int] = []

    async def collect() -> None:
        offered = None
        while stall and not stream.valid.value:
            stream.ready.value = 0
            await RisingEdge(stream.clk)
        while len(payloads) < count:
            ready = random.random() >= stall
            stream.ready.value = ready
            await RisingEdge(stream.clk)
            if not stream.valid.value:
                assert offered is None, f"{stream.name} withdrew a payload that was not accepted"
                continue
            payload = int(stream.payload.value)
            assert offered in (None, payload), f"{stream.name} changed a payload that was not accepted"
            offered = None if ready else payload
            if ready:
                payloads.append(payload)
        stream.ready.value = 0

    await with_timeout(collect(), timeout_cycles * PERIOD_NS, "ns")
    for _ in range(0 if more else _QUIET_CYCLES):
        await RisingEdge(stream.clk)
        assert not stream.valid.value, f"{stream.name} offers more than {count} payloads"
    return payloads

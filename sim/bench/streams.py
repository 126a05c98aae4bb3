"""Drivers and monitors for ``lib.stream`` ports in cocotb testbenches.

Values are read just after a rising edge and are those of before it; so a transfer happens at every edge that finds
``valid`` and ``ready`` set.
"""

import random

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, with_timeout

__all__ = ["Stream", "cycles", "receive", "receive_one", "send", "start"]


class Stream:
    """The port ``name`` of ``dut``: handles of its ``valid``, ``ready`` and ``payload``."""

    def __init__(self, dut, name):
        self.clk, self.name = dut.clk, name
        self.valid, self.ready, self.payload = (getattr(dut, f"{name}__{part}") for part in
                                                ("valid", "ready", "payload"))


async def start(dut, *inputs):
    """Start the clock, set ``inputs`` (handles) to 0 and reset the design; returns at the edge that ends the reset."""
    for handle in inputs:
        handle.value = 0
    Clock(dut.clk, 10, "ns").start()
    dut.rst.value = 1
    await cycles(dut, 3)
    dut.rst.value = 0


async def cycles(dut, count):
    """Wait for ``count`` rising edges."""
    for _ in range(count):
        await RisingEdge(dut.clk)


async def send(stream, payloads, idle=0.0):
    """Send each payload (int); before each, skip cycles with probability ``idle``."""
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


async def receive_one(stream):
    """The next payload (int) that ``stream`` offers."""
    stream.ready.value = 1
    await RisingEdge(stream.clk)
    while not stream.valid.value:
        await RisingEdge(stream.clk)
    stream.ready.value = 0
    return int(stream.payload.value)


async def receive(stream, count, stall=0.0, timeout_cycles=100_000, more=False):
    """Receive ``count`` payloads (ints), not ready with probability ``stall``.

    With ``stall``, the first is not asked for before it is offered: valid must not wait for ready. Then, unless
    ``more`` are expected, check that none is offered.

    Also checks that an offered payload stays until it is taken. A wait of ``timeout_cycles`` clock periods of 10 ns
    raises cocotb's SimTimeoutError.
    """
    payloads = []

    async def collect():
        offered = None
        while stall and not stream.valid.value:
            stream.ready.value = 0
            await RisingEdge(stream.clk)
        while len(payloads) < count:
            ready = random.random() >= stall
            stream.ready.value = ready
            await RisingEdge(stream.clk)
            if not stream.valid.value:
                assert offered is None, f"{stream.name} withdrew a payload that was not taken"
                continue
            payload = int(stream.payload.value)
            assert offered in (None, payload), f"{stream.name} changed a payload that was not taken"
            offered = None if ready else payload
            if ready:
                payloads.append(payload)
        stream.ready.value = 0

    await with_timeout(collect(), timeout_cycles * 10, "ns")
    for _ in range(0 if more else 20):
        await RisingEdge(stream.clk)
        assert not stream.valid.value, f"{stream.name} offers more than {count} payloads"
    return payloads

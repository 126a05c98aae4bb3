"""Serves the simulated system, from inside the simulator, to :class:`sim.device.cocotb_device.SimDevice`.

Commands are received over a socket, one at a time, and simulated time stands still between them. While the host waits
for a run, only the simulator works: the clock is one of cocotb's that needs no Python.
"""

from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from hw.registers.register_map import ADDR_BITS
from sim.bench.register_bus import BusError, RegisterBus
from sim.bench.streams import PERIOD_NS, cycles, start
from sim.tools.run import arguments


class Server:
    """Carries out commands; each method that does not begin with an underscore is one, and is called by its name.

    Parameters
    ----------
    dut : handle
        A :class:`~sim.device.system.System`.
    bus_bytes : int
        Width of its memory bus.
    """

    def __init__(self, dut: Any, bus_bytes: int) -> None:
        self._dut, self._bus_bytes = dut, bus_bytes
        self.registers = RegisterBus(dut, ADDR_BITS)
        self.read_register, self.write_register = self.registers.read, self.registers.write

    async def _move(self, command: Any, address: int, words: int) -> None:
        """Give a command of the memory's host port for that many words."""
        self._dut.host__addr.value, self._dut.host__count.value = address // self._bus_bytes, words
        command.value = 1
        await cycles(self._dut, 1)
        command.value = 0
        await cycles(self._dut, 1)

    async def write_memory(self, address: int, content: bytes) -> None:
        """Put ``content``, whole words, at ``address``, which counts from the memory's first byte."""
        # The memory's files have the most significant byte first.
        words = [content[n:n + self._bus_bytes][::-1] for n in range(0, len(content), self._bus_bytes)]
        Path("memory.in").write_bytes(b"".join(words))
        await self._move(self._dut.host__load, address, len(words))

    async def read_memory(self, address: int, count: int) -> bytes:
        """``count`` bytes, whole words, from ``address``, which counts from the memory's first byte."""
        await self._move(self._dut.host__store, address, count // self._bus_bytes)
        return b"".join(bytes.fromhex(line)[::-1] for line in Path("memory.out").read_text().split())

    async def align(self, offset: int, interval: int) -> None:
        """Let time pass until it is ``offset`` cycles past a multiple of ``interval``."""
        now = round(get_sim_time("ns")) // PERIOD_NS
        if remaining := (offset - now) % interval:
            await Timer(remaining * PERIOD_NS, "ns")
            await cycles(self._dut, 1)

    async def wait(self, limit: int) -> bool:
        """Let up to ``limit`` cycles pass until the interrupt; True when there is one."""
        if not self._dut.irq.value:
            await First(RisingEdge(self._dut.irq), Timer(limit * PERIOD_NS, "ns"))
        await cycles(self._dut, 1)
        return bool(self._dut.irq.value)


@cocotb.test()
async def serve(dut: Any) -> None:
    """Reset the system and serve it until the host ends the connection."""
    address, bus_bytes = arguments()
    server = Server(dut, bus_bytes)
    await start(dut, *server.registers.inputs, dut.host__load, dut.host__store)
    with Listener(address) as listener, listener.accept() as connection:
        while (command := connection.recv()) is not None:
            name, *args = command
            try:
                connection.send((True, await getattr(server, name)(*args)))
            except BusError as error:
                connection.send((False, str(error)))

"""Serves the simulated system to :class:`sim.device.cocotb_device.SimDevice`: commands come over a socket, one at a
time.

Simulated time stands still between commands. The clock runs only in the simulator while a run is waited for, so that
Python costs nothing then.
"""

from multiprocessing.connection import Listener
from pathlib import Path

import cocotb
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from hw.engine.registers import ADDR_BITS
from sim.bench.register_bus import BusError, RegisterBus
from sim.bench.streams import cycles, start
from sim.tools.run import arguments


class Server:
    """The commands, by name."""

    def __init__(self, dut, bus_bytes):
        self._dut, self._bus_bytes = dut, bus_bytes
        self.registers = RegisterBus(dut, ADDR_BITS)
        self.read_register, self.write_register = self.registers.read, self.registers.write

    async def _move(self, command, address, count):
        self._dut.host__addr.value, self._dut.host__count.value = address // self._bus_bytes, count
        command.value = 1
        await cycles(self._dut, 1)
        command.value = 0
        await cycles(self._dut, 1)

    async def write_memory(self, address, content):
        """``content`` is whole words; the memory's files have the most significant byte first."""
        words = [content[n:n + self._bus_bytes][::-1] for n in range(0, len(content), self._bus_bytes)]
        Path("memory.in").write_bytes(b"".join(words))
        await self._move(self._dut.host__load, address, len(words))

    async def read_memory(self, address, count):
        await self._move(self._dut.host__store, address, count // self._bus_bytes)
        return b"".join(bytes.fromhex(line)[::-1] for line in Path("memory.out").read_text().split())

    async def align(self, offset, interval):
        """Let time pass until it is ``offset`` cycles past a multiple of ``interval``."""
        now = round(get_sim_time("ns")) // 10
        if left := (offset - now) % interval:
            await Timer(left * 10, "ns")
            await cycles(self._dut, 1)

    async def wait(self, limit):
        """True when the interrupt came within ``limit`` cycles."""
        if not self._dut.irq.value:
            await First(RisingEdge(self._dut.irq), Timer(limit * 10, "ns"))
        await cycles(self._dut, 1)
        return bool(self._dut.irq.value)


@cocotb.test()
async def serve(dut):
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

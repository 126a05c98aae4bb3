"""Memory model, function: an AXI master that we did not write, files of the host, error responses."""

import logging
import random

import cocotb
from cocotbext.axi import AxiBus, AxiMaster

from sim.runner import arguments
from sim.streams import start


def _sometimes(probability):
    while True:
        yield random.random() < probability


async def _start(dut, pause=0.0):
    """Reset; returns the master, idle or stalling on every channel with probability ``pause``."""
    for name in ("load", "store", "addr", "count"):
        getattr(dut, f"host__{name}").value = 0
    logging.getLogger("cocotb.top.s_axi").setLevel(logging.WARNING)  # it would print all data
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    if pause:
        write, read = master.write_if, master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(_sometimes(pause))
    await start(dut)
    return master


@cocotb.test()
async def random_traffic(dut):
    *_, size = arguments()
    master = await _start(dut, 0.3)
    expected = bytearray(size)
    for _ in range(40):
        a = random.randrange(size - 1)
        data = random.randbytes(random.randrange(1, min(1500, size - a) + 1))
        await master.write(a, data, awid=0)
        expected[a:a + len(data)] = data
        a = random.randrange(size - 1)
        count = random.randrange(1, min(1500, size - a) + 1)
        got = await master.read(a, count, arid=0)
        assert got.data == expected[a:a + count]

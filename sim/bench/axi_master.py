"""An AXI4 master that we did not write, cocotbext-axi's, for a slave in a testbench."""

import logging
import random
from collections.abc import Iterator
from typing import Any

from cocotbext.axi import AxiBus, AxiMaster

__all__ = ["open_master"]


def _sometimes(probability: float) -> Iterator[bool]:
    while True:
        yield random.random() < probability


def open_master(dut: Any, pause: float = 0.0) -> AxiMaster:
    """The master of the ports ``s_axi_*`` of ``dut``; in each cycle, each channel stalls with probability ``pause``."""
    logging.getLogger("cocotb.top.s_axi").setLevel(logging.WARNING)  # it would print all data
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    if pause:
        write, read = master.write_if, master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(_sometimes(pause))
    return master

"""An AXI4 master that we did not write, cocotbext-axi's, at a slave in a testbench."""

import logging
import random

from cocotbext.axi import AxiBus, AxiMaster

__all__ = ["open_master"]


def _sometimes(probability):
    while True:
        yield random.random() < probability


def open_master(dut, pause=0.0):
    """The master of the ports ``s_axi``, stalling on every channel with probability ``pause``."""
    logging.getLogger("cocotb.top.s_axi").setLevel(logging.WARNING)  # it would print all data
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    if pause:
        write, read = master.write_if, master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(_sometimes(pause))
    return master

"""The memory model with the flat AXI pins that other people's bus masters expect."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.parts.axi import AXI4Signature, connect_pins, pins
from sim.dram.dram import Dram
from sim.dram.memory import HostSignature, MemoryModel

__all__ = ["MemoryPins"]


class MemoryPins(wiring.Component):
    """A :class:`~sim.dram.memory.MemoryModel` with pins in place of its interface ``axi``.

    It adds the ID pins of AXI4, one bit each. The model answers in order and with ID 0, so a master must use ID 0 only.
    Latency and rate are those of the model: the pins add no register.

    Parameters
    ----------
    dram : Dram
    addr_bits, data_bits, size_bytes, base : int
        As of the model.

    Members
    -------
    s_axi_* : In and Out
        The pins of an AXI4 slave.
    host : In(HostSignature())
        As of the model.
    """

    def __init__(self, dram: Dram, addr_bits: int, data_bits: int, size_bytes: int, base: int = 0) -> None:
        self._memory = MemoryModel(dram, addr_bits, data_bits, size_bytes, base)
        super().__init__({
            **pins("s_axi", AXI4Signature(addr_bits, data_bits).flip()),
            "s_axi_arid": In(1), "s_axi_rid": Out(1), "s_axi_awid": In(1), "s_axi_bid": Out(1),
            "host": In(HostSignature()),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = self._memory
        connect_pins(m, self, "s_axi", memory.axi)
        connect(m, flipped(self.host), memory.host)
        return m

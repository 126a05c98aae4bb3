"""The simulated system: the engine and the memory it works on, driven through the engine's registers."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.engine.engine import Engine
from hw.engine.registers import ADDR_BITS
from hw.parts.axi import AXI4LiteSignature
from sim.dram.memory import HostSignature, MemoryModel
from sim.dram.presets import Dram

__all__ = ["System"]


class System(wiring.Component):
    """Engine and memory.

    Parameters
    ----------
    config : EngineConfig
    dram : Dram
    memory_bytes : int

    Members
    -------
    axil : In(AXI4LiteSignature)
        The engine's registers.
    irq : Out(1)
        The engine's interrupt.
    host : In(HostSignature)
        Loading and dumping of the memory, outside simulated time.
    """

    def __init__(self, config: EngineConfig, dram: Dram, memory_bytes: int):
        self._engine = Engine(config)
        self._memory = MemoryModel(dram, config.addr_bits, config.bus_bits, memory_bytes)
        super().__init__({"axil": In(AXI4LiteSignature(ADDR_BITS)), "irq": Out(1), "host": In(HostSignature())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self._engine
        m.submodules.memory = memory = self._memory
        wiring.connect(m, engine.axi, memory.axi)
        wiring.connect(m, wiring.flipped(self.axil), engine.axil)
        wiring.connect(m, wiring.flipped(self.host), memory.host)
        m.d.comb += [self.irq.eq(engine.irq), engine.refreshing.eq(memory.refreshing)]
        return m

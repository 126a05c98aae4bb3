"""The simulated system: the engine and the memory that it works on, driven through the engine's registers.

The two are connected without a register in between, so all latencies and rates are those of the engine and of the
memory.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.engine.engine import Engine
from hw.parts.axi import AXI4LiteSignature
from hw.registers.register_map import ADDR_BITS
from sim.dram.dram import Dram
from sim.dram.memory import HostSignature, MemoryModel

__all__ = ["System"]


class System(wiring.Component):
    """An engine and its memory.

    Parameters
    ----------
    config : EngineConfig
    dram : Dram
    memory_bytes : int
        Size of the memory, as of :class:`~sim.dram.memory.MemoryModel`.
    memory_base : int
        Address of its first byte, a multiple of 4096.

    Members
    -------
    axil : In(AXI4LiteSignature(ADDR_BITS))
        The engine's registers.
    irq : Out(1)
        The engine's interrupt.
    host : In(HostSignature())
        Commands that load and store ranges of the memory outside simulated time.
    """

    def __init__(self, config: EngineConfig, dram: Dram, memory_bytes: int, memory_base: int = 0) -> None:
        self._engine = Engine(config)
        self._memory = MemoryModel(dram, config.addr_bits, config.bus_bits, memory_bytes, memory_base)
        super().__init__({"axil": In(AXI4LiteSignature(ADDR_BITS)), "irq": Out(1), "host": In(HostSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = self._engine
        m.submodules.memory = memory = self._memory
        wiring.connect(m, engine.axi, memory.axi)
        wiring.connect(m, wiring.flipped(self.axil), engine.axil)
        wiring.connect(m, wiring.flipped(self.host), memory.host)
        m.d.comb += [self.irq.eq(engine.irq), engine.refreshing.eq(memory.refreshing)]
        return m

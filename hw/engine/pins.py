"""The engine with the flat pins of AXI4 and AXI4-Lite: the module to instantiate from Verilog or a block design.

The pins are wires to the engine's ports, so latency and rate are the engine's.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import EngineConfig
from hw.engine.engine import Engine
from hw.parts.axi import AXI4LiteSignature, AXI4Signature, connect_pins, pins
from hw.registers.register_map import ADDR_BITS

__all__ = ["EnginePins", "engine_pins"]


def _constants(config: EngineConfig) -> dict[str, tuple[int, int]]:
    """Width and value of each field of AW and AR that never changes, by its name."""
    return {"lock": (1, 0), "cache": (4, config.cache), "prot": (3, config.prot), "qos": (4, config.qos)}


def engine_pins(config: EngineConfig) -> dict[str, wiring.Member]:
    """The pins of an engine: the members of :class:`EnginePins`."""
    return {
        **pins("m_axi", AXI4Signature(config.addr_bits, config.bus_bits)),
        "m_axi_arid": Out(1), "m_axi_rid": In(1), "m_axi_awid": Out(1), "m_axi_bid": In(1),
        **{f"m_axi_{channel}{name}": Out(bits) for channel in ("ar", "aw")
           for name, (bits, _) in _constants(config).items()},
        **pins("s_axil", AXI4LiteSignature(ADDR_BITS).flip()),
        "irq": Out(1),
    }


class EnginePins(wiring.Component):
    """:class:`~hw.engine.engine.Engine` with pins ``m_axi_*``, ``s_axil_*`` and ``irq``.

    The ID pins of AXI4 are one bit each. Requests carry ID 0, and the engine expects their responses in order.
    AxCACHE, AxPROT and AxQOS carry what the configuration says, AxLOCK carries 0.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    m_axi_* : pins of an AXI4Signature
        To memory, with ``config.addr_bits`` and ``config.bus_bits``.
    s_axil_* : pins of an AXI4LiteSignature
        To the registers, see :mod:`hw.registers.register_map`.
    irq : Out(1)
        An interrupt is pending and enabled.
    """

    def __init__(self, config: EngineConfig):
        self._config = config
        super().__init__(engine_pins(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.engine = engine = Engine(self._config)
        connect_pins(m, self, "m_axi", engine.axi)
        connect_pins(m, self, "s_axil", engine.axil)
        m.d.comb += [
            self.irq.eq(engine.irq),
            *(getattr(self, f"m_axi_{channel}{name}").eq(value) for channel in ("ar", "aw")
              for name, (_, value) in _constants(self._config).items()),
        ]
        return m

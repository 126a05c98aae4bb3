"""Pads and an SDRAM chip for simulation, as a board has them between controller and chip."""

from types import SimpleNamespace

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature, connect_pins, pins
from hw.sdram.columns import WORD_BITS
from hw.sdram.controller import SdramController
from hw.sdram.part import DATA_BITS, SdramPart
from hw.sdram.pins import SdramPads, SdramPinsSignature
from sim.board.sdram_chip import SdramChip

__all__ = ["SdramBench", "SolderedSdram"]


class SolderedSdram(wiring.Component):
    """The chip and the flip-flops in the pads.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    pins : In(SdramPinsSignature)
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"pins": In(SdramPinsSignature(part))})

    def elaborate(self, platform):
        m = Module()
        part = self._part
        # The pads' flip-flops have no reset: the chip's comes a cycle later, when no command of before is left in them.
        m.domains += ClockDomain("chip", local=True)
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        m.d.comb += [ClockSignal("chip").eq(ClockSignal()), ResetSignal("chip").eq(reset)]
        chip = SdramChip(part, self._clock_mhz)
        m.submodules.chip = DomainRenamer("chip")(chip)
        widths = {"clk_en": 1, "cs": 1, "ras": 1, "cas": 1, "we": 1, "ba": part.bank_bits, "a": len(chip.a),
                  "dqm": DATA_BITS // 8}
        low = ("cs", "ras", "cas", "we")
        ports = {name: io.SimulationPort("o", width, invert=name in low, name=name) for name, width in widths.items()}
        dq = io.SimulationPort("io", DATA_BITS, name="dq")
        m.submodules.pads = pads = SdramPads(part, SimpleNamespace(**ports, dq=dq))
        wiring.connect(m, wiring.flipped(self.pins), pads.pins)
        m.d.comb += [
            *(getattr(chip, f"{name}_n" if name in low else name).eq(port.o) for name, port in ports.items()),
            chip.dq_i.eq(dq.o),
            chip.dq_oe.eq(dq.oe.all()),
            dq.i.eq(chip.dq_o),
        ]
        return m


class SdramBench(wiring.Component):
    """Controller, pads and chip with the flat AXI pins that other people's testbenches expect.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._controller = SdramController(part, clock_mhz)
        self._sdram = SolderedSdram(part, clock_mhz)
        super().__init__({
            **pins("s_axi", AXI4Signature(part.address_bits, WORD_BITS).flip()),
            "s_axi_arid": In(1), "s_axi_rid": Out(1), "s_axi_awid": In(1), "s_axi_bid": Out(1),
            "refreshing": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self._controller
        m.submodules.sdram = sdram = self._sdram
        connect_pins(m, self, "s_axi", controller.axi)
        wiring.connect(m, controller.pins, sdram.pins)
        m.d.comb += self.refreshing.eq(controller.refreshing)
        return m

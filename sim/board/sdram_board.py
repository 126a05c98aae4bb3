"""The SDRAM of a simulated board: the pads and the chip, alone and together with the controller."""

from types import SimpleNamespace

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.axi import AXI4Signature, connect_pins, pins
from hw.sdram.controller import SdramController
from hw.sdram.part import DATA_BITS, SdramPart
from hw.sdram.pins import SdramPads, SdramPinsSignature
from hw.sdram.segment import WORD_BITS
from sim.board.sdram_chip import SdramChip

__all__ = ["SdramBench", "SolderedSdram"]


class SolderedSdram(wiring.Component):
    """The chip and the flip-flops in the pads, which a board has between controller and chip.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    pins : In(SdramPinsSignature)
        The controller's side of the pads.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"pins": In(SdramPinsSignature(part))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part = self._part
        # The pads' flip-flops have no reset. The chip is reset a cycle later, so that a command that they still hold
        # does not reach it.
        m.domains += ClockDomain("chip", local=True)
        reset = Signal(reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        m.d.comb += [ClockSignal("chip").eq(ClockSignal()), ResetSignal("chip").eq(reset)]
        chip = SdramChip(part, self._clock_mhz)
        m.submodules.chip = DomainRenamer("chip")(chip)
        widths = {"clk_en": 1, "cs": 1, "ras": 1, "cas": 1, "we": 1, "ba": part.bank_bits, "a": len(chip.a),
                  "dqm": DATA_BITS // 8}
        active_low = ("cs", "ras", "cas", "we")
        ports = {name: io.SimulationPort(io.Direction.Output, width, invert=name in active_low, name=name)
                 for name, width in widths.items()}
        dq = io.SimulationPort(io.Direction.Bidir, DATA_BITS, name="dq")
        m.submodules.pads = pads = SdramPads(part, SimpleNamespace(**ports, dq=dq))
        wiring.connect(m, wiring.flipped(self.pins), pads.pins)
        m.d.comb += [
            *(getattr(chip, f"{name}_n" if name in active_low else name).eq(port.o) for name, port in ports.items()),
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
        Clock of the design and of the chip.

    Members
    -------
    s_axi_araddr, s_axi_arvalid, ...
        The controller's AXI4 slave with an ID of one bit, which is not looked at.
    refreshing : Out(1)
        As in SdramController.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._controller = SdramController(part, clock_mhz)
        self._sdram = SolderedSdram(part, clock_mhz)
        super().__init__({
            **pins("s_axi", AXI4Signature(part.address_bits, WORD_BITS).flip()),
            "s_axi_arid": In(1), "s_axi_rid": Out(1), "s_axi_awid": In(1), "s_axi_bid": Out(1),
            "refreshing": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = controller = self._controller
        m.submodules.sdram = sdram = self._sdram
        connect_pins(m, self, "s_axi", controller.axi)
        wiring.connect(m, controller.pins, sdram.pins)
        m.d.comb += self.refreshing.eq(controller.refreshing)
        return m

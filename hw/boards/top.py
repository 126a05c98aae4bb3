"""The top of a bitstream: clocks and pads of an ECP5 board around :class:`~hw.boards.system.BoardSystem`."""

from fractions import Fraction

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer

from hw.boards.board import Board
from hw.boards.system import BAUD, BoardSystem
from hw.sdram.pins import CLOCK_LAG, SdramPads

__all__ = ["BoardTop", "pll_parameters"]

_VCO_MHZ = 400, 800
_LEAST_COMPARE_MHZ = Fraction("3.125")
"""Frequencies of the PLL (FPGA-DS-02012, sysCLOCK PLL timing)."""


def pll_parameters(in_mhz: Fraction, out_mhz: Fraction) -> dict[str, int]:
    """Dividers of an ECP5's PLL, its feedback from its output.

    Raises
    ------
    ValueError
        When it cannot make that frequency.
    """
    ratio = out_mhz / in_mhz
    if in_mhz / ratio.denominator >= _LEAST_COMPARE_MHZ:
        # The middle of the oscillator's range.
        for divider in sorted(range(1, 129), key=lambda divider: abs(divider * out_mhz - sum(_VCO_MHZ) / 2)):
            if _VCO_MHZ[0] <= divider * out_mhz <= _VCO_MHZ[1]:
                return {"CLKI_DIV": ratio.denominator, "CLKFB_DIV": ratio.numerator, "CLKOP_DIV": divider}
    raise ValueError(f"the PLL makes no {float(out_mhz):g} MHz of {float(in_mhz):g} MHz")


class BoardTop(Elaboratable):
    """All of a bitstream.

    Parameters
    ----------
    board : Board
    fmt : WeightFormat
    """

    def __init__(self, board: Board, fmt):
        self._board, self._fmt = board, fmt

    def elaborate(self, platform):
        m = Module()
        board = self._board
        chip_clock = self._clocks(m, platform)
        m.submodules.system = system = BoardSystem(self._fmt, board.part, board.clock_hz, BAUD)
        uart, sdram = (platform.request(name, 0, dir="-") for name in ("uart", "sdram"))
        m.submodules.rx, m.submodules.tx = rx, tx = io.Buffer("i", uart.rx), io.FFBuffer("o", uart.tx)
        m.submodules.pads = pads = SdramPads(board.part, sdram)
        wiring.connect(m, system.sdram, pads.pins)
        m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx), tx.oe.eq(1)]

        m.submodules.clk = clk = io.Buffer("o", sdram.clk)
        m.submodules.clk_register = Instance("ODDRX1F", i_SCLK=chip_clock, i_RST=Const(0), i_D0=Const(1),
                                             i_D1=Const(0), o_Q=clk.o)
        m.d.comb += clk.oe.eq(1)
        for number, (name, index, part) in enumerate(board.leds):
            if part == "" or number == 0 or board.leds[number - 1][:2] != (name, index):
                resource = platform.request(name, index, dir="-")
            m.submodules[f"led{number}"] = led = io.FFBuffer("o", getattr(resource, part) if part else resource)
            m.d.comb += [led.o.eq(system.leds[number]), led.oe.eq(1)]
        return m

    def _clocks(self, m, platform):
        """The domain sync, from the board's oscillator, in reset until the PLL has locked; returns the SDRAM's clock,
        which lags by :data:`hw.sdram.pins.CLOCK_LAG`."""
        in_mhz = Fraction(round(platform.default_clk_frequency), 1_000_000)
        out_mhz = Fraction(self._board.clock_hz, 1_000_000)
        parameters = pll_parameters(in_mhz, out_mhz)
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.domains.sync = ClockDomain()
        locked, chip_clock = Signal(), Signal()
        divider = parameters["CLKOP_DIV"]
        lag, eighths = divmod(round(CLOCK_LAG * divider * 8), 8)  # of the oscillator's clock
        m.submodules.pll = Instance(
            "EHXPLLL",
            **{f"p_{name}": value for name, value in parameters.items()},
            p_FEEDBK_PATH="CLKOP", p_CLKOP_ENABLE="ENABLED", p_CLKOP_CPHASE=divider - 1, p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=divider, p_CLKOS_CPHASE=divider - 1 + lag, p_CLKOS_FPHASE=eighths,
            p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            i_CLKI=oscillator.i, i_CLKFB=ClockSignal(), o_CLKOP=ClockSignal(), o_CLKOS=chip_clock, o_LOCK=locked,
            i_RST=Const(0), i_STDBY=Const(0), i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0), i_PHASELOADREG=Const(0), i_PLLWAKESYNC=Const(0), i_ENCLKOP=Const(0))
        m.submodules.reset = ResetSynchronizer(~locked)
        return chip_clock

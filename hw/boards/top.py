"""The top of a bitstream: clocks and pads of an ECP5 board around :class:`~hw.boards.board_system.BoardSystem`."""

from fractions import Fraction
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.io import Buffer, Direction, FFBuffer

from golden.spec import WeightFormat
from hw.boards.board import Board
from hw.boards.board_system import BAUD, BoardSystem
from hw.sdram.pins import CLOCK_LAG, SdramPads

__all__ = ["BoardTop", "pll_parameters"]

_VCO_MHZ = 400, 800
"""Least and greatest frequency of the PLL's oscillator (FPGA-DS-02012, sysCLOCK PLL timing)."""
_LEAST_COMPARE_MHZ = Fraction("3.125")
"""Least frequency at the PLL's phase detector (same table)."""


def pll_parameters(in_mhz: Fraction, out_mhz: Fraction) -> dict[str, int]:
    """Dividers of an ECP5's PLL that makes a clock of ``out_mhz`` of one of ``in_mhz``, its feedback from its output.

    Returns
    -------
    dict of str to int
        The parameters CLKI_DIV, CLKFB_DIV and CLKOP_DIV of the primitive EHXPLLL.

    Raises
    ------
    ValueError
        When the PLL cannot make that frequency.
    """
    ratio = out_mhz / in_mhz
    if in_mhz / ratio.denominator >= _LEAST_COMPARE_MHZ:
        # The oscillator is to run as near to the middle of its range as it can.
        for divider in sorted(range(1, 129), key=lambda divider: abs(divider * out_mhz - sum(_VCO_MHZ) / 2)):
            if _VCO_MHZ[0] <= divider * out_mhz <= _VCO_MHZ[1]:
                return {"CLKI_DIV": ratio.denominator, "CLKFB_DIV": ratio.numerator, "CLKOP_DIV": divider}
    raise ValueError(f"the PLL makes no {float(out_mhz):g} MHz of {float(in_mhz):g} MHz")


class BoardTop(Elaboratable):
    """All of a bitstream.

    Parameters
    ----------
    board : Board
        Board that the bitstream is for.
    fmt : WeightFormat
        Format of the weights that the engine works on.
    """

    def __init__(self, board: Board, fmt: WeightFormat) -> None:
        self._board, self._fmt = board, fmt

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self._board
        chip_clock = self._clocks(m, platform)
        m.submodules.system = system = BoardSystem(self._fmt, board.part, board.clock_hz, BAUD)
        uart, sdram = (platform.request(name, 0, dir="-") for name in ("uart", "sdram"))
        m.submodules.rx = rx = Buffer(Direction.Input, uart.rx)
        m.submodules.tx = tx = FFBuffer(Direction.Output, uart.tx)
        m.submodules.pads = pads = SdramPads(board.part, sdram)
        wiring.connect(m, system.sdram, pads.pins)
        m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx), tx.oe.eq(1)]

        m.submodules.clk = clk = Buffer(Direction.Output, sdram.clk)
        m.submodules.clk_register = Instance("ODDRX1F", i_SCLK=chip_clock, i_RST=Const(0), i_D0=Const(1),
                                             i_D1=Const(0), o_Q=clk.o)
        m.d.comb += clk.oe.eq(1)
        # The LEDs of one package are subsignals of one resource, which can be requested once only.
        resources: dict[tuple[str, int], Any] = {}
        for number, (name, index, subsignal) in enumerate(board.leds):
            if (name, index) not in resources:
                resources[name, index] = platform.request(name, index, dir="-")
            resource = resources[name, index]
            port = getattr(resource, subsignal) if subsignal else resource
            m.submodules[f"led{number}"] = led = FFBuffer(Direction.Output, port)
            m.d.comb += [led.o.eq(system.leds[number]), led.oe.eq(1)]
        return m

    def _clocks(self, m: Module, platform: Any) -> Signal:
        """Make the domain sync from the board's oscillator; it is in reset until the PLL has locked.

        Returns the clock of the SDRAM, which lags that of sync by :data:`hw.sdram.pins.CLOCK_LAG` of a period.
        """
        in_mhz = Fraction(round(platform.default_clk_frequency), 1_000_000)
        out_mhz = Fraction(self._board.clock_hz, 1_000_000)
        parameters = pll_parameters(in_mhz, out_mhz)
        pin = platform.request(platform.default_clk, dir="-")
        m.submodules.oscillator = oscillator = Buffer(Direction.Input, pin)
        m.domains.sync = ClockDomain()
        locked, chip_clock = Signal(), Signal()
        divider = parameters["CLKOP_DIV"]
        lag, eighths = divmod(round(CLOCK_LAG * divider * 8), 8)  # periods of the PLL's oscillator
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

"""The pins of an SDR SDRAM: as a bundle of signals, and the flip-flops in the pads that drive them.

The chip's clock lags the design's by three quarters of a period T: commands are there 0.75 T before the chip takes
them and stay for 0.25 T after. What the chip gives for its edge at 0.75 T comes tAC (5.4 ns) and the way through both
pads (some 4 ns) later and stays for tOH (2.5 ns) after its next edge: taken at 2 T, it has been there for 1.25 T - 9.4
ns and stays for 6.5 ns - 0.25 T more, 3 and 4 ns at 100 MHz, 7 and 3 ns at 75 MHz.

Latency: a cycle out; data that the chip gives for a read in cycle n are there in cycle n + CAS latency + 2.
"""

from amaranth.hdl import Module
from amaranth.lib import enum, io, wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import DATA_BITS, SdramPart

__all__ = ["ALL_BANKS", "CLOCK_LAG", "PADS", "Command", "SdramPads", "SdramPinsSignature"]

CLOCK_LAG = 0.75
"""Of the chip's clock, in periods."""
ALL_BANKS = 1 << 10
"""Address pin 10: a precharge is of all banks."""
PADS = ("clk_en", "cs", "ras", "cas", "we", "ba", "a", "dqm")
"""Outputs but for the clock and the data, named as in amaranth-boards."""


class Command(enum.Enum, shape=3):
    """What RAS, CAS and WE (bits 0 to 2, 1 for asserted) say."""

    NOTHING = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    REFRESH = 0b011
    PRECHARGE = 0b101
    WRITE = 0b110
    MODE = 0b111


class SdramPinsSignature(wiring.Signature):
    """A controller's side of the pins; every signal is 1 for asserted.

    ``command`` goes with ``ba`` and ``a``; ``enable`` is the chip's clock enable and select. ``dq_oe`` says that
    ``dq_o`` is driven, and ``dqm`` which of its bytes are not to be written.
    """

    def __init__(self, part: SdramPart):
        super().__init__({
            "enable": Out(1), "command": Out(Command), "ba": Out(part.bank_bits), "a": Out(max(part.row_bits, 11)),
            "dqm": Out(DATA_BITS // 8), "dq_o": Out(DATA_BITS), "dq_oe": Out(1), "dq_i": In(DATA_BITS),
        })


class SdramPads(wiring.Component):
    """Flip-flops in the pads.

    Parameters
    ----------
    part : SdramPart
    ports : object
        A port (``amaranth.lib.io``) for each name of :data:`PADS`, and ``dq``; clk_en, cs and dqm may be missing where
        the board ties them. The clock is the board's.

    Members
    -------
    pins : In(SdramPinsSignature)
    """

    def __init__(self, part: SdramPart, ports):
        self._ports = ports
        super().__init__({"pins": In(SdramPinsSignature(part))})

    def elaborate(self, platform):
        m = Module()
        pins, command = self.pins, self.pins.command.as_value()
        values = {"clk_en": pins.enable, "cs": pins.enable, "ras": command[0], "cas": command[1], "we": command[2],
                  "ba": pins.ba, "a": pins.a, "dqm": pins.dqm}
        for name in PADS:
            port = getattr(self._ports, name, None)
            if port is not None:
                m.submodules[name] = pad = io.FFBuffer("o", port)
                m.d.comb += [pad.o.eq(values[name]), pad.oe.eq(1)]
        m.submodules.dq = dq = io.FFBuffer("io", self._ports.dq)
        m.d.comb += [dq.o.eq(pins.dq_o), dq.oe.eq(pins.dq_oe), pins.dq_i.eq(dq.i)]
        return m

"""The pins of an SDR SDRAM: as a bundle of signals, and the flip-flops in the pads that drive them.

The chip's clock lags the design's by three quarters of a period T. Commands are on the pins 0.75 T before the chip
samples them and stay for 0.25 T after. Data that the chip drives at its edge at 0.75 T reach the design's flip-flops
tAC (5.4 ns) and the delay of both pads (some 4 ns) later, and stay until tOH (2.5 ns) and that delay have passed after
the chip's next edge. The design samples them at 2 T: they have been there for 1.25 T - 9.4 ns and stay for 6.5 ns -
0.25 T more. These are 3 and 4 ns at 100 MHz, 7 and 3 ns at 75 MHz.

tAC at CAS latency 3 and tOH are those of Alliance Memory's AS4C16M16SA data sheet, rev. 3.0, table 16, -7, a chip of
the same family as the boards' AS4C32M16SB-7. For the boards' other chips (:mod:`hw.sdram.part`) these two figures, and
for all boards the pads' delay, are assumptions of this project.

Latency: one cycle to the pins; the first data of a read whose command is in ``command`` in cycle n are in ``dq_i`` in
cycle n + CAS latency + 2. Rate: one command and one transfer each cycle.
"""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import enum, io, wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import DATA_BITS, SdramPart

__all__ = ["ALL_BANKS", "CLOCK_LAG", "PADS", "Command", "SdramPads", "SdramPinsSignature"]

CLOCK_LAG = 0.75
"""Periods by which the chip's clock lags the design's."""
ALL_BANKS = 1 << 10
"""Address pin 10 (A10): with it a precharge is of all banks (all data sheets' truth table of commands)."""
PADS = ("clk_en", "cs", "ras", "cas", "we", "ba", "a", "dqm")
"""All outputs except the clock and the data, named as in amaranth-boards."""


class Command(enum.Enum, shape=3):
    """A command as the chip decodes it from RAS, CAS and WE (bits 0 to 2, 1 for asserted).

    The codes are those of all data sheets' truth table of commands (Micron, 256Mb: x4, x8, x16 SDRAM, "Truth Table:
    Commands and DQM Operation").
    """

    NOTHING = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    REFRESH = 0b011
    PRECHARGE = 0b101
    WRITE = 0b110
    MODE = 0b111


class SdramPinsSignature(wiring.Signature):
    """A controller's side of the pins; every signal is 1 for asserted.

    Parameters
    ----------
    part : SdramPart

    Members
    -------
    enable : Out(1)
        Clock enable and chip select.
    command, ba, a : Out
        The command, its bank and its address.
    dqm : Out(2)
        The bytes of ``dq_o`` that are not to be written.
    dq_o, dq_oe : Out(16), Out(1)
        Data to the chip, and whether they are driven.
    dq_i : In(16)
        Data from the chip.
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
        Has a port (``amaranth.lib.io``) for each name of :data:`PADS`, and ``dq``. clk_en, cs and dqm may be missing
        where the board ties them. The clock is the board's concern.

    Members
    -------
    pins : In(SdramPinsSignature)
    """

    def __init__(self, part: SdramPart, ports: Any):
        self._ports = ports
        super().__init__({"pins": In(SdramPinsSignature(part))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins, command = self.pins, self.pins.command.as_value()
        values = {"clk_en": pins.enable, "cs": pins.enable, "ras": command[0], "cas": command[1], "we": command[2],
                  "ba": pins.ba, "a": pins.a, "dqm": pins.dqm}
        for name in PADS:
            port = getattr(self._ports, name, None)
            if port is not None:
                m.submodules[name] = pad = io.FFBuffer(io.Direction.Output, port)
                m.d.comb += [pad.o.eq(values[name]), pad.oe.eq(1)]
        m.submodules.dq = dq = io.FFBuffer(io.Direction.Bidir, self._ports.dq)
        m.d.comb += [dq.o.eq(pins.dq_o), dq.oe.eq(pins.dq_oe), pins.dq_i.eq(dq.i)]
        return m

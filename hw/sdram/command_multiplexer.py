"""Command multiplexer of the SDRAM controller: decides which command the chip has in each cycle.

A column command has precedence. Any other command is accepted when there is no column command and when the time that
the command before it needs has passed: tRCD and tRRD after an activate, tRP after a precharge, tRFC after a refresh,
tMRD after setting the mode. Times that count for a single bank are the bank machine's concern.

Latency: the pins have a command one cycle after ``issue`` or ``accepted``. Rate: one command each cycle.
"""

from amaranth.hdl import Assert, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import Command, SdramPinsSignature
from hw.sdram.row_command import RowCommandSignature
from hw.sdram.segment import TransferSignature

__all__ = ["CommandMultiplexer"]


class CommandMultiplexer(wiring.Component):
    """The command pins.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.
    requesters : int
        Parts that request commands; no two of them at a time.

    Members
    -------
    transfer : In(TransferSignature)
        Whose column commands these are.
    row_commands : In(RowCommandSignature), one for each requester
    settled : Out(1)
        1 when the time that the last accepted command needs has passed.
    enable, command, ba, a : Out
        As in SdramPinsSignature.
    """

    def __init__(self, part: SdramPart, clock_mhz: float, requesters: int):
        self._part, self._clock_mhz = part, clock_mhz
        pins = SdramPinsSignature(part).members
        super().__init__({
            "transfer": In(TransferSignature(part)), "row_commands": In(RowCommandSignature(part)).array(requesters),
            "settled": Out(1), **{name: pins[name] for name in ("enable", "command", "ba", "a")},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current, issue = self.transfer.current, self.transfer.issue
        cycles = self._cycles()
        wait = Signal(range(max(cycles.values())))
        m.d.comb += self.settled.eq(wait == 0)
        m.d.sync += [
            self.enable.eq(1),
            self.command.eq(Mux(issue, Mux(current.write, Command.WRITE, Command.READ), Command.NOTHING)),
            self.ba.eq(current.bank),
            self.a.eq(current.word << 1),
            wait.eq(Mux(self.settled, 0, wait - 1)),
        ]
        for request in self.row_commands:
            m.d.comb += request.accepted.eq(request.requested & self.settled & ~issue)
            with m.If(request.accepted):
                m.d.sync += [self.command.eq(request.command), self.ba.eq(request.bank), self.a.eq(request.address)]
                with m.Switch(request.command):
                    for command, count in cycles.items():
                        with m.Case(command):
                            m.d.sync += wait.eq(count - 1)
        requested = Cat(request.requested for request in self.row_commands)
        m.d.sync += Assert((requested & (requested - 1)) == 0, "two parts request a command at the same time\n")
        return m

    def _cycles(self) -> dict[Command, int]:
        """Cycles from each command to the next one that is not a column command.

        One row is opened at a time, and an activate is followed by the row's first column command: so waiting for the
        longer of tRCD and tRRD covers both.
        """
        part, mhz = self._part, self._clock_mhz
        t_rcd, t_rrd, t_rp, t_rfc = (part.clocks(name, mhz) for name in ("t_rcd", "t_rrd", "t_rp", "t_rfc"))
        return {Command.ACTIVATE: max(t_rcd, t_rrd, 2), Command.PRECHARGE: t_rp, Command.REFRESH: t_rfc,
                Command.MODE: part.t_mrd_ck}

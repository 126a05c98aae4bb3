"""Bank machine of the SDRAM controller: opens the row of each segment before the segment is transferred.

The row of the next segment is opened while the current one is transferred, unless both are in the same bank with
different rows. One machine serves all banks, because a sequential stream needs no more than one row opened at a time.
For a refresh the current segment is interrupted after the word at hand; its row is opened again afterwards.

Latency: a segment is passed on 3 cycles after it has been offered when its row is open, tRCD + 1 cycles later when its
bank is closed, and again tRP later when another row of the bank is open. Rate: one segment every 4 cycles.
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import Command
from hw.sdram.row_command import RowCommandSignature
from hw.sdram.segment import BURST, TransferSignature, segment_layout

__all__ = ["BankMachine"]


class BankMachine(wiring.Component):
    """Activates and precharges of single banks, and what is known of each bank.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    i, o : In, Out(stream of segment_layout)
        ``o`` is ``i``, held back until its row is open.
    transfer : In(TransferSignature)
        The segment that the column machine transfers.
    close : In(1)
        All rows are to be closed. They are opened again when it falls.
    released : Out(1)
        The answer to ``close``: no column command comes any more, and every row may be closed.
    paused : Out(1)
        To the column machine: rows are closed, or will be; there must be no column commands.
    row_command : Out(RowCommandSignature)
    settled : In(1)
        The time that the last accepted row command needs has passed.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        segments = stream.Signature(segment_layout(part))
        super().__init__({
            "i": In(segments), "o": Out(segments), "transfer": In(TransferSignature(part)),
            "close": In(1), "released": Out(1), "paused": Out(1, init=1),
            "row_command": Out(RowCommandSignature(part)), "settled": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offered, row_command, settled = self.i.payload, self.row_command, self.settled
        bank, prepared = offered.bank, Signal()
        m.d.comb += [
            self.o.payload.eq(offered),
            self.o.valid.eq(self.i.valid & prepared),
            self.i.ready.eq(self.o.ready & prepared),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += prepared.eq(0)
        opening, closing = self._request(m)
        is_open, open_row = self._open_rows(m, opening, closing)
        may_close = self._open_times(m, opening)
        in_use = self.transfer.busy & (self.transfer.current.bank == bank)

        with m.FSM() as fsm:
            with m.State("CLOSED"):
                m.d.sync += prepared.eq(0)
                with m.If(~self.close):
                    m.next = "REOPEN"
            with m.State("REOPEN"):
                m.d.comb += row_command.requested.eq(self.transfer.busy)
                with m.If(settled):
                    m.next = "REOPENED"
            with m.State("REOPENED"), m.If(settled):
                m.d.sync += self.paused.eq(0)
                m.next = "IDLE"
            with m.State("IDLE"):
                with m.If(self.close):
                    m.d.sync += self.paused.eq(1)
                    m.next = "CLOSED"
                with m.Elif(self.i.valid & ~prepared):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(~is_open):
                    m.next = "ACTIVATE"
                with m.Elif(open_row != offered.row):
                    m.next = "PRECHARGE"
                with m.Else():
                    m.d.sync += prepared.eq(1)
                    m.next = "IDLE"
            with m.State("PRECHARGE"):
                m.d.comb += [row_command.command.eq(Command.PRECHARGE), row_command.address.eq(0)]
                with m.If(self.close):
                    m.d.sync += self.paused.eq(1)
                    m.next = "CLOSED"
                with m.Else():
                    m.d.comb += row_command.requested.eq(may_close.bit_select(bank, 1) & ~in_use)
                    with m.If(row_command.accepted):
                        m.next = "ACTIVATE"
            with m.State("ACTIVATE"):
                m.d.comb += row_command.requested.eq(1)
                with m.If(row_command.accepted):
                    m.next = "OPENED"
            with m.State("OPENED"), m.If(settled):
                m.d.sync += prepared.eq(1)
                m.next = "IDLE"
        m.d.comb += self.released.eq(fsm.ongoing("CLOSED") & may_close.all())
        return m

    def _request(self, m: Module) -> tuple[Signal, Signal]:
        """Fill in the row command; strobes that it opens or closes the row of its bank.

        It is an activate for the segment on offer or, after a refresh, for the one that was interrupted, unless a state
        of the machine makes it a precharge.
        """
        target, opening, closing = Signal(segment_layout(self._part)), Signal(), Signal()
        m.d.comb += [
            target.eq(Mux(self.paused, self.transfer.current, self.i.payload)),
            self.row_command.command.eq(Command.ACTIVATE),
            self.row_command.bank.eq(target.bank),
            self.row_command.address.eq(target.row),
            opening.eq(self.row_command.accepted & (self.row_command.command == Command.ACTIVATE)),
            closing.eq(self.row_command.accepted & (self.row_command.command == Command.PRECHARGE)),
        ]
        return opening, closing

    def _open_rows(self, m: Module, opening: Value, closing: Value) -> tuple[Signal, Signal]:
        """Which rows are open: whether the bank of the segment on offer has one, and which, both a cycle later."""
        banks, bank, row = 1 << self._part.bank_bits, self.row_command.bank, self.row_command.address
        is_open, open_row = Signal(), Signal(self._part.row_bits)
        opened = Signal(banks)
        rows = Array(Signal(self._part.row_bits, name=f"row{number}", reset_less=True) for number in range(banks))
        with m.If(opening):
            m.d.sync += [opened.bit_select(bank, 1).eq(1), rows[bank].eq(row)]
        with m.Elif(closing):
            m.d.sync += opened.bit_select(bank, 1).eq(0)
        with m.Elif(self.released):
            m.d.sync += opened.eq(0)
        offered = self.i.payload
        m.d.sync += [is_open.eq(opened.bit_select(offered.bank, 1)), open_row.eq(rows[offered.bank])]
        return is_open, open_row

    def _open_times(self, m: Module, opening: Value) -> Signal:
        """Count how long the row of each bank has to stay open; a bit for each bank, 1 when it may be closed.

        A row stays open for tRAS after its activate, and longer where tRC - tRP is longer, so that tRC passes before
        the next activate. It also stays open until the last transfer of a read, and for tWR after that of a write.
        """
        part, mhz, current = self._part, self._clock_mhz, self.transfer.current
        t_ras, t_rc, t_rp, t_wr = (part.clocks(name, mhz) for name in ("t_ras", "t_rc", "t_rp", "t_wr"))
        after_activate = max(t_ras, t_rc - t_rp)
        after_issue = Mux(current.write, BURST + t_wr - 2, BURST - 1)
        may_close = Signal(1 << part.bank_bits)
        for bank in range(len(may_close)):
            cycles = Signal(range(max(after_activate, BURST + t_wr)), name=f"open{bank}")
            m.d.comb += may_close[bank].eq(cycles == 0)
            with m.If(opening & (self.row_command.bank == bank)):
                m.d.sync += cycles.eq(after_activate - 1)
            with m.Elif(self.transfer.issue & (current.bank == bank) & (cycles <= after_issue)):
                m.d.sync += cycles.eq(after_issue)
            with m.Elif(cycles != 0):
                m.d.sync += cycles.eq(cycles - 1)
        return may_close

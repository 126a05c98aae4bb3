"""Row stage of the SDRAM controller: initialises the chip, opens rows ahead of the column stage, refreshes.

It has the command pins whenever the column stage leaves them. The row of the next segment is opened while the current
one is transferred, unless both are in the same bank. A refresh that is due comes after the word at hand: all rows are
closed, and the current segment's is opened again.

Latency: from a segment to its first column command 3 cycles when the row is open, tRCD more when the bank is closed,
and tRP when it has another row open.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.columns import segment_layout
from hw.sdram.part import CAS_LATENCY, SdramPart
from hw.sdram.pins import ALL_BANKS, Command, SdramPinsSignature

__all__ = ["SdramRows"]

_BURST = 2
_MODE = (_BURST - 1).bit_length() | CAS_LATENCY << 4
"""Mode register: sequential bursts of two, reads and writes."""


class SdramRows(wiring.Component):
    """Row commands and the command pins.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    i, o : streams of segment_layout
        ``o`` is ``i``, held back until its row is open.
    current, busy, issue : In
        Of the column stage.
    pause : Out(1)
        To the column stage: rows are closed.
    refreshing : Out(1)
        The same, once the chip is initialised.
    enable, command, ba, a
        As in SdramPinsSignature.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        pins = SdramPinsSignature(part).members
        super().__init__({
            "i": In(stream.Signature(segment_layout(part))), "o": Out(stream.Signature(segment_layout(part))),
            "current": In(segment_layout(part)), "busy": In(1), "issue": In(1),
            "pause": Out(1, init=1), "refreshing": Out(1),
            **{name: pins[name] for name in ("enable", "command", "ba", "a")},
        })

    def elaborate(self, platform):
        m = Module()
        part, mhz = self._part, self._clock_mhz
        t_rp, t_rcd, t_ras, t_rc, t_rrd, t_wr, t_rfc = (
            part.clocks(name, mhz) for name in ("t_rp", "t_rcd", "t_ras", "t_rc", "t_rrd", "t_wr", "t_rfc"))
        # One row is opened at a time, so waiting this long for it covers tRRD; and so long before it is closed, tRC.
        t_open, t_stay = max(t_rcd, t_rrd, 2), max(t_ras, t_rc - t_rp)
        current, bank, free = self.current, self.i.payload.bank, ~self.issue

        # The next cycle's command: a column command, or none, unless a state below has another.
        m.d.sync += [
            self.enable.eq(1),
            self.command.eq(Mux(self.issue, Mux(current.write, Command.WRITE, Command.READ), Command.NOTHING)),
            self.ba.eq(current.bank),
            self.a.eq(current.word << 1),
        ]
        wait, opening = Signal(range(max(t_rfc, t_open, t_rp, part.t_mrd_ck) + 1)), Signal()
        m.d.sync += wait.eq(Mux(wait == 0, 0, wait - 1))
        opened, rows = Signal(1 << part.bank_bits), Array(
            Signal(part.row_bits, name=f"row{number}", reset_less=True) for number in range(1 << part.bank_bits))

        def command(what, cycles):
            """Give a command, and leave so many cycles for it."""
            m.d.sync += [self.command.eq(what), wait.eq(cycles - 1)]

        def activate(segment):
            command(Command.ACTIVATE, t_open)
            m.d.comb += opening.eq(1)
            m.d.sync += [self.ba.eq(segment.bank), self.a.eq(segment.row), rows[segment.bank].eq(segment.row),
                         opened.bit_select(segment.bank, 1).eq(1)]

        # How long the row of each bank has to stay open from now on.
        activating = Signal.like(self.ba)
        m.d.comb += activating.eq(Mux(self.pause, current.bank, bank))
        stay = Array(Signal(range(max(t_stay, _BURST + t_wr)), name=f"stay{number}") for number in range(len(opened)))
        used = Mux(current.write, _BURST + t_wr - 2, _BURST - 1)
        for number, cycles in enumerate(stay):
            with m.If(opening & (activating == number)):
                m.d.sync += cycles.eq(t_stay - 1)
            with m.Elif(self.issue & (current.bank == number) & (cycles <= used)):
                m.d.sync += cycles.eq(used)
            with m.Elif(cycles != 0):
                m.d.sync += cycles.eq(cycles - 1)

        interval = part.refresh_interval(mhz)
        due, timer = Signal(), Signal(range(interval), init=interval - 1)
        m.d.sync += timer.eq(Mux(timer == 0, interval - 1, timer - 1))
        with m.If(timer == 0):
            m.d.sync += due.eq(1)

        prepared, initialised, there, was_open = Signal(), Signal(), Signal.like(self.i.payload.row), Signal()
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & prepared),
            self.i.ready.eq(self.o.ready & prepared),
            self.refreshing.eq(self.pause & initialised),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += prepared.eq(0)

        power_up_cycles = part.cycles(part.power_up_us * 1000, mhz)
        power_up = Signal(range(power_up_cycles + 1), init=power_up_cycles)
        refreshes = Signal(range(part.power_up_refreshes))
        with m.FSM():
            with m.State("POWER_UP"):
                m.d.sync += power_up.eq(power_up - 1)
                with m.If(power_up == 0):
                    m.next = "CLOSE"
            with m.State("CLOSE"), m.If(Cat(cycles == 0 for cycles in stay).all()):
                command(Command.PRECHARGE, t_rp)
                m.d.sync += [self.a.eq(ALL_BANKS), opened.eq(0), prepared.eq(0)]
                m.next = "REFRESH"
            with m.State("REFRESH"), m.If(wait == 0):
                command(Command.REFRESH, t_rfc)
                m.d.sync += [refreshes.eq(refreshes + 1), due.eq(0)]
                with m.If(initialised):
                    m.next = "REOPEN"
                with m.Elif(refreshes == part.power_up_refreshes - 1):
                    m.next = "MODE"
            with m.State("MODE"), m.If(wait == 0):
                command(Command.MODE, part.t_mrd_ck)
                m.d.sync += [self.ba.eq(0), self.a.eq(_MODE), initialised.eq(1)]
                m.next = "REOPEN"
            with m.State("REOPEN"), m.If(wait == 0):
                with m.If(self.busy):
                    activate(current)
                m.next = "REOPENED"
            with m.State("REOPENED"), m.If(wait == 0):
                m.d.sync += self.pause.eq(0)
                m.next = "IDLE"
            with m.State("IDLE"):
                with m.If(due):
                    m.d.sync += self.pause.eq(1)
                    m.next = "CLOSE"
                with m.Elif(self.i.valid & ~prepared):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += [there.eq(rows[bank]), was_open.eq(opened.bit_select(bank, 1))]
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(~was_open):
                    m.next = "ACTIVATE"
                with m.Elif(there != self.i.payload.row):
                    m.next = "PRECHARGE"
                with m.Else():
                    m.d.sync += prepared.eq(1)
                    m.next = "IDLE"
            with m.State("PRECHARGE"):
                with m.If(due):
                    m.d.sync += self.pause.eq(1)
                    m.next = "CLOSE"
                with m.Elif(free & (stay[bank] == 0) & ~(self.busy & (current.bank == bank))):
                    command(Command.PRECHARGE, t_rp)
                    m.d.sync += [self.ba.eq(bank), self.a.eq(0), opened.bit_select(bank, 1).eq(0)]
                    m.next = "ACTIVATE"
            with m.State("ACTIVATE"), m.If(free & (wait == 0)):
                activate(self.i.payload)
                m.next = "OPENED"
            with m.State("OPENED"), m.If(wait == 0):
                m.d.sync += prepared.eq(1)
                m.next = "IDLE"
        return m

"""A model of an SDR SDRAM chip that fails the simulation on any violation of its data sheet.

It keeps time in clocks of the fabric, takes commands from the pins at each rising edge and gives data CAS latency
edges later, as :mod:`hw.sdram.pins` says that they come in. All checks are assertions whose message begins with the
data sheet's name of what is violated.
"""

from amaranth.hdl import Array, Assert, Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import DATA_BITS, SdramPart
from hw.sdram.pins import ALL_BANKS, Command

__all__ = ["SdramChip"]

_LATE_REFRESHES = 2
"""Refreshes that may be outstanding: the interval is an average, and a controller finishes what it is at."""


class SdramChip(wiring.Component):
    """The chip behind its pins, as their levels are.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    clk_en, cs_n, ras_n, cas_n, we_n : In(1)
    ba, a, dqm : In
    dq_i, dq_oe : In
        What the controller drives, and whether.
    dq_o : Out
        What the chip drives; changing rubbish when it does not.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({
            "clk_en": In(1), "cs_n": In(1, init=1), "ras_n": In(1), "cas_n": In(1), "we_n": In(1),
            "ba": In(part.bank_bits), "a": In(max(part.row_bits, 11)), "dqm": In(DATA_BITS // 8),
            "dq_i": In(DATA_BITS), "dq_oe": In(1), "dq_o": Out(DATA_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        part = self._part
        command = Signal(Command)
        selected = self.clk_en & ~self.cs_n
        m.d.comb += command.eq(Mux(selected, Cat(~self.ras_n, ~self.cas_n, ~self.we_n), Command.NOTHING))
        timings = {name: part.clocks(f"t_{name}", self._clock_mhz)
                   for name in ("rcd", "rp", "ras", "rc", "rrd", "wr", "rfc")} | {"mrd": part.t_mrd_ck}
        longest = max(timings.values())

        def check(condition, what):
            m.d.sync += Assert(condition, f"{part.name}: {what}\n")

        def since(event, name):
            """Clocks since the last ``event``, as far as they matter."""
            clocks = Signal(range(longest + 1), init=longest, name=f"since_{name}")
            m.d.sync += clocks.eq(Mux(event, 1, Mux(clocks == longest, longest, clocks + 1)))
            return clocks

        # What the chip remembers.
        banks = range(1 << part.bank_bits)
        here = [Signal(name=f"here{bank}") for bank in banks]
        m.d.comb += [here[bank].eq((self.ba == bank) | ((command == Command.PRECHARGE) & (self.a & ALL_BANKS != 0)))
                     for bank in banks]
        opened, rows = Signal(len(banks)), Array(Signal(part.row_bits, name=f"row{bank}") for bank in banks)
        burst = Signal(4)
        activate = [since((command == Command.ACTIVATE) & here[bank], f"activate{bank}") for bank in banks]
        precharge = [since((command == Command.PRECHARGE) & here[bank], f"precharge{bank}") for bank in banks]
        writing, write_bank = Signal(), Signal.like(self.ba)
        data_in = (command == Command.WRITE) | writing
        data_bank = Mux(command == Command.WRITE, self.ba, write_bank)
        written = [since(data_in & (data_bank == bank), f"written{bank}") for bank in banks]
        refreshed = since(command == Command.REFRESH, "refresh")
        moded = since(command == Command.MODE, "mode")
        any_activate = since(command == Command.ACTIVATE, "any_activate")

        # Initialisation, in this order: power-up, precharge of all banks, refreshes, mode.
        power_up_cycles = part.cycles(part.power_up_us * 1000, self._clock_mhz)
        power_up = Signal(range(power_up_cycles + 1), init=power_up_cycles)
        closed, initialised, latency, gives, before = Signal(), Signal(), Signal(3), Signal(), Signal()
        refreshes = Signal(range(part.power_up_refreshes + 1))
        with m.If(power_up != 0):
            m.d.sync += power_up.eq(power_up - 1)
        with m.If(command != Command.NOTHING):
            check(power_up == 0, "initialisation: command before the end of power-up")
            check(refreshed >= timings["rfc"], "tRFC: command after refresh")
            check(moded >= timings["mrd"], "tMRD: command after mode")

        interval = part.refresh_interval(self._clock_mhz)
        timer, owed = Signal(range(interval)), Signal(range(_LATE_REFRESHES + 2))
        with m.If(initialised):
            m.d.sync += timer.eq(Mux(timer == interval - 1, 0, timer + 1))
            m.d.sync += owed.eq(owed + (timer == interval - 1) - ((command == Command.REFRESH) & (owed != 0)))
            check(owed <= _LATE_REFRESHES, "tREFI: refresh is late")

        with m.Switch(command):
            with m.Case(Command.ACTIVATE):
                check(initialised, "initialisation: activate before mode")
                check(~opened.bit_select(self.ba, 1), "activate of an open bank")
                check(Array(precharge)[self.ba] >= timings["rp"], "tRP: activate after precharge")
                check(Array(activate)[self.ba] >= timings["rc"], "tRC: activate after activate of the bank")
                check(any_activate >= timings["rrd"], "tRRD: activate after activate")
                m.d.sync += [rows[self.ba].eq(self.a), opened.bit_select(self.ba, 1).eq(1)]
            with m.Case(Command.PRECHARGE):
                for bank in banks:
                    with m.If(here[bank] & opened[bank]):
                        check(activate[bank] >= timings["ras"], "tRAS: precharge after activate")
                        check((written[bank] >= timings["wr"]) & ~(writing & (write_bank == bank)),
                              "tWR: precharge after data written")
                m.d.sync += opened.eq(opened & ~Cat(here))
                with m.If(Cat(here).all()):
                    m.d.sync += closed.eq(1)
            with m.Case(Command.REFRESH):
                check(closed, "initialisation: refresh before precharge of all banks")
                check(~opened.any(), "refresh with a bank open")
                for bank in banks:
                    check(precharge[bank] >= timings["rp"], "tRP: refresh after precharge")
                m.d.sync += refreshes.eq(Mux(refreshes == part.power_up_refreshes, refreshes, refreshes + 1))
            with m.Case(Command.MODE):
                check(refreshes == part.power_up_refreshes, "initialisation: mode before enough refreshes")
                check(~opened.any(), "mode with a bank open")
                check((self.ba == 0) & (self.a & ~0x77 == 0) & (self.a[:3] <= 3) & (self.a[4:7] >= 2)
                      & (self.a[4:7] <= 3), "mode: not sequential bursts at a legal CAS latency")
                m.d.sync += [burst.eq(1 << self.a[:2]), latency.eq(self.a[4:7]), initialised.eq(1)]
            with m.Case(Command.READ, Command.WRITE):
                check(opened.bit_select(self.ba, 1), "column command to a closed bank")
                check(Array(activate)[self.ba] >= timings["rcd"], "tRCD: column command after activate")
                check(self.a & ALL_BANKS == 0, "precharge with a column command: not in this model")
        with m.If(initialised):
            check(self.clk_en, "clock enable is low: not in this model")
            check(~(self.dq_oe & (gives | before)), "contention on the data pins")

        # Bursts: where the transfer of this clock goes, and how many follow.
        address = Signal(part.address_bits - 1)
        column, left, reading, at = Signal(part.column_bits), Signal(3), Signal(), Signal.like(address)
        start = (command == Command.READ) | (command == Command.WRITE)
        m.d.comb += column.eq(self.a[:part.column_bits])
        m.d.comb += address.eq(Mux(start, Cat(column, self.ba, rows[self.ba]), at))
        # Sequential bursts wrap round within their length.
        m.d.sync += at.eq(address & ~(burst - 1) | (address + 1) & (burst - 1))
        with m.If(start):
            m.d.sync += [left.eq(burst - 1), writing.eq((command == Command.WRITE) & (burst != 1)),
                         reading.eq((command == Command.READ) & (burst != 1)), write_bank.eq(self.ba)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += [writing.eq(0), reading.eq(0)]

        # Data out, CAS latency after the read; the pins rest for a clock before the controller drives them.
        out, out_at = [(command == Command.READ) | (reading & ~start)], [address]
        for stage in range(3):
            out.append(Signal(name=f"out{stage}"))
            out_at.append(Signal.like(address, name=f"out_at{stage}"))
            m.d.sync += [out[-1].eq(out[-2]), out_at[-1].eq(out_at[-2])]
        stored, rubbish = Signal(DATA_BITS), Signal(DATA_BITS, init=0x5EED)
        m.d.comb += gives.eq(Array(out)[latency])
        m.d.sync += [before.eq(gives), rubbish.eq(Cat(rubbish[1:], rubbish[0] ^ rubbish[1] ^ rubbish[3] ^ rubbish[12]))]
        with m.If(gives):
            check(self.dqm == 0, "masked read: not in this model")
        with m.If(data_in):
            check(self.dq_oe, "write without data")
        m.d.comb += self.dq_o.eq(Mux(gives, stored, rubbish))

        m.submodules.ram = Instance(
            "ram", p_WIDTH=DATA_BITS, p_DEPTH=1 << len(address), p_ADDR_BITS=len(address),
            i_clk=ClockSignal(), i_raddr=Array(out_at)[latency], o_rdata=stored,
            i_waddr=address, i_wdata=self.dq_i, i_wstrb=Mux(data_in, ~self.dqm, 0),
            i_host_load=Const(0), i_host_store=Const(0), i_host_addr=Const(0, 32), i_host_count=Const(0, 32))
        return m

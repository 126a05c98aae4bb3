"""Data of the SDRAM chip's model: bursts into its memory and out of it.

Latency: the first transfer of a write is that of its command's clock; the first transfer of a read comes CAS latency
clocks after its command. Rate: one transfer each clock.
"""

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import DATA_BITS, SdramPart
from hw.sdram.pins import Command
from sim.board.chip_checks import Checks, CommandSignature

__all__ = ["ChipData"]

_LATENCIES = 4
"""CAS latencies of 0 to 3 clocks, the number that the mode register gives."""


class ChipData(wiring.Component):
    """Bursts, and checks of the data pins.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    i : In(CommandSignature)
    row : In(row_bits)
        The open row of the command's bank.
    initialised, burst, latency : In
        As in :class:`~sim.board.chip_initialisation.ChipInitialisation`.
    writing, write_bank : Out
        As in :class:`~sim.board.chip_banks.ChipBanks`.
    dqm, dq_i, dq_oe, dq_o
        As in :class:`~sim.board.sdram_chip.SdramChip`.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({
            "i": In(CommandSignature(part)), "row": In(part.row_bits), "initialised": In(1), "burst": In(4),
            "latency": In(3), "writing": Out(1), "write_bank": Out(part.bank_bits),
            "dqm": In(DATA_BITS // 8), "dq_i": In(DATA_BITS), "dq_oe": In(1), "dq_o": Out(DATA_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read, write = self.i.command == Command.READ, self.i.command == Command.WRITE
        address, reading, left = Signal(self._part.address_bits - 1), Signal(), Signal(3)
        self._count_address(m, address, read | write)
        with m.If(read | write):
            m.d.sync += [left.eq(self.burst - 1), self.writing.eq(write & (self.burst != 1)),
                         reading.eq(read & (self.burst != 1)), self.write_bank.eq(self.i.ba)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
            with m.If(left == 1):
                m.d.sync += [self.writing.eq(0), reading.eq(0)]

        stored, write_now = Signal(DATA_BITS), Signal()
        m.d.comb += write_now.eq(write | self.writing)
        driving, read_address = self._delay(m, read | (reading & ~write), address)
        self._drive(m, driving, stored, write_now)
        m.submodules.ram = Instance(
            "ram", p_WIDTH=DATA_BITS, p_DEPTH=1 << len(address), p_ADDR_BITS=len(address),
            i_clk=ClockSignal(), i_raddr=read_address, o_rdata=stored,
            i_waddr=address, i_wdata=self.dq_i, i_wstrb=Mux(write_now, ~self.dqm, 0),
            i_host_load=Const(0), i_host_store=Const(0), i_host_addr=Const(0, 32), i_host_count=Const(0, 32))
        return m

    def _count_address(self, m: Module, address: Signal, start: Value) -> None:
        """Where the transfer of this clock goes. Sequential bursts wrap round within their length."""
        following, column = Signal.like(address), Signal(self._part.column_bits)
        m.d.comb += [
            column.eq(self.i.a[:self._part.column_bits]),
            address.eq(Mux(start, Cat(column, self.i.ba, self.row), following)),
        ]
        m.d.sync += following.eq(address & ~(self.burst - 1) | (address + 1) & (self.burst - 1))

    def _delay(self, m: Module, read: Value, address: Signal) -> tuple[Value, Value]:
        """Whether a transfer is read, and where, CAS latency clocks later."""
        reads, addresses = [read], [address]
        for stage in range(1, _LATENCIES):
            reads.append(Signal(name=f"read{stage}"))
            addresses.append(Signal.like(address, name=f"read_address{stage}"))
            m.d.sync += [reads[-1].eq(reads[-2]), addresses[-1].eq(addresses[-2])]
        return Array(reads)[self.latency], Array(addresses)[self.latency]

    def _drive(self, m: Module, read: Value, stored: Signal, write: Signal) -> None:
        """Drive the pins and check them; they rest for a clock before the controller drives them."""
        driving, drove, rubbish = Signal(), Signal(), Signal(DATA_BITS, init=0x5EED)
        m.d.comb += [driving.eq(read), self.dq_o.eq(Mux(driving, stored, rubbish))]
        m.d.sync += [
            drove.eq(driving),
            rubbish.eq(Cat(rubbish[1:], rubbish[0] ^ rubbish[1] ^ rubbish[3] ^ rubbish[12])),
        ]
        checks = Checks(m, self._part, self._clock_mhz)
        with m.If(self.initialised):
            checks.check(~(self.dq_oe & (driving | drove)), "contention on the data pins")
        with m.If(driving):
            checks.check(self.dqm == 0, "masked read: not in this model")
        with m.If(write):
            checks.check(self.dq_oe, "write without data")

"""Banks of the SDRAM chip's model: which rows are open, and the times between the commands to them."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import SdramPart
from hw.sdram.pins import ALL_BANKS, Command
from sim.board.chip_checks import Checks, CommandSignature

__all__ = ["ChipBanks"]


class ChipBanks(wiring.Component):
    """Checks of commands that concern banks.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float

    Members
    -------
    i : In(CommandSignature)
    writing : In(1)
        A burst that has begun in an earlier clock is being written, in the bank ``write_bank``.
    write_bank : In(bank_bits)
    row : Out(row_bits)
        The row that was last opened in the bank of this clock's command.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        super().__init__({"i": In(CommandSignature(part)), "writing": In(1), "write_bank": In(part.bank_bits),
                          "row": Out(part.row_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        command, ba = self.i.command, self.i.ba
        banks = range(1 << self._part.bank_bits)
        opened, addressed = Signal(len(banks)), Signal(len(banks))
        rows = Array(Signal(self._part.row_bits, name=f"row{bank}") for bank in banks)
        all_banks = (command == Command.PRECHARGE) & (self.i.a & ALL_BANKS != 0)
        m.d.comb += [self.row.eq(rows[ba]), addressed.eq(Cat((ba == bank) | all_banks for bank in banks))]

        checks = Checks(m, self._part, self._clock_mhz)
        with m.Switch(command):
            with m.Case(Command.ACTIVATE):
                checks.check(~opened.bit_select(ba, 1), "activate of an open bank")
                m.d.sync += [rows[ba].eq(self.i.a), opened.bit_select(ba, 1).eq(1)]
            with m.Case(Command.PRECHARGE):
                m.d.sync += opened.eq(opened & ~addressed)
            with m.Case(Command.REFRESH):
                checks.check(~opened.any(), "refresh with a bank open")
            with m.Case(Command.MODE):
                checks.check(~opened.any(), "mode with a bank open")
            with m.Case(Command.READ, Command.WRITE):
                checks.check(opened.bit_select(ba, 1), "column command to a closed bank")
                checks.check(self.i.a & ALL_BANKS == 0, "precharge with a column command: not in this model")
        self._check_times(m, checks, opened, addressed)
        return m

    def _check_times(self, m: Module, checks: Checks, opened: Signal, addressed: Signal) -> None:
        """Assert the data sheet's times; ``addressed`` has a bit for each bank that the command is for."""
        command, ba = self.i.command, self.i.ba
        banks, clocks, check = range(len(opened)), checks.clocks, checks.check
        write = command == Command.WRITE
        activate = Array(checks.since((command == Command.ACTIVATE) & addressed[bank], f"activate{bank}")
                         for bank in banks)
        precharge = Array(checks.since((command == Command.PRECHARGE) & addressed[bank], f"precharge{bank}")
                          for bank in banks)
        # A write cuts off the burst before it, which may be in another bank.
        continued = [self.writing & (self.write_bank == bank) for bank in banks]
        written = [checks.since((write & (ba == bank)) | (~write & continued[bank]), f"written{bank}")
                   for bank in banks]
        any_activate = checks.since(command == Command.ACTIVATE, "any_activate")

        with m.Switch(command):
            with m.Case(Command.ACTIVATE):
                check(precharge[ba] >= clocks("t_rp"), "tRP: activate after precharge")
                check(activate[ba] >= clocks("t_rc"), "tRC: activate after activate of the bank")
                check(any_activate >= clocks("t_rrd"), "tRRD: activate after activate")
            with m.Case(Command.PRECHARGE):
                for bank in banks:
                    with m.If(addressed[bank] & opened[bank]):
                        check(activate[bank] >= clocks("t_ras"), "tRAS: precharge after activate")
                        check((written[bank] >= clocks("t_wr")) & ~continued[bank], "tWR: precharge after data written")
            with m.Case(Command.REFRESH):
                for bank in banks:
                    check(precharge[bank] >= clocks("t_rp"), "tRP: refresh after precharge")
            with m.Case(Command.READ, Command.WRITE):
                check(activate[ba] >= clocks("t_rcd"), "tRCD: column command after activate")

"""A model of an SDR SDRAM chip that fails the simulation on any violation of its data sheet.

The model samples its pins at each rising edge of the design's clock and drives data CAS latency edges after a read, as
:mod:`hw.sdram.pins` expects them. All checks are assertions whose message begins with the data sheet's name of what is
violated. Initialisation and refreshes, banks, and data have a component each.
"""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.sdram.part import DATA_BITS, SdramPart
from hw.sdram.pins import Command, SdramPinsSignature
from sim.board.chip_banks import ChipBanks
from sim.board.chip_data import ChipData
from sim.board.chip_initialisation import ChipInitialisation

__all__ = ["SdramChip"]


class SdramChip(wiring.Component):
    """The chip behind its pins. Members have the pins' levels: names that end in ``_n`` are active when 0.

    Parameters
    ----------
    part : SdramPart
    clock_mhz : float
        Clock of the design and of the chip.

    Members
    -------
    clk_en, cs_n, ras_n, cas_n, we_n : In(1)
    ba : In(bank_bits)
    a : In
        The address pins.
    dqm : In(2)
        The bytes of a write that are not stored.
    dq_i, dq_oe : In(16), In(1)
        What the controller drives, and whether it does.
    dq_o : Out(16)
        What the chip drives; changing rubbish when it does not.
    """

    def __init__(self, part: SdramPart, clock_mhz: float):
        self._part, self._clock_mhz = part, clock_mhz
        pins = SdramPinsSignature(part).flip().members
        super().__init__({
            "clk_en": In(1), "cs_n": In(1, init=1), "ras_n": In(1), "cas_n": In(1), "we_n": In(1),
            "ba": pins["ba"], "a": pins["a"], "dqm": pins["dqm"],
            "dq_i": In(DATA_BITS), "dq_oe": In(1), "dq_o": Out(DATA_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, mhz = self._part, self._clock_mhz
        m.submodules.initialisation = initialisation = ChipInitialisation(part, mhz)
        m.submodules.banks = banks = ChipBanks(part, mhz)
        m.submodules.data = data = ChipData(part, mhz)
        selected = self.clk_en & ~self.cs_n
        command = Mux(selected, Cat(~self.ras_n, ~self.cas_n, ~self.we_n), Command.NOTHING)
        for port in (initialisation.i, banks.i, data.i):
            m.d.comb += [port.command.eq(command), port.ba.eq(self.ba), port.a.eq(self.a)]
        m.d.comb += [
            initialisation.clk_en.eq(self.clk_en),
            banks.writing.eq(data.writing),
            banks.write_bank.eq(data.write_bank),
            data.row.eq(banks.row),
            data.initialised.eq(initialisation.initialised),
            data.burst.eq(initialisation.burst),
            data.latency.eq(initialisation.latency),
            *(getattr(data, name).eq(getattr(self, name)) for name in ("dqm", "dq_i", "dq_oe")),
            self.dq_o.eq(data.dq_o),
        ]
        return m

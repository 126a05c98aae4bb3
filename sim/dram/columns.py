"""The DRAM's column commands and data pins: when the next word may be read or written once its row is open.

Between two words lies the time that a word takes on the pins, or tCCD_S, or tCCD_L in one bank group, whichever is
longest. Between a read and a write the pins turn round. A read after a write waits for tWTR_S after the last data
written, for tWTR_L in the same bank group. All this holds within a rank; between the data of two ranks the pins rest.
A plain memory (``banks=0``) has none of these timings but the time of a word on the pins.

All times are combinational: the latency is 0. A command is accepted in every cycle.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.dram.dram import Dram
from sim.dram.times import TIME, latest

__all__ = ["Columns"]


class Columns(wiring.Component):
    """Timing of the column commands of all banks.

    Parameters
    ----------
    dram : Dram
    data_bits : int
        Width of a word.

    Members
    -------
    row_ready_at : In(TIME)
        The earliest time at which the word's row allows the command: now, or later.
    rank, group : In(range(ranks)), In(range(groups))
        The word's rank and its bank group.
    write : In(1)
        1 when the word is written, 0 when it is read.
    command_at : Out(TIME)
        The earliest time at which the command can take place.
    access : In(1)
        The command takes place at ``command_at``.
    refresh_all : In(1)
        All banks are refreshed: no command takes place before ``refreshed_at``.
    refreshed_at : In(TIME)
        The time at which the refresh of all banks ends.
    data_at : Out(TIME)
        The time at which the last data of a word read has come through the PHY and the controller.
    precharge_at : Out(TIME)
        The earliest time at which the bank may be precharged after the command.
    """

    def __init__(self, dram: Dram, data_bits: int) -> None:
        self._dram, self._data_bits = dram, data_bits
        super().__init__({
            "row_ready_at": In(TIME), "rank": In(range(dram.ranks)), "group": In(range(dram.groups)), "write": In(1),
            "command_at": Out(TIME), "access": In(1), "refresh_all": In(1), "refreshed_at": In(TIME),
            "data_at": Out(TIME), "precharge_at": Out(TIME),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dram, word = self._dram, self._dram.word_ck(self._data_bits)
        # Distances between two commands, CK: in different bank groups and in the same one, then from a write to a read
        # and from a read to a write.
        last_burst = word - dram.t_bl
        other_group, same_group = (last_burst + max(dram.t_bl, ccd) for ccd in (dram.t_ccd_s, dram.t_ccd_l))
        write_to_read, write_to_read_same, read_to_write = other_group, same_group, other_group
        if dram.banks:
            write_to_read, write_to_read_same = (dram.t_cwl + word + wtr for wtr in (dram.t_wtr_s, dram.t_wtr_l))
            read_to_write = max(other_group, dram.t_cl + word + dram.t_turn - dram.t_cwl)

        # The earliest times of the next command in each rank, and in each of its bank groups.
        next_read, next_write = (Array(Signal(TIME, name=f"rank{i}_{name}") for i in range(dram.ranks))
                                 for name in ("read", "write"))
        group_read, group_write = (Array(Signal(TIME, name=f"group{i}_{name}") for i in range(dram.ranks * dram.groups))
                                   for name in ("read", "write"))
        group = Signal(range(len(group_read)))
        m.d.comb += [
            group.eq(Cat(self.group, self.rank)),
            self.command_at.eq(latest(
                m, self.row_ready_at, Mux(self.write, next_write[self.rank], next_read[self.rank]),
                Mux(self.write, group_write[group], group_read[group]))),
        ]
        with m.If(self.refresh_all):
            m.d.sync += [time.eq(self.refreshed_at) for time in (*next_read, *next_write)]
        with m.Elif(self.access):
            m.d.sync += [
                next_read[self.rank].eq(self.command_at + Mux(self.write, write_to_read, other_group)),
                next_write[self.rank].eq(self.command_at + Mux(self.write, other_group, read_to_write)),
                group_read[group].eq(self.command_at + Mux(self.write, write_to_read_same, same_group)),
                group_write[group].eq(self.command_at + same_group),
            ]
        if dram.ranks > 1:
            self._pins_change_ranks(m, next_read, next_write)
        written, read = dram.t_cwl + word + dram.t_wr, last_burst + dram.t_rtp
        m.d.comb += [
            self.data_at.eq(self.command_at + dram.t_cl + word + dram.controller * dram.ratio),
            self.precharge_at.eq(self.command_at + Mux(self.write, written, read)),
        ]
        return m

    def _pins_change_ranks(self, m: Module, next_read: Array, next_write: Array) -> None:
        """Ranks share nothing but the pins. An access of one holds up the next of every other one until the pins have
        rested; what the other rank waits for itself holds on."""
        dram, word = self._dram, self._dram.word_ck(self._data_bits)
        same_way, write_to_read = word + dram.t_rank, max(dram.t_cwl + word + dram.t_rank - dram.t_cl, 1)
        read_to_write = max(dram.t_cl + word + max(dram.t_turn, dram.t_rank) - dram.t_cwl, 1)
        read_at = self.command_at + Mux(self.write, write_to_read, same_way)
        write_at = self.command_at + Mux(self.write, same_way, read_to_write)
        for rank in range(dram.ranks):
            read, write = latest(m, next_read[rank], read_at), latest(m, next_write[rank], write_at)
            with m.If(self.access & ~self.refresh_all & (self.rank != rank)):
                m.d.sync += [next_read[rank].eq(read), next_write[rank].eq(write)]

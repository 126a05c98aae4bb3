"""The DRAM's column commands and data pins: when the next word may be read or written, its row being open.

Between two words lie the words' own time on the pins, tCCD_S or (in one bank group) tCCD_L; between reads and writes
the pins turn round, and a read waits for tWTR after the last data written, to another or to the same bank group. Banks
of a plain memory (``banks=0``) have none of this but the words' own time.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from sim.dram.presets import Dram
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
    ready_at : In(TIME)
        When the word's row allows the command; now or later.
    group : In(range(groups))
    write : In(1)
        The word's bank group, and whether it is written.
    at : Out(TIME)
        When the command can take place.
    access : In(1)
        It does.
    stop : In(1)
        No command takes place before ``stop_until``, for a refresh.
    stop_until : In(TIME)
    data_at : Out(TIME)
        When a word read is in.
    close_at : Out(TIME)
        When the bank may be precharged after the command.
    """

    def __init__(self, dram: Dram, data_bits: int):
        self._dram, self._data_bits = dram, data_bits
        super().__init__({
            "ready_at": In(TIME), "group": In(range(dram.groups)), "write": In(1), "at": Out(TIME), "access": In(1),
            "stop": In(1), "stop_until": In(TIME), "data_at": Out(TIME), "close_at": Out(TIME),
        })

    def elaborate(self, platform):
        m = Module()
        dram, word = self._dram, self._dram.word_ck(self._data_bits)
        last_burst = word - dram.t_bl
        other_group, same_group = (last_burst + max(dram.t_bl, ccd) for ccd in (dram.t_ccd_s, dram.t_ccd_l))
        to_read, to_write = other_group, other_group  # from a write, from a read
        to_read_same = same_group
        if dram.banks:
            to_read, to_read_same = (dram.t_cwl + word + wtr for wtr in (dram.t_wtr_s, dram.t_wtr_l))
            to_write = max(other_group, dram.t_cl + word + dram.t_turn - dram.t_cwl)

        next_read, next_write = Signal(TIME), Signal(TIME)
        group_read = Array(Signal(TIME, name=f"group{i}_read") for i in range(dram.groups))
        group_write = Array(Signal(TIME, name=f"group{i}_write") for i in range(dram.groups))
        m.d.comb += self.at.eq(latest(
            m, self.ready_at, Mux(self.write, next_write, next_read),
            Mux(self.write, group_write[self.group], group_read[self.group])))

        with m.If(self.stop):
            m.d.sync += [next_read.eq(self.stop_until), next_write.eq(self.stop_until)]
        with m.Elif(self.access):
            m.d.sync += [
                next_read.eq(self.at + Mux(self.write, to_read, other_group)),
                next_write.eq(self.at + Mux(self.write, other_group, to_write)),
                group_read[self.group].eq(self.at + Mux(self.write, to_read_same, same_group)),
                group_write[self.group].eq(self.at + same_group),
            ]
        m.d.comb += [
            self.data_at.eq(self.at + dram.t_cl + word),
            self.close_at.eq(self.at + Mux(self.write, dram.t_cwl + word + dram.t_wr, last_burst + dram.t_rtp)),
        ]
        return m

"""When words can be read and written once their rows are open: the rules of :mod:`sim.dram.columns`.

Times are in clocks of the DRAM (CK).
"""

from sim.dram.dram import Dram

__all__ = ["LONG_AGO", "ColumnTiming"]

LONG_AGO = -(1 << 30)
"""A time before all others, at which something happened that holds nothing up."""


class _Rank:
    """The earliest times of the next read and of the next write: in the rank, and in each of its bank groups."""

    def __init__(self, groups: int) -> None:
        self.read = self.write = LONG_AGO
        self.group_read, self.group_write = [LONG_AGO] * groups, [LONG_AGO] * groups


class ColumnTiming:
    """The commands that access words.

    Parameters
    ----------
    dram : Dram
    bus_bits : int
        Width of a word.

    Attributes
    ----------
    lowest : int
        Bank groups that consecutive words go through.
    step : int
        CK between consecutive words behind the first ``lowest`` of a segment; 0 where it is not always the same.
    """

    def __init__(self, dram: Dram, bus_bits: int) -> None:
        self._dram, word = dram, dram.word_ck(bus_bits)
        self.lowest = 1 if dram.columns_lowest else dram.groups
        last_burst = word - dram.t_bl
        self._other, self._same = (last_burst + max(dram.t_bl, ccd) for ccd in (dram.t_ccd_s, dram.t_ccd_l))
        self._write_to_read, self._write_to_read_same, self._read_to_write = self._other, self._same, self._other
        if dram.banks:
            self._write_to_read, self._write_to_read_same = (
                dram.t_cwl + word + wtr for wtr in (dram.t_wtr_s, dram.t_wtr_l))
            self._read_to_write = max(self._other, dram.t_cl + word + dram.t_turn - dram.t_cwl)
        self._read_to_precharge, self._write_to_precharge = last_burst + dram.t_rtp, dram.t_cwl + word + dram.t_wr
        self._data = dram.t_cl + word + dram.controller * dram.ratio
        # Between the data of two ranks.
        self._rank_same_way, self._rank_write_to_read = word + dram.t_rank, max(
            dram.t_cwl + word + dram.t_rank - dram.t_cl, 1)
        self._rank_read_to_write = max(dram.t_cl + word + max(dram.t_turn, dram.t_rank) - dram.t_cwl, 1)
        self.step = max(self._other if self.lowest > 1 else self._same, dram.ratio)
        if self.lowest * self.step < self._same:
            self.step = 0
        self._ranks = [_Rank(dram.groups) for _ in range(dram.ranks)]

    def earliest(self, rank: int, group: int, write: bool) -> int:
        """The earliest time of the next command of a rank and a group."""
        state = self._ranks[rank]
        if write:
            return max(state.write, state.group_write[group])
        return max(state.read, state.group_read[group])

    def access(self, rank: int, group: int, time: int, write: bool) -> None:
        """A command takes place at a time."""
        state = self._ranks[rank]
        state.read = time + (self._write_to_read if write else self._other)
        state.write = time + (self._other if write else self._read_to_write)
        state.group_read[group] = time + (self._write_to_read_same if write else self._same)
        state.group_write[group] = time + self._same
        for other in self._ranks:
            if other is not state:
                other.read = max(other.read, time + (self._rank_write_to_read if write else self._rank_same_way))
                other.write = max(other.write, time + (self._rank_same_way if write else self._rank_read_to_write))

    def refresh(self, end: int) -> None:
        """All banks are refreshed until a time."""
        for rank in self._ranks:
            rank.read = rank.write = end

    def precharge(self, time: int, write: bool) -> int:
        """The earliest time at which a bank may be precharged after a command."""
        return time + (self._write_to_precharge if write else self._read_to_precharge)

    def offered(self, times: list[int]) -> list[int]:
        """The fabric cycles from which words read by commands at ``times`` are offered on the bus."""
        ratio, data = self._dram.ratio, self._data
        return [-(-(time + data) // ratio) for time in times]

"""When the memory accesses the words of bursts: the rules of :mod:`sim.dram.scheduler`, :mod:`sim.dram.rows` and
:mod:`sim.dram.refresh`.

Segments come in the order in which the memory works on them. Rows are opened ahead of the accesses, and refreshes take
place in between. Times of commands are in clocks of the DRAM (CK), and all others in fabric cycles; both count from the
end of the simulated reset.
"""

from collections import deque
from collections.abc import Callable

from host.measure.column_timing import LONG_AGO, ColumnTiming
from sim.dram.dram import Dram
from sim.dram.refresh import MAX_POSTPONED
from sim.dram.scheduler import SEGMENTS

__all__ = ["NEVER", "MemoryTiming", "Segment"]

NEVER = 1 << 60
"""A time after all others."""


class Segment:
    """Consecutive words in one row of a bank of each group.

    Parameters
    ----------
    word, count : int
        Number of the first word in the memory, and number of words.
    write : bool
        Whether they are written.
    burst : object
        The burst that they are of.
    last : bool
        Whether the segment is the last of its burst.

    Attributes
    ----------
    number : int
        Number of the segment, in the order in which the scheduler accepts them.
    visible : int
        The cycle from which the scheduler sees it.
    done : int
        Words that have been accessed.
    """

    def __init__(self, word: int, count: int, write: bool, burst: object, last: bool) -> None:
        self.word, self.count, self.write, self.burst, self.last = word, count, write, burst, last
        self.number = self.visible = self.done = 0


class _Bank:
    """A bank: its open row, or None; the time of its last activate; the earliest time of a precharge; the number of the
    last segment that needs its row."""

    def __init__(self) -> None:
        self.row: int | None = None
        self.activated = self.precharge = LONG_AGO
        self.user = -1


class MemoryTiming:
    """The banks, the segments in the scheduler's queue, and the refreshes.

    Parameters
    ----------
    dram : Dram
    bus_bits : int
        Width of a word.

    Attributes
    ----------
    columns : ColumnTiming
    segment_words : int
        Words of the longest segment. Each starts at a multiple of it, or where its burst does.
    queue : deque of Segment
        Those that are not complete, oldest first.
    now : int
        The cycle of the last access.
    follow : callable
        Called with a cycle before a refresh in it: all segments that are accepted up to then have to be accepted.
    """

    def __init__(self, dram: Dram, bus_bits: int) -> None:
        self.dram, self.now, self.columns = dram, -1, ColumnTiming(dram, bus_bits)
        self._row_words, self._latency = dram.row_words(bus_bits), dram.read_latency(bus_bits)
        self.segment_words = self._row_words * self.columns.lowest
        self.queue: deque[Segment] = deque()
        self.follow: Callable[[int], None]
        self.release()
        # Segments: how many were accepted and completed, and when the last ones were completed.
        self._accepted, self._completed, self._completions = 0, 0, deque([-1] * SEGMENTS, SEGMENTS)
        # Rows: the banks; the last four activates of each rank, and the last one of each group; no activate and no
        # precharge of all banks takes place before these times.
        self._banks = [_Bank() for _ in range(max(dram.ranks * dram.groups * dram.banks, 1))]
        self._activates = [deque([LONG_AGO] * 4, 4) for _ in range(dram.ranks)]
        self._group_activates = [[LONG_AGO] * dram.groups for _ in range(dram.ranks)]
        self._no_activate, self._no_precharge = LONG_AGO, LONG_AGO
        # The opening of rows: the segment's place in the queue, the groups of it that are open, and the next cycle.
        self._opening, self._opened, self._opened_from, self._open_cycle = 0, 0, 0, 0
        # Refreshes: when the next one takes place, and when it was due; the last ones of all banks, in cycles; the next
        # unit of banks, when the last one began, and the last cycle in which no word could be accessed for one. Where
        # they are hidden: the units of this round, whether one waits for a segment to be completed, and the bank that
        # was accessed last.
        self._by_unit = bool(dram.t_refi_bank)
        self._interval = (dram.t_refi_bank // dram.ratio if self._by_unit else dram.refresh_interval)
        self._refresh_at = self._due = self._interval or NEVER
        self._rests: deque[tuple[int, int]] = deque(maxlen=4)
        self._units = len(self._banks) // dram.refresh_banks
        self._unit, self._unit_start, self._blocked = 0, LONG_AGO, -1
        self._round, self._postponed, self._accessed_bank = set(range(self._units)), False, 0

    def release(self) -> None:
        """Forget whom to call: a run has ended."""
        self.follow = lambda cycle: None

    # Segments

    @property
    def room_at(self) -> int | None:
        """The cycle from which the queue has room for a segment; None while that is not known."""
        return self._completions[len(self.queue)] + 1 if len(self.queue) < SEGMENTS else None

    def accept(self, segment: Segment, cycle: int) -> None:
        """Put a segment into the queue."""
        segment.number, segment.visible = self._accepted, cycle + 1
        self._accepted += 1
        self.queue.append(segment)

    def _place(self, word: int) -> tuple[int, int, int, int]:
        """Rank, group, number of the bank among all, and row of a word."""
        dram = self.dram
        if dram.columns_lowest:
            above, group = divmod(word // self._row_words, dram.groups)
        else:
            above, group = word // self.segment_words, word % dram.groups
        above, bank = divmod(above, dram.banks)
        row, rank = divmod(above, dram.ranks)
        return rank, group, (rank * dram.groups + group) * dram.banks + bank, row

    # Rows

    def _open_rows(self, until: int) -> None:
        """Open the rows that are opened up to the cycle ``until``."""
        while self._opening < len(self.queue) and self._open_row(until):
            pass

    def _open_row(self, until: int) -> bool:
        """Open the row of the next group, or find it open, if that takes place up to the cycle ``until``; return
        whether it does."""
        segment, dram = self.queue[self._opening], self.dram
        rank, group, number, row = self._place(segment.word + self._opened_from + self._opened)
        bank, cycle = self._banks[number], max(self._open_cycle, segment.visible)
        if bank.row != row:
            if bank.row is not None and bank.user >= self._completed:
                return False
            cycle = max(cycle, self._unused_from(bank))
            at = self._activate_at(bank, rank, group, cycle)
            if not self._by_unit and at + dram.t_ras > self._refresh_at * dram.ratio:
                return False
            if cycle <= until:
                bank.row, bank.activated = row, at
                self._activates[rank].append(at)
                self._group_activates[rank][group] = at
        if cycle > until:
            return False
        bank.user, self._open_cycle = segment.number, cycle + 1
        self._opened += 1
        if self._opened == self.columns.lowest or self._opened_from + self._opened == segment.count:
            self._opening, self._opened, self._opened_from = self._opening + 1, 0, 0
        return True

    def _unused_from(self, bank: _Bank) -> int:
        """The cycle from which no segment needs the open row of a bank."""
        ago = self._completed - bank.user
        return self._completions[-ago] + 1 if bank.row is not None and ago <= SEGMENTS else 0

    def _activate_at(self, bank: _Bank, rank: int, group: int, cycle: int) -> int:
        """The time of an activate that is requested in ``cycle``."""
        dram, now, recent = self.dram, cycle * self.dram.ratio, self._activates[rank]
        at = max(now, bank.activated + dram.t_rc, recent[-1] + dram.t_rrd_s, self._no_activate)
        if bank.row is not None:
            at = max(at, max(now, bank.activated + dram.t_ras, bank.precharge) + dram.t_rp)
        if dram.groups > 1:
            at = max(at, self._group_activates[rank][group] + dram.t_rrd_l)
        if dram.t_faw:
            at = max(at, recent[0] + dram.t_faw)
        return max(at, self._unit_start + dram.t_pbr2act) if self._by_unit else at

    # Refreshes

    def _refresh(self) -> None:
        """The next refresh takes place."""
        if self._by_unit:
            self._refresh_unit(self._refresh_at)
        else:
            self._refresh_all(self._refresh_at)

    def _refresh_all(self, cycle: int) -> None:
        """All banks are closed and refreshed."""
        dram, closed = self.dram, cycle * self.dram.ratio
        if dram.banks:
            closed = max(closed, self._no_precharge, *(recent[-1] + dram.t_ras for recent in self._activates))
        end = closed + (dram.t_rp_all or dram.t_rp) + dram.t_rfc
        for bank in self._banks:
            bank.row = None
        self.columns.refresh(end)
        self._no_activate = end
        self._open_again(cycle)
        self._rests.append((cycle, -(-(end + dram.t_rcd) // dram.ratio)))
        self._due += self._interval
        self._refresh_at = self._due

    def _refresh_unit(self, cycle: int) -> None:
        """The banks of a unit are closed and refreshed, unless this is postponed."""
        dram, now, units = self.dram, cycle * self.dram.ratio, self._units
        self.follow(cycle - 1)
        self._open_rows(cycle - 1)
        used, latest = self._used_units(cycle), self._due + MAX_POSTPONED * self._interval
        if dram.refresh_hidden:
            unit, forced = self._hidden_unit(set() if cycle >= latest else used), cycle >= latest
            if unit is None:
                self._refresh_at, self._postponed = latest, True
                return
        else:
            unit, forced, self._unit = self._unit, self._unit in used, (self._unit + 1) % units
        members = [self._banks[number] for number in range(unit, len(self._banks), units)]
        if forced:
            self._open_again(cycle)
            self._blocked = cycle
        self._open_cycle = max(self._open_cycle, cycle + 1)
        start = max(now, self._activates[0][-1] + dram.t_rrd_s, *(
            max(now, bank.activated + dram.t_ras, bank.precharge) + dram.t_rp if bank.row is not None
            else bank.activated + dram.t_rc for bank in members))
        for bank in members:
            bank.row, bank.activated = None, start + dram.t_rfc_bank - dram.t_rc
        self._unit_start = start
        self._due += self._interval
        self._refresh_at = max(self._due, -(-(start + dram.t_pbr2pbr) // dram.ratio), cycle + 1)

    def _used_units(self, cycle: int) -> set[int]:
        """The units that have open rows which segments need, or the word that is accessed next."""
        used = {number % self._units for number, bank in enumerate(self._banks)
                if bank.row is not None and bank.user >= self._completed}
        if self.queue and self.queue[0].visible <= cycle:
            _, _, number, row = self._place(self.queue[0].word + self.queue[0].done)
            if self._banks[number].row == row:
                used.add(number % self._units)
        return used

    def _hidden_unit(self, used: set[int]) -> int | None:
        """The unit of this round that a sequential stream comes to last, of those that are not used, or None."""
        banks = self.dram.banks
        unit = max(self._round - used, key=lambda unit: ((unit - self._accessed_bank) % banks, unit), default=None)
        if unit is not None:
            self._round = self._round - {unit} or set(range(self._units))
        return unit

    def _open_again(self, cycle: int) -> None:
        """Rows are opened from the word on that is accessed next, after a refresh that has closed some."""
        self._opening = self._opened = 0
        self._opened_from = self.queue[0].done if self.queue else 0
        self._open_cycle = cycle + 1

    def resting(self, begin: int, end: int) -> int:
        """How many of the cycles from ``begin`` to before ``end``, in which no word is offered on the bus, are due to a
        refresh of all banks."""
        return sum(max(min(end, last + self._latency) - max(begin, first + self._latency), 0)
                   for first, last in self._rests)

    # Accesses

    def access(self) -> tuple[Segment, list[int]]:
        """Access words of the oldest segment, up to its end or to a refresh.

        Returns the segment and the times of the commands, in CK. A word is accessed in the cycle in which the time of
        its command lies. There may be none before a refresh.
        """
        segment, times = self.queue[0], list[int]()
        ratio, step, lowest = self.dram.ratio, self.columns.step, self.columns.lowest
        cycle = max(self.now + 1, segment.visible, self._blocked + 1)
        while self.dram.banks and not self._opening and self._open_row(self._refresh_at - 1):
            pass
        while segment.done < segment.count:
            at = None if cycle >= self._refresh_at else self._command_at(segment, cycle)
            if at is None or at // ratio >= self._refresh_at:
                self._refresh()
                break
            run = 1
            if step and len(times) >= lowest:  # the rows are open, and nothing but the step holds commands up
                run = min(segment.count - segment.done, (self._refresh_at * ratio - 1 - at) // step + 1)
            self._access(segment, at, run)
            times.extend(range(at, at + run * step, step) if run > 1 else (at,))
            self.now = times[-1] // ratio
            cycle = self.now + 1
        if segment.done == segment.count:
            self.queue.popleft()
            self._completions.append(self.now)
            self._completed += 1
            if self._postponed:
                self._refresh_at, self._postponed = self.now + 1, False
            self._opening, unopened = max(self._opening - 1, 0), not self._opening
            if unopened:
                self._opened = self._opened_from = 0
        return segment, times

    def _command_at(self, segment: Segment, cycle: int) -> int | None:
        """The time of the command for the segment's next word, from ``cycle`` on; None if its row is not opened before
        the next refresh."""
        at = cycle * self.dram.ratio
        if not self.dram.banks:
            return max(at, self.columns.earliest(0, 0, segment.write))
        rank, group, number, row = self._place(segment.word + segment.done)
        bank = self._banks[number]
        if bank.row != row:
            return None
        return max(at, bank.activated + self.dram.t_rcd, self.columns.earliest(rank, group, segment.write))

    def _access(self, segment: Segment, at: int, run: int) -> None:
        """Access ``run`` words, the first by a command at the time ``at``. Only the last ones matter for what comes."""
        columns = self.columns
        for n in range(max(run - columns.lowest, 0), run):
            time, rank, group = at + n * columns.step, 0, 0
            if self.dram.banks:
                rank, group, number, _ = self._place(segment.word + segment.done + n)
                bank = self._banks[number]
                self._accessed_bank = number % self.dram.banks
                bank.precharge = max(bank.precharge, columns.precharge(time, segment.write))
                self._no_precharge = max(self._no_precharge, bank.precharge)
            columns.access(rank, group, time, segment.write)
        segment.done += run

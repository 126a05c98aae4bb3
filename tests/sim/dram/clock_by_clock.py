"""A DRAM and its controller stepped from clock to clock: written apart from the model in RTL, with none of its rules.

A queue of requests is looked through in every CK. One column command and one row command are given in a CK. A
sequential stream keeps the queue full.
"""

from dataclasses import dataclass, field

from sim.dram.dram import Dram


@dataclass
class _Bank:
    row: int | None = None
    may_open: int = 0
    may_read: int = 0
    may_close: int = 0


@dataclass
class Controller:
    """A controller with a queue of ``queue`` requests, in order, or the first that is ready first.

    Attributes
    ----------
    read : int
        Requests that have been read.
    """

    dram: Dram
    queue: int
    in_order: bool
    read: int = 0
    _waiting: list[int] = field(default_factory=list)
    _following: int = 0

    def __post_init__(self) -> None:
        dram = self.dram
        self._banks = [_Bank() for _ in range(dram.groups * dram.banks)]
        self._group_free, self._pins_free, self._may_open = [0] * dram.groups, 0, 0
        self._opened = [-dram.t_faw] * 4
        self._interval = dram.t_refi_bank // dram.ratio * dram.ratio
        self._units, self._unit, self._due = len(self._banks) // dram.refresh_banks, 0, 0
        self._may_refresh = 0

    def _place(self, word: int) -> tuple[_Bank, int, int]:
        """Bank, bank group and row of a word: group lowest, then column, bank, row."""
        dram, (above, group) = self.dram, divmod(word, self.dram.groups)
        row, bank = divmod(above // dram.row_bursts, dram.banks)
        return self._banks[group * dram.banks + bank], group, row

    def step(self, now: int) -> None:
        """One CK."""
        self._due += now > 0 and now % self._interval == 0
        while len(self._waiting) < self.queue:
            self._waiting.append(self._following)
            self._following += 1
        members = range(self._unit, len(self._banks), self._units) if self._due else ()
        refreshed = [self._banks[member] for member in members]
        row_command = self._refresh(now, refreshed)
        self._read(now, refreshed)
        if not row_command:
            self._open(now, refreshed)

    def _refresh(self, now: int, banks: list[_Bank]) -> bool:
        dram = self.dram
        for bank in banks:
            if bank.row is not None:
                if bank.may_close <= now:
                    bank.row, bank.may_open = None, max(bank.may_open, now + dram.t_rp)
                    return True
                return False
        if not banks or now < max(self._may_open, self._may_refresh, *(bank.may_open for bank in banks)):
            return False
        for bank in banks:
            bank.may_open = now + dram.t_rfc_bank
        self._may_open, self._may_refresh = max(self._may_open, now + dram.t_pbr2act), now + dram.t_pbr2pbr
        self._due, self._unit = self._due - 1, (self._unit + 1) % self._units
        return True

    def _read(self, now: int, refreshed: list[_Bank]) -> None:
        for word in self._waiting[:1] if self.in_order else self._waiting:
            bank, group, row = self._place(word)
            if (bank.row == row and not any(bank is other for other in refreshed)
                    and now >= max(bank.may_read, self._group_free[group], self._pins_free)):
                self._waiting.remove(word)
                self.read += 1
                self._pins_free = now + max(self.dram.t_bl, self.dram.t_ccd_s)
                self._group_free[group] = now + max(self.dram.t_bl, self.dram.t_ccd_l)
                bank.may_close = max(bank.may_close, now + self.dram.t_rtp)
                return

    def _open(self, now: int, refreshed: list[_Bank]) -> None:
        dram, seen = self.dram, [*refreshed]
        for word in self._waiting:
            bank, _, row = self._place(word)
            if any(bank is other for other in seen):
                continue
            seen.append(bank)
            if bank.row is None and now >= max(bank.may_open, self._may_open, self._opened[0] + dram.t_faw):
                self._opened = [*self._opened[1:], now]
                self._may_open = now + dram.t_rrd_s
                bank.row, bank.may_open = row, now + dram.t_rc
                bank.may_read, bank.may_close = now + dram.t_rcd, now + dram.t_ras
                return
            if bank.row not in (None, row) and bank.may_close <= now:
                bank.row, bank.may_open = None, max(bank.may_open, now + dram.t_rp)
                return


def sequential_share(dram: Dram, queue: int, in_order: bool, clocks: int = 40_000) -> float:
    """Share of the peak that a sequential stream reads; the first tenth of the time does not count."""
    controller, before = Controller(dram, queue, in_order), 0
    for now in range(clocks):
        if now == clocks // 10:
            before = controller.read
        controller.step(now)
    return (controller.read - before) * dram.t_bl / (clocks - clocks // 10)

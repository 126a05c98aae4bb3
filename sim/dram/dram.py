"""A DRAM device as data: every timing that the memory model works with.

Timings are in clocks of the DRAM (CK), as standards and data sheets give them. The frequency of the fabric's clock is
that of the DRAM's clock divided by ``ratio``. The data pins are as many as make one bus word one burst, as if channels
ran in lockstep, unless ``burst_bits`` fixes them.
"""

from dataclasses import dataclass

__all__ = ["Dram"]

_ROUNDS = 100
"""Rounds of refreshes of all banks, one by one, that an average goes over."""


@dataclass(frozen=True)
class Dram:
    """One memory: a DRAM channel, or with ``banks=0`` a plain memory with a latency and a periodic stall.

    The names of the timings are those of the JEDEC standards; all of them are in CK.

    Parameters
    ----------
    name : str
        The name that the command line and the reports use.
    source : str
        Where the numbers come from.
    ck_mhz : float or None
        Frequency of the DRAM's clock, MHz; None when only cycles are known.
    ratio : int
        Clocks of the DRAM in a fabric cycle.
    controller : int
        Fabric cycles that the controller and the PHY add to every read, beyond the queues of the model. It delays the
        words read and holds up no command.
    ranks : int
        Ranks on the data pins; a power of two. Each has banks of its own, and all are refreshed at once.
    t_rank : int
        Time that the data pins rest between data of two ranks.
    groups, banks : int
        Bank groups, and banks in each group; powers of two. Each bank has one open row at most. With 0 banks there is
        no bank timing.
    row_bursts : int
        Bursts in a row (page) of a bank; a power of two.
    burst_bits : int
        Bits that a burst moves. With 0 the channel is as wide as makes a bus word one burst. A wider word takes several
        bursts from one bank; of a burst that is wider than a word, the rest is lost.
    columns_lowest : bool
        Which bits of a word address are lowest. False puts the bank group there, so that consecutive words come from
        different groups; True puts the column there. The bank and then the row are above both.
    t_bl : int
        Time that a burst takes on the data pins.
    t_cl, t_cwl : int
        Time from a read command and from a write command to their first data.
    t_rcd : int
        Time from an activate to a column command.
    t_rp, t_rp_all : int
        Time from a precharge to an activate, for one bank and for all banks. With ``t_rp_all=0`` both are ``t_rp``.
    t_ras, t_rc : int
        Time from an activate of a bank to its precharge and to its next activate.
    t_ccd_s, t_ccd_l : int
        Time between two column commands, in different bank groups and in the same group.
    t_rrd_s, t_rrd_l : int
        Time between two activates, in different bank groups and in the same group.
    t_faw : int
        Length of a window that holds four activates at most; 0 for no limit.
    t_rtp : int
        Time from a read command to the precharge of its bank.
    t_wr : int
        Time from the last data written to the precharge of their bank.
    t_wtr_s, t_wtr_l : int
        Time from the last data written to a read command, in another bank group and in the same group.
    t_turn : int
        Time that the data pins rest between data read and data written.
    t_rfc, t_refi : int
        Length of a refresh of all banks, and the interval between two; 0 and 0 for no refresh.
    t_rfc_bank, t_refi_bank, refresh_banks : int
        Length and interval of a refresh of ``refresh_banks`` banks, which takes the place of a refresh of all banks
        when ``t_refi_bank`` is not 0.
    t_pbr2pbr, t_pbr2act : int
        Time from a refresh of single banks to the next one, and to an activate of another bank.
    refresh_hidden : bool
        Which banks a refresh of single banks takes. False takes them in the order of a counter as soon as it is due, as
        an ordinary controller does. True takes those that a sequential stream will reach last, and waits for them.

    Raises
    ------
    ValueError
        When the model cannot have such a memory.
    """

    name: str
    source: str
    ck_mhz: float | None = None
    ratio: int = 1
    controller: int = 0
    ranks: int = 1
    t_rank: int = 0
    groups: int = 1
    banks: int = 0
    row_bursts: int = 128
    burst_bits: int = 0
    columns_lowest: bool = False
    t_bl: int = 1
    t_cl: int = 0
    t_cwl: int = 0
    t_rcd: int = 0
    t_rp: int = 0
    t_rp_all: int = 0
    t_ras: int = 0
    t_rc: int = 0
    t_ccd_s: int = 1
    t_ccd_l: int = 1
    t_rrd_s: int = 0
    t_rrd_l: int = 0
    t_faw: int = 0
    t_rtp: int = 0
    t_wr: int = 0
    t_wtr_s: int = 0
    t_wtr_l: int = 0
    t_turn: int = 0
    t_rfc: int = 0
    t_refi: int = 0
    t_rfc_bank: int = 0
    t_refi_bank: int = 0
    refresh_banks: int = 1
    t_pbr2pbr: int = 0
    t_pbr2act: int = 0
    refresh_hidden: bool = False

    def __post_init__(self) -> None:
        for name, low in (("ranks", 1), ("groups", 1), ("banks", 0), ("row_bursts", 1), ("refresh_banks", 1)):
            value = getattr(self, name)
            if value < low or value & (value - 1):
                raise ValueError(f"memory {self.name}: {name} must be a power of two, not {value}")
        if self.ratio < 1:
            raise ValueError(f"memory {self.name}: ratio must be at least 1, not {self.ratio}")
        if self.groups * self.banks == 1:
            raise ValueError(f"memory {self.name}: there must be no banks or at least 2, not 1")
        if self.t_refi and self.refresh_gap + self.t_ras >= self.t_refi - self.ratio:
            raise ValueError(f"memory {self.name}: t_refi must leave time between refreshes; {self.t_refi} does not")
        if self.ranks > 1 and (not self.banks or self.t_refi_bank):
            raise ValueError(f"memory {self.name}: ranks must be 1 without banks and where single banks are refreshed, "
                             f"not {self.ranks}")
        if self.t_refi_bank and self.banks <= self.refresh_banks:
            raise ValueError(f"memory {self.name}: refresh_banks must be less than banks, not {self.refresh_banks}")

    def cycles(self, ck: int) -> int:
        """Fabric cycles that cover ``ck`` clocks of the DRAM, rounded up."""
        return -(-ck // self.ratio)

    def bursts(self, data_bits: int) -> int:
        """Bursts that make a bus word of ``data_bits`` bits."""
        return -(-data_bits // self.burst_bits) if self.burst_bits else 1

    def row_words(self, data_bits: int) -> int:
        """Bus words of ``data_bits`` bits in a row of a bank."""
        return max(1, self.row_bursts // self.bursts(data_bits))

    def word_ck(self, data_bits: int) -> int:
        """CK from the first to the last data of a bus word of ``data_bits`` bits."""
        return self.t_bl + (self.bursts(data_bits) - 1) * max(self.t_bl, self.t_ccd_l)

    def word_rate(self, data_bits: int) -> float:
        """Bus words in a fabric cycle at the peak of the data pins, 1 at most."""
        return min(1, self.ratio / self.word_ck(data_bits))

    def read_latency(self, data_bits: int) -> int:
        """Fabric cycles from a read command to its word on the bus: CL, the word itself, the PHY and the controller."""
        return self.cycles(self.t_cl + self.word_ck(data_bits)) + self.controller

    @property
    def refresh_interval(self) -> int:
        """Fabric cycles after which the refreshes repeat, 0 without refreshes. They are rounded down, because the
        standards' tREFI is a maximum."""
        if self.t_refi_bank:
            return self.groups * self.banks // self.refresh_banks * (self.t_refi_bank // self.ratio)
        return self.t_refi // self.ratio

    @property
    def refresh_gap(self) -> int:
        """CK that a refresh takes at least from a sequential stream, to close all rows, to refresh and to open a row.

        It is 0 for a refresh of single banks, which takes place while others are read.
        """
        return 0 if self.t_refi_bank else (self.t_rp_all or self.t_rp) + self.t_rfc + self.t_rcd

    def stream_step(self, data_bits: int) -> int:
        """CK from one bus word of ``data_bits`` bits to the next in a sequential stream of reads."""
        groups = 1 if self.columns_lowest else self.groups
        last_burst = self.word_ck(data_bits) - self.t_bl
        other, same = (last_burst + max(self.t_bl, ccd) for ccd in (self.t_ccd_s, self.t_ccd_l))
        step = max(other, -(-same // groups)) if groups > 1 else same if self.groups > 1 else other
        return max(step, self.ratio)

    def refresh_rest(self, data_bits: int) -> int:
        """CK that a refresh of all banks takes from a sequential stream of reads: tRTP after the last word, the gap,
        and the rows of the other bank groups, which are opened tRRD apart."""
        if not self.refresh_gap:
            return 0
        groups, step = 1 if self.columns_lowest else self.groups, self.stream_step(data_bits)
        close = self.word_ck(data_bits) - self.t_bl + self.t_rtp - step if self.banks else 0
        return self.refresh_gap + max(close, 0) + (groups - 1) * max(self.t_rrd_s - step, 0)

    @property
    def sequential_limit(self) -> float:
        """Share of the peak that a sequential stream of reads of one-burst words can reach, 0 to 1.

        Refreshes take the rest, and tCCD does where it is longer than the burst.
        """
        one_burst = self.burst_bits or 8
        share = max(self.t_bl, self.ratio) / self.stream_step(one_burst)
        if self.t_refi_bank:
            return share * self.bank_refresh_share(one_burst)
        if self.t_refi:
            share *= 1 - self.refresh_rest(one_burst) / (self.refresh_interval * self.ratio)
        return share

    def bank_refresh_share(self, data_bits: int) -> float:
        """Share of the time that refreshes of single banks leave to a sequential stream of reads.

        It is 1 without them and where they are hidden. In the order of a counter it depends on where the stream is when
        its bank's turn comes, so that the refreshes are gone through one by one: the stream waits from the time at
        which it needs the bank until the bank has been closed, refreshed and opened.
        """
        if not self.t_refi_bank or self.refresh_hidden:
            return 1
        interval, units = self.t_refi_bank // self.ratio * self.ratio, self.groups * self.banks // self.refresh_banks
        groups = 1 if self.columns_lowest else self.groups
        in_a_bank = self.row_words(data_bits) * groups * self.stream_step(data_bits)
        lost = 0
        for number in range(1, _ROUNDS * units + 1):
            now = number * interval
            bank, left = (now - lost) // in_a_bank % self.banks, in_a_bank - (now - lost) % in_a_bank
            banks_ahead = ((number - 1) % units - bank) % self.banks
            needed = now if banks_ahead == 0 else now + left + (banks_ahead - 1) * in_a_bank
            lost += max(now + self.t_rp + self.t_rfc_bank + self.t_rcd - needed, 0)
        return 1 - lost / (_ROUNDS * units * interval)

    @property
    def fabric_mhz(self) -> float | None:
        """Frequency of the fabric's clock, MHz; None when that of the DRAM is not known."""
        return None if self.ck_mhz is None else self.ck_mhz / self.ratio

    def peak_bytes_per_s(self, data_bits: int) -> float | None:
        """Bytes a second at the peak of the data pins; None when the frequency of the clock is not known."""
        return None if self.fabric_mhz is None else self.fabric_mhz * 1e6 * self.word_rate(data_bits) * data_bits / 8

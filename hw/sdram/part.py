"""SDR SDRAM chips as data: geometry and timing, as data sheets give them, and cycles at a clock."""

from dataclasses import dataclass, fields
from math import ceil, floor
from typing import Any

__all__ = ["AS4C32M16SB_7", "CAS_LATENCY", "DATA_BITS", "IS42S16160B_7", "IS42S16160G_7", "MT48LC16M16A2_75",
           "W9825G6KH_6", "SdramPart", "slowest"]

DATA_BITS = 16
"""Data pins of every part here."""
CAS_LATENCY = 3
"""Clocks from a read to its first data. All parts allow 3 at any clock that they run at; fewer would spare a stream of
reads nothing."""


@dataclass(frozen=True)
class SdramPart:
    """A chip of 16 data pins and four banks. Times are in ns unless said otherwise.

    Parameters
    ----------
    name : str
    source : str
        The data sheet that the numbers come from.
    max_mhz : float
        Fastest clock at :data:`CAS_LATENCY`.
    t_rcd, t_rp, t_ras, t_rc, t_rrd : float
        Activate to column command; precharge to activate; activate to precharge; activate to activate of a bank, and of
        two banks.
    t_wr : float
        Last data written to precharge.
    t_rrd_ck, t_wr_ck : int
        The least number of clocks for t_rrd and t_wr: the time and the clocks both hold.
    t_rfc : float
        Refresh to the next command.
    t_refi : float
        Longest interval between refreshes, on average: 64 ms for 8192 rows.
    t_mrd_ck : int
        Clocks from setting the mode to the next command (tMRD).
    power_up_us : float
        Time from power-up to the first command.
    power_up_refreshes : int
        Refreshes before the mode is set.
    row_bits, column_bits, bank_bits : int
        Width of the addresses of a row, of a column in it and of a bank.
    """

    name: str
    source: str
    max_mhz: float
    t_rcd: float
    t_rp: float
    t_ras: float
    t_rc: float
    t_rrd: float
    t_wr: float
    t_rfc: float
    t_refi: float = 64e6 / 8192
    t_rrd_ck: int = 1
    t_wr_ck: int = 1
    t_mrd_ck: int = 2
    power_up_us: float = 200
    power_up_refreshes: int = 8
    row_bits: int = 13
    column_bits: int = 9
    bank_bits: int = 2

    @property
    def address_bits(self) -> int:
        """Width of a byte address that spans the chip."""
        return self.row_bits + self.column_bits + self.bank_bits + 1

    @property
    def size_bytes(self) -> int:
        """Capacity of the whole chip."""
        return 1 << self.address_bits

    def cycles(self, time_ns: float, clock_mhz: float) -> int:
        """The least number of clocks that cover ``time_ns``."""
        return ceil(round(time_ns * clock_mhz / 1000, 6))

    def clocks(self, name: str, clock_mhz: float) -> int:
        """Clocks of the parameter ``name``, for example "t_rcd", whose time and number of clocks both hold."""
        return max(self.cycles(getattr(self, name), clock_mhz), getattr(self, f"{name}_ck", 1))

    def refresh_interval(self, clock_mhz: float) -> int:
        """Clocks between refreshes, at most."""
        return floor(self.t_refi * clock_mhz / 1000)

    def sequential_limit(self, clock_mhz: float) -> float:
        """Share of its pins' peak that a sequential stream can reach.

        What a stream loses in each refresh interval is the time for closing all rows, the refresh and opening a row.
        """
        lost = sum(self.clocks(name, clock_mhz) for name in ("t_rp", "t_rfc", "t_rcd"))
        return 1 - lost / self.refresh_interval(clock_mhz)


def slowest(*parts: SdramPart) -> SdramPart:
    """A part whose timing all of ``parts`` satisfy, as large as the smallest."""
    def most(name: str) -> Any:
        return max(getattr(part, name) for part in parts)

    def least(name: str) -> Any:
        return min(getattr(part, name) for part in parts)

    return SdramPart(" / ".join(part.name for part in parts), "the slowest of these in every parameter", **{
        field.name: (least if field.name in ("max_mhz", "t_refi") or field.name.endswith("_bits") else most)(field.name)
        for field in fields(SdramPart)[2:]})


MT48LC16M16A2_75 = SdramPart(
    "MT48LC16M16A2-75", "Micron, 256Mb: x4, x8, x16 SDRAM, table 12, -75; -7E and -6A are nowhere slower",
    max_mhz=133, t_rcd=20, t_rp=20, t_ras=44, t_rc=66, t_rrd=15, t_wr=15, t_rfc=66)
AS4C32M16SB_7 = SdramPart(
    "AS4C32M16SB-7", "Alliance Memory, AS4C32M16SB data sheet, table 16, -7",
    max_mhz=143, t_rcd=21, t_rp=21, t_ras=42, t_rc=63, t_rrd=14, t_wr=14, t_rfc=63, column_bits=10)
W9825G6KH_6 = SdramPart(
    "W9825G6KH-6", "Winbond, W9825G6JH (the die before it) data sheet, rev. A04 (2011-11-29), 9.5, -6; LiteDRAM's KH "
    "has the same tRCD, tRP, tRAS and tRFC",
    max_mhz=166, t_rcd=15, t_rp=15, t_ras=42, t_rc=60, t_rrd=0, t_wr=0, t_rfc=60, t_rrd_ck=2, t_wr_ck=2)
# ISSI's tables of AC characteristics, by way of others' controllers for these parts: their tRC is tRFC too.
IS42S16160G_7 = SdramPart(
    "IS42S16160G-7", "ISSI, IS42S83200G/IS42S16160G data sheet, AC characteristics, -7",
    max_mhz=143, t_rcd=15, t_rp=15, t_ras=37, t_rc=60, t_rrd=14, t_wr=14, t_rfc=60)
IS42S16160B_7 = SdramPart(
    "IS42S16160B-7", "ISSI, IS42S83200B/IS42S16160B data sheet, rev. D (2008-07-28), AC characteristics, -7",
    max_mhz=143, t_rcd=20, t_rp=20, t_ras=45, t_rc=67.5, t_rrd=14, t_wr=14, t_rfc=67.5)

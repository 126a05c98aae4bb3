"""SDR SDRAM chips as data: geometry and timing, as data sheets give them, and cycles at a clock."""

from dataclasses import dataclass
from math import ceil, floor

__all__ = ["CAS_LATENCY", "DATA_BITS", "IS42S16160_7", "MT48LC16M16A2_75", "SdramPart"]

DATA_BITS = 16
"""Data pins."""
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
        Where the numbers come from.
    max_mhz : float
        Fastest clock at :data:`CAS_LATENCY`.
    t_rcd, t_rp, t_ras, t_rc, t_rrd : float
        Activate to column command; precharge to activate; activate to precharge; activate to activate of a bank, and of
        two banks.
    t_wr : float
        Last data written to precharge.
    t_rfc : float
        Refresh to the next command.
    t_refi : float
        Longest interval between refreshes, on average.
    t_mrd_ck : int
        Clocks from setting the mode to the next command.
    power_up_us : float
        Wait before the first command.
    power_up_refreshes : int
        Before the mode is set.
    row_bits, column_bits, bank_bits : int
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
        """Of the whole chip."""
        return 1 << self.address_bits

    def cycles(self, time_ns: float, clock_mhz: float) -> int:
        """Clocks that cover ``time_ns``."""
        return ceil(round(time_ns * clock_mhz / 1000, 6))

    def refresh_interval(self, clock_mhz: float) -> int:
        """Clocks between refreshes, at most."""
        return floor(self.t_refi * clock_mhz / 1000)

    def sequential_limit(self, clock_mhz: float) -> float:
        """Share of its pins' peak that a sequential stream can reach: all but closing, refreshing and opening a row."""
        lost = sum(self.cycles(time, clock_mhz) for time in (self.t_rp, self.t_rfc, self.t_rcd))
        return 1 - lost / self.refresh_interval(clock_mhz)


MT48LC16M16A2_75 = SdramPart("MT48LC16M16A2-75", "Micron, 256Mb x4, x8, x16 SDRAM data sheet, AC characteristics, -75",
                             max_mhz=133, t_rcd=20, t_rp=20, t_ras=44, t_rc=66, t_rrd=15, t_wr=15, t_rfc=66)
IS42S16160_7 = SdramPart("IS42S16160-7", "ISSI, IS42S16160 data sheet, AC characteristics, -7",
                         max_mhz=143, t_rcd=20, t_rp=20, t_ras=45, t_rc=67.5, t_rrd=14, t_wr=14, t_rfc=67.5)

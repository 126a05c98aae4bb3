"""DRAM devices as data: every timing that the memory model works with, and where each number comes from.

Timings are in clocks of the DRAM (CK), as standards and data sheets give them. The fabric sees one bus word every
``ratio`` CK: a channel of ``data_bits / 8`` data pins moves a word of ``data_bits`` in one burst of eight (BL8, 4 CK).
``ddr4-2400`` on a 512-bit bus is thus a 64-bit channel at 1200 MHz under a fabric of 300 MHz, 19.2 GB/s at its peak.
"""

from dataclasses import dataclass

from sim.toolchain import ToolError

__all__ = ["PRESETS", "Dram", "preset"]


@dataclass(frozen=True)
class Dram:
    """One memory: a DRAM channel, or with ``banks=0`` a plain memory with a latency and a periodic stall.

    Parameters
    ----------
    name : str
    source : str
        Where the numbers come from.
    ck_mhz : float or None
        Clock of the DRAM, MHz; None when only cycles are known.
    ratio : int
        CK in a fabric cycle; also the CK that one bus word occupies the data pins.
    banks : int
        Banks, each with one row open at a time; a power of two, or 0 for no bank timing.
    row_words : int
        Bus words in a row (page) of all devices of the channel together; a power of two. 8 KB on a 512-bit bus.
    t_cl, t_rcd, t_rp, t_ras, t_rc : int
        Column access to first data; activate to column access; precharge to activate; activate to precharge; activate
        to activate of the same bank; CK.
    t_rfc, t_refi : int
        Length of a refresh of all banks, and the interval between them; CK. 0 and 0 for no refresh.

    Raises
    ------
    ValueError
        When the model cannot have such a memory.
    """

    name: str
    source: str
    ck_mhz: float | None = None
    ratio: int = 1
    banks: int = 0
    row_words: int = 128
    t_cl: int = 0
    t_rcd: int = 0
    t_rp: int = 0
    t_ras: int = 0
    t_rc: int = 0
    t_rfc: int = 0
    t_refi: int = 0

    def __post_init__(self) -> None:
        for name, low in (("banks", 0), ("row_words", 1)):
            value = getattr(self, name)
            if value < low or value & (value - 1):
                raise ValueError(f"memory {self.name}: {name} must be a power of two, not {value}")
        if self.banks == 1:
            raise ValueError(f"memory {self.name}: banks must be 0 or at least 2, not 1")
        if self.t_refi and self.refresh_gap + self.cycles(self.t_ras) >= self.refresh_interval:
            raise ValueError(f"memory {self.name}: t_refi must leave time between refreshes; {self.t_refi} does not")

    def cycles(self, ck: int) -> int:
        """Fabric cycles that cover ``ck`` clocks of the DRAM."""
        return -(-ck // self.ratio)

    @property
    def read_latency(self) -> int:
        """Fabric cycles from a column access to its word on the bus: CL, and the burst itself."""
        return self.cycles(self.t_cl) + 1

    @property
    def refresh_interval(self) -> int:
        """Fabric cycles from one refresh to the next (rounded down: t_refi is a maximum); 0 for never."""
        return self.t_refi // self.ratio

    @property
    def refresh_gap(self) -> int:
        """Fabric cycles that one refresh takes from a sequential stream: close all rows, refresh, open the row."""
        return self.cycles(self.t_rp) + self.cycles(self.t_rfc) + self.cycles(self.t_rcd)

    @property
    def sequential_limit(self) -> float:
        """Share of the peak that a sequential stream can reach, 0 to 1: all but the refreshes."""
        return 1 - self.refresh_gap / self.refresh_interval if self.refresh_interval else 1.0

    @property
    def fabric_mhz(self) -> float | None:
        """Clock of the fabric, MHz."""
        return None if self.ck_mhz is None else self.ck_mhz / self.ratio

    def peak_bytes_per_s(self, data_bits: int) -> float | None:
        """Bytes a second of one word of ``data_bits`` every fabric cycle; None when the clock is not known."""
        return None if self.fabric_mhz is None else self.fabric_mhz * 1e6 * data_bits / 8


PRESETS = {dram.name: dram for dram in (
    Dram("ddr4-2400", "JEDEC JESD79-4, speed bin DDR4-2400R (16-16-16), 8 Gb x8, 1024 columns a page; in CK of 833 ps "
         "as in Ramulator 2: tRAS 32 ns, tRC 45.32 ns, tRFC1 360 ns, tREFI 7.8 us",
         ck_mhz=1200, ratio=4, banks=16, t_cl=16, t_rcd=16, t_rp=16, t_ras=39, t_rc=55, t_rfc=433, t_refi=9364),
    Dram("ddr3-1600", "JEDEC JESD79-3, speed bin DDR3-1600K (11-11-11), 4 Gb x8, 1024 columns a page; in CK of "
         "1.25 ns: tRAS 35 ns, tRC 48.75 ns, tRFC 260 ns, tREFI 7.8 us",
         ck_mhz=800, ratio=4, banks=8, t_cl=11, t_rcd=11, t_rp=11, t_ras=28, t_rc=39, t_rfc=208, t_refi=6240),
    Dram("ideal", "no memory: a word every cycle, one cycle after its access"),
    Dram("paper", "fit to the cycles that SeedLM (arXiv 2410.10714) publishes for its FPGA, T = 1.0399 beats + 255: "
         "16 of every 417 cycles lost, 1 / (1 - 16/417) = 1.0399; 255 cycles from request to first word, of which the "
         "model's queue takes 2",
         t_cl=252, t_rfc=16, t_refi=417),
)}
"""Memories by name."""


def preset(name: str) -> Dram:
    """The memory called ``name``.

    Raises
    ------
    ToolError
        When there is none; the message lists those there are.
    """
    if name not in PRESETS:
        raise ToolError(f"unknown memory {name!r}: MEMORY must be one of {', '.join(PRESETS)}")
    return PRESETS[name]

"""Named configurations of the engine: what `make area` and `make pnr` build, and the clock each has to reach.

A new one is one line of the table. Devices and speed grades are those of the Lattice ECP5 and ECP5-5G family data sheet
(FPGA-DS-02012).
"""

from dataclasses import dataclass

from golden.spec import FORMATS
from hw.config import EngineConfig
from hw.pipelining import FAST

__all__ = ["CONFIGURATIONS", "XC7", "Configuration", "Ecp5", "Xc7"]


@dataclass(frozen=True)
class Xc7:
    """Xilinx 7-series, for which engines are synthesised only: there is no open placer for its large devices."""

    family = "xc7"


@dataclass(frozen=True)
class Ecp5:
    """A Lattice ECP5 for which engines are placed and routed.

    Parameters
    ----------
    speed : int
        Speed grade, 6 (slowest) to 8.
    target_mhz : float
        Clock in MHz that the placed and routed engine has to reach.
    size : str
        Thousands of LUTs of the LFE5U, as nextpnr names it.
    package : str
        Package, as nextpnr names it.
    """

    speed: int
    target_mhz: float
    size: str = "85k"
    package: str = "CABGA381"

    family = "ecp5"


@dataclass(frozen=True)
class Configuration:
    """An engine and the device that it is built for."""

    engine: EngineConfig
    target: Xc7 | Ecp5


XC7 = Xc7()
"""The only value of :class:`Xc7`."""


def _ecp5(weights: str, bus_bits: int, speed: int, target_mhz: float) -> Configuration:
    """An engine of the format called ``weights`` on an ECP5."""
    # A memory in lookup tables is 16 words deep on ECP5 and 64 on xc7, so a shorter queue of results costs less.
    engine = EngineConfig(FORMATS[weights], bus_bits, write_beats=32, multiplier_bits=18, pipelining=FAST)
    return Configuration(engine, Ecp5(speed, target_mhz))


_WIDEST = {"fp16": 512, "int4": 512, "seedlm4": 512, "seedlm3": 256, "trellis4": 512}
"""Bits of the widest bus for whose lanes the device has multipliers: the 16 lanes of seedlm3 on a bus of 512 bits take
192, and an LFE5U-85 has 156 (FPGA-DS-02012, table 1.1)."""

CONFIGURATIONS = {
    "fp16": Configuration(EngineConfig(FORMATS["fp16"]), XC7),
    **{name: Configuration(EngineConfig(FORMATS[name]), XC7) for name in ("int8", "int4", "int3")},
    "seedlm4-256dsp": Configuration(EngineConfig(FORMATS["seedlm4"], narrow_products="dsp"), XC7),
    "seedlm4-128dsp": Configuration(EngineConfig(FORMATS["seedlm4"]), XC7),
    "seedlm4-128dsp-r2": Configuration(EngineConfig(FORMATS["seedlm4"], results_per_cycle=2), XC7),
    "seedlm4r": Configuration(EngineConfig(FORMATS["seedlm4r"]), XC7),
    "seedlm4-act8": Configuration(EngineConfig(FORMATS["seedlm4"], act_bits=8), XC7),
    **{name: Configuration(EngineConfig(FORMATS[name]), XC7)
       for name in ("seedlm3", "trellis4", "trellis3", "trellis2")},
    **{f"{weights}-{bus_bits}-g{speed}": _ecp5(weights, bus_bits, speed, target_mhz)
       for weights, widest in _WIDEST.items()
       for bus_bits, speed, target_mhz in ((widest, 8, 100), (widest, 6, 80), (128, 6, 120))},
}
"""Configurations by name.

The two engines of SeedLM's 4-bit format on xc7 are named by the multipliers (DSPs) that they take for 128 weights a
cycle: ``seedlm4-128dsp`` takes one for each weight, and ``seedlm4-256dsp`` another one for the product of window bits
and coefficients, which takes lookup tables otherwise. ``seedlm4-128dsp-r2`` is the former with two results a cycle, so
that matrices of 64 columns keep up with the bus. ``seedlm4r`` is ``seedlm4-128dsp`` with scales of rows in the place of
exponents, and one more coefficient. Names of engines to place and route consist of format, bus width
and speed grade.
"""

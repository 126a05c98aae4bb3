"""Named configurations of the engine: what `make area` and `make pnr` build, and the clock each has to reach.

A new one is one line of the table. Devices and grades: Lattice ECP5 and ECP5-5G family data sheet (FPGA-DS-02012).
"""

from dataclasses import dataclass

from golden.spec import FORMATS
from hw.config import EngineConfig
from hw.pipelining import FAST

__all__ = ["CONFIGURATIONS", "XC7", "Configuration", "Ecp5", "Xc7"]


@dataclass(frozen=True)
class Xc7:
    """Xilinx 7-series: synthesised for its area only, there being no open placer for its large devices."""

    family = "xc7"


@dataclass(frozen=True)
class Ecp5:
    """A Lattice ECP5 to place and route for.

    Parameters
    ----------
    speed : int
        Grade, 6 (slowest) to 8.
    target_mhz : float
        Clock that the placed and routed engine has to reach.
    size : str
        Thousands of LUTs of the LFE5U, as nextpnr names it.
    package : str
    """

    speed: int
    target_mhz: float
    size: str = "85k"
    package: str = "CABGA381"

    family = "ecp5"


@dataclass(frozen=True)
class Configuration:
    """An engine and what it is built for."""

    engine: EngineConfig
    target: Xc7 | Ecp5


XC7 = Xc7()


def _ecp5(weights, bus_bits, speed, target_mhz):
    # Memories in lookup tables are 16 words deep here, a fourth of those of xc7.
    engine = EngineConfig(FORMATS[weights], bus_bits, write_beats=32, multiplier_bits=18, pipelining=FAST)
    return Configuration(engine, Ecp5(speed, target_mhz))


# The widest bus whose lanes the device has multipliers for: 16 lanes of seedlm3 would take 192 of 156.
_WIDEST = {"fp16": 512, "int4": 512, "seedlm4": 512, "seedlm3": 256}

CONFIGURATIONS = {
    "fp16": Configuration(EngineConfig(FORMATS["fp16"]), XC7),
    "int4": Configuration(EngineConfig(FORMATS["int4"]), XC7),
    "seedlm4-lean-lut": Configuration(EngineConfig(FORMATS["seedlm4"], narrow_products="dsp"), XC7),
    "seedlm4-lean-dsp": Configuration(EngineConfig(FORMATS["seedlm4"]), XC7),
    "seedlm4-act8": Configuration(EngineConfig(FORMATS["seedlm4"], act_bits=8), XC7),
    "seedlm3": Configuration(EngineConfig(FORMATS["seedlm3"]), XC7),
    **{f"{weights}-{bus_bits}-g{speed}": _ecp5(weights, bus_bits, speed, target_mhz)
       for weights, widest in _WIDEST.items()
       for bus_bits, speed, target_mhz in ((widest, 8, 100), (widest, 6, 80), (128, 6, 120))},
}
"""Configurations by name. The names of those to place and route end in the device's speed grade."""

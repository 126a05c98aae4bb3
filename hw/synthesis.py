"""Synthesis by Yosys: a component's netlist, and how much of a device it takes.

Counts are sums of Yosys's cells before any placer packs them: two small LUTs may share a LUT6 afterwards. Results are
kept in a folder by a digest of the design, the commands and the version of Yosys, so that the same synthesis is not
run twice.
"""

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from hw import yosys

__all__ = ["TOP", "Area", "Synthesis", "synthesise"]

TOP = "top"
"""Name of the top module: the first part of every hierarchical name."""

_SYNTHESISE = {
    ("xc7", True): "synth_xilinx -family xc7 -noiopad -noclkbuf -flatten",
    ("xc7", False): "synth_xilinx -family xc7 -noiopad -noclkbuf",
    ("ecp5", True): "synth_ecp5",
    ("ecp5", False): "synth_ecp5 -noflatten",
}

# What one cell takes, by family. LUT RAMs and shift registers occupy LUTs (UG474, tables 2-3 and 2-4; FPGA-DS-02012,
# 2.3: a carry cell is two LUTs, a LUT RAM four and two more for its write port).
_CELLS = {
    "xc7": {
        **{f"LUT{inputs}": {"lut": 1} for inputs in range(1, 7)}, "INV": {"lut": 1},
        "SRL16E": {"lut": 1}, "SRLC16E": {"lut": 1}, "SRLC32E": {"lut": 1},
        "RAM32X1S": {"lut": 1}, "RAM64X1S": {"lut": 1}, "RAM128X1S": {"lut": 2}, "RAM256X1S": {"lut": 4},
        "RAM32X1D": {"lut": 2}, "RAM64X1D": {"lut": 2}, "RAM128X1D": {"lut": 4}, "RAM32M": {"lut": 4},
        "RAM64M": {"lut": 4},
        "FDRE": {"ff": 1}, "FDSE": {"ff": 1}, "FDCE": {"ff": 1}, "FDPE": {"ff": 1},
        "DSP48E1": {"dsp": 1}, "RAMB36E1": {"bram": 1}, "RAMB18E1": {"bram": 0.5}, "CARRY4": {"carry": 1},
        "MUXF7": {}, "MUXF8": {},
    },
    "ecp5": {
        "LUT4": {"lut": 1}, "CCU2C": {"lut": 2, "carry": 1}, "TRELLIS_DPR16X4": {"lut": 6}, "TRELLIS_FF": {"ff": 1},
        "MULT18X18D": {"dsp": 1}, "DP16KD": {"bram": 1}, "PFUMX": {}, "L6MUX21": {},
    },
}
_NO_HARDWARE = {"$scopeinfo"}


@dataclass(frozen=True)
class Area:
    """How much of a device a netlist takes.

    Parameters
    ----------
    lut : int
        LUTs of any size, LUT RAMs and shift registers included; on ECP5 carry cells too, two each.
    ff, dsp : int
        Flip-flops; DSP48E1 or MULT18X18D.
    bram : float
        RAMB36E1, a RAMB18E1 being half of one; DP16KD on ECP5.
    carry : int
        CARRY4 (beside LUTs) or CCU2C (in LUTs).
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram: float = 0
    carry: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Synthesis:
    """Result of a synthesis.

    Parameters
    ----------
    modules : dict of str to Area
        What each module takes by itself, without its submodules, by hierarchical name (``top.lane0.mac``). One module
        when flattened.
    netlist : Path
        Yosys's JSON, as nextpnr reads it.
    """

    modules: dict[str, Area]
    netlist: Path

    @property
    def total(self) -> Area:
        return sum(self.modules.values(), Area())


def _area(cells, family, modules):
    """Area of ``{cell type: count}``."""
    area = Area()
    for cell, count in cells.items():
        if cell in modules or cell in _NO_HARDWARE:
            continue
        if cell not in _CELLS[family]:
            raise yosys.YosysError(f"synthesis for {family} left cells of an unknown type: {count} of {cell}")
        area += Area(**{name: count * each for name, each in _CELLS[family][cell].items()})
    return area


def synthesise(component, family, folder, *, flatten=True):
    """Synthesise a component, or find the result of an earlier run.

    Parameters
    ----------
    component : wiring.Component
    family : str
        ``xc7`` or ``ecp5``.
    folder : Path
        Where results are kept.
    flatten : bool
        Whether Yosys may optimise across modules. Without, areas are known module by module and their sum is greater.

    Returns
    -------
    Synthesis

    Raises
    ------
    hw.yosys.YosysError
    """
    # Assertions are for simulation: their logic is not to be counted.
    commands = ["rename -hide w:*[*]", "chformal -remove", f"{_SYNTHESISE[family, flatten]} -top {TOP}", "check -assert"]
    source = rtlil.convert(component, name=TOP, emit_src=False)
    parts = (source, *commands, importlib.metadata.version("pyosys"))
    result = folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    netlist = result / "netlist.json"
    if not netlist.exists():
        result.mkdir(parents=True, exist_ok=True)
        (result / "design.il").write_text(source)
        printed = yosys.run([f"read_rtlil {result}/design.il", *commands, f"tee -q -o {result}/cells.json stat -json",
                             f"write_json {result}/netlist.part"])
        (result / "yosys.log").write_text(printed)
        (result / "netlist.part").rename(netlist)
    modules = json.loads((result / "cells.json").read_text())["modules"]
    modules = {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in modules.items()}
    return Synthesis({name: _area(cells, family, modules) for name, cells in modules.items()}, netlist)

"""Synthesis by Yosys: a component's netlist, and how much of a device it takes.

Counts are sums of Yosys's cells before any placer packs them: two small LUTs may share a LUT6 afterwards. Registers
that are part of a DSP or a block RAM are not counted, neither those that Yosys finds (xc7) nor those of
:mod:`hw.flow.hard_registers` (ecp5). Results are kept in a folder by a digest of the design, the commands and the
version of Yosys, so that the same synthesis is not run twice.
"""

import hashlib
import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from golden.products import FolderProduct
from hw.flow import hard_registers, yosys
from hw.flow.modules import unique

__all__ = ["TOP", "Area", "Synthesis", "synthesise"]

TOP = "top"
"""Name of the top module: the first part of every hierarchical name."""
_LEVELS = 8
"""More than the registers from a multiplier's inputs to the root of the adder tree of any lane."""


def _synth_xilinx(family: str) -> tuple[str, ...]:
    """Commands of a synthesis for a family of Xilinx's.

    Products in signals with the attribute ``use_dsp = "no"``, which is Vivado's (UG901), are put together from lookup
    tables.

    Where a register holds a product or a sum, and a second copy of its sign, xilinx_dsp takes the register into the DSP
    and leaves the copy without a driver: what is added to it has wrong upper bits. Before that, wreduce takes such
    copies out of the registers. Each pass mends one level of a tree of adders.
    """
    command = f"synth_xilinx -family {family} -noiopad -noclkbuf -flatten -top {TOP}"
    return ("proc", "booth a:use_dsp=no %ci1 t:$mul %i", f"{command} -run begin:map_dsp", *["wreduce"] * _LEVELS,
            f"{command} -run map_dsp:")


_SYNTHESISE = {"xc7": _synth_xilinx("xc7"), "xcup": _synth_xilinx("xcup"), "ecp5": (f"synth_ecp5 -top {TOP}",)}

# What one cell takes, by family. LUT RAMs and shift registers occupy LUTs (UG474, tables 2-3 and 2-4; FPGA-DS-02012,
# 2.3: a carry cell is two LUTs, a LUT RAM four and two more for its write port). UltraScale+ (xcup) has the LUTs,
# flip-flops and LUT RAMs of UG574 (chapter 2), block RAMs of UG573 and DSPs of UG579. Its carry cell is a CARRY8, but
# Yosys makes CARRY4 for it too, of which two fit into one.
_XILINX: dict[str, dict[str, Any]] = {
    **{f"LUT{inputs}": {"lut": 1} for inputs in range(1, 7)}, "INV": {"lut": 1},
    "SRL16E": {"lut": 1}, "SRLC16E": {"lut": 1}, "SRLC32E": {"lut": 1},
    "RAM32X1S": {"lut": 1}, "RAM64X1S": {"lut": 1}, "RAM128X1S": {"lut": 2}, "RAM256X1S": {"lut": 4},
    "RAM32X1D": {"lut": 2}, "RAM64X1D": {"lut": 2}, "RAM128X1D": {"lut": 4}, "RAM32M": {"lut": 4},
    "RAM64M": {"lut": 4},
    "FDRE": {"ff": 1}, "FDSE": {"ff": 1}, "FDCE": {"ff": 1}, "FDPE": {"ff": 1}, "MUXF7": {}, "MUXF8": {},
    "CARRY4": {"carry": 1},
}
_CELLS: dict[str, dict[str, dict[str, Any]]] = {
    "xc7": {
        **_XILINX,
        "DSP48E1": {"dsp": 1}, "RAMB36E1": {"bram": 1}, "RAMB18E1": {"bram": 0.5},
    },
    "xcup": {
        **_XILINX, "RAM512X1S": {"lut": 8}, "RAM256X1D": {"lut": 8}, "RAM32M16": {"lut": 8}, "RAM64M8": {"lut": 8},
        "RAM32X16DR8": {"lut": 8}, "RAM64X8SW": {"lut": 8}, "MUXF9": {},
        "DSP48E2": {"dsp": 1}, "RAMB36E2": {"bram": 1}, "RAMB18E2": {"bram": 0.5}, "CARRY8": {"carry": 2},
    },
    "ecp5": {
        "LUT4": {"lut": 1}, "CCU2C": {"lut": 2, "carry": 1}, "TRELLIS_DPR16X4": {"lut": 6}, "TRELLIS_FF": {"ff": 1},
        "MULT18X18D": {"dsp": 1}, "DP16KD": {"bram": 1}, "PFUMX": {}, "L6MUX21": {},
        "TRELLIS_IO": {}, "EHXPLLL": {}, "ODDRX1F": {},
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
    ff : int
        Flip-flops.
    dsp : int
        Multipliers: DSP48E1, on UltraScale+ DSP48E2, on ECP5 MULT18X18D.
    bram : float
        Block RAMs: RAMB36E1 or RAMB36E2, of which a RAMB18E1 or RAMB18E2 is half a one; on ECP5 DP16KD.
    carry : int
        Carry cells: CARRY4, which lies beside LUTs, a CARRY8 being two; on ECP5 CCU2C, which lies in two.
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
        Area of each module that was kept apart, by hierarchical name (``top.lane0.mac``), without that of modules kept
        apart inside it; the rest is under :data:`TOP`.
    netlist : Path
        Netlist in Yosys's JSON, as nextpnr reads it.
    """

    modules: dict[str, Area]
    netlist: Path

    @property
    def total(self) -> Area:
        """Area of all modules together."""
        return sum(self.modules.values(), Area())


def _area(cells: Mapping[str, int], family: str, modules: Container[str]) -> Area:
    """Area of cells, whose counts are by type. Types that are ``modules`` of the design do not count.

    Raises
    ------
    hw.flow.yosys.YosysError
        When a type is not one of the family's.
    """
    area = Area()
    for cell, count in cells.items():
        if cell in modules or cell in _NO_HARDWARE:
            continue
        if cell not in _CELLS[family]:
            raise yosys.YosysError(f"synthesis for {family} left cells of an unknown type: {count} of {cell}")
        area += Area(**{name: count * each for name, each in _CELLS[family][cell].items()})
    return area


def _finish(folder: Path, family: str) -> None:
    """Do to ``netlist.json`` in ``folder`` what Yosys has not done, and count its cells.

    Black boxes are left out, and on ECP5 hard registers are used. The counts, by module and type, become
    ``cells.json``.
    """
    path = folder / "netlist.json"
    netlist = json.loads(path.read_text())
    modules = netlist["modules"] = {name: module for name, module in netlist["modules"].items()
                                    if "blackbox" not in module["attributes"]}
    if family == "ecp5":
        for module in modules.values():
            hard_registers.use_hard_registers(module)
    path.write_text(json.dumps(netlist))
    (folder / "cells.json").write_text(json.dumps(
        {name: Counter(cell["type"] for cell in module["cells"].values()) for name, module in modules.items()}))


def _run(design: str, commands: Sequence[str], family: str, result: Path) -> None:
    """Run Yosys on a design, in the folder ``result``."""
    (result / "design.il").write_text(design)
    printed = yosys.run([f"read_rtlil {result}/design.il", *commands, f"write_json {result}/netlist.json"])
    (result / "yosys.log").write_text(printed)
    _finish(result, family)


def synthesise(component: Elaboratable | str, family: str, folder: Path, apart: str = "") -> Synthesis:
    """Synthesise a component, or find the result of an earlier run.

    Parameters
    ----------
    component : wiring.Component or str
        Component to synthesise, or a design as RTLIL, whose top is :data:`TOP`, as Amaranth's platforms make it.
    family : str
        ``xc7`` (Xilinx 7-series), ``xcup`` (UltraScale+) or ``ecp5``.
    folder : Path
        Folder in which results are kept; it is created.
    apart : str
        Regular expression of the hierarchical names, below :data:`TOP`, of modules to keep apart. Their areas are then
        known one by one, but the sum is greater, because nothing is optimised across their borders. The empty string
        gives one flat netlist.

    Returns
    -------
    Synthesis

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys fails, or leaves cells of a type that :class:`Area` does not know.
    """
    design = component if isinstance(component, str) else rtlil.convert(component, name=TOP, emit_src=False)
    design, places = unique(design) if apart else (design, {})
    # Amaranth appends a number to the name of a submodule that a signal beside it bears too: numerators$37.
    plain = {re.sub(r"\$\d+", "", name): place for name, place in places.items()}
    kept = {name: place for name, place in plain.items() if re.fullmatch(apart, name.removeprefix(f"{TOP}."))}
    # Registers of signals to keep must not be merged with equal ones: Yosys looks for the attribute at cells, Amaranth
    # writes it at wires. Names of array elements look like abc9's names of bits. Assertions are for simulation only.
    commands = ["setattr -set keep 1 a:keep %ci1 t:$dff %i", "rename -hide w:*[*]", "chformal -remove",
                *(f"setattr -mod -set keep_hierarchy 1 {place}" for place in sorted({*kept.values()})),
                *_SYNTHESISE[family], "check -assert"]
    parts = (design, *commands, importlib.metadata.version("pyosys"),
             Path(hard_registers.__file__).read_text() if family == "ecp5" else "")
    result = folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    FolderProduct(result, ("netlist.json", "cells.json")).provide(lambda: _run(design, commands, family, result))
    cells = json.loads((result / "cells.json").read_text())
    areas = {name: _area(cells[place], family, cells) for name, place in {TOP: TOP, **kept}.items()}
    return Synthesis(areas, result / "netlist.json")

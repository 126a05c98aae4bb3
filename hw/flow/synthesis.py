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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from amaranth.back import rtlil

from hw.flow import hard_registers, yosys

__all__ = ["TOP", "Area", "Synthesis", "synthesise"]

TOP = "top"
"""Name of the top module: the first part of every hierarchical name."""

_SYNTHESISE = {"xc7": "synth_xilinx -family xc7 -noiopad -noclkbuf -flatten", "ecp5": "synth_ecp5"}

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
        What each module that was kept apart takes by itself, by hierarchical name (``top.lane0.mac``), and the rest
        under :data:`TOP`.
    netlist : Path
        Yosys's JSON, as nextpnr reads it.
    """

    modules: dict[str, Area]
    netlist: Path

    @property
    def total(self) -> Area:
        """Of all modules."""
        return sum(self.modules.values(), Area())


def _unique(design):
    """A design in which equal modules are one: Amaranth writes a module for every instance.

    Returns its text and, for every module of ``design`` by hierarchical name, the name of the one in its place.
    """
    places, known, texts = {}, {}, []
    modules = re.findall(r"((?:^attribute .*\n)*)^module \\(\S+)\n([\s\S]*?^end\n)", design, re.MULTILINE)
    for attributes, name, text in reversed(modules):  # a module comes before its submodules
        text = re.sub(r"^  cell \\(\S+)", lambda match: f"  cell \\{places.get(match[1], match[1])}", text,
                      flags=re.MULTILINE)
        places[name] = known.setdefault(text, name)
        if places[name] == name:
            texts.append(f"{attributes}module \\{name}\n{text}")
    return "\n".join(reversed(texts)), places


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


def _finish(folder, family):
    """What Yosys leaves to do to ``netlist.json``: black boxes are left out, too. Its cells by module and type become
    ``cells.json``."""
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


def synthesise(component, family, folder, apart=""):
    """Synthesise a component, or find the result of an earlier run.

    Parameters
    ----------
    component : wiring.Component or str
        Or a design as RTLIL, whose top is :data:`TOP`, as Amaranth's platforms make it.
    family : str
        ``xc7`` or ``ecp5``.
    folder : Path
        Where results are kept; created.
    apart : str
        Regular expression of the hierarchical names, below :data:`TOP`, of modules to keep apart: areas are known
        module by module then, but their sum is greater, because nothing is optimised across their borders. Empty for
        one flat netlist.

    Returns
    -------
    Synthesis

    Raises
    ------
    hw.flow.yosys.YosysError
    """
    design = component if isinstance(component, str) else rtlil.convert(component, name=TOP, emit_src=False)
    design, places = _unique(design) if apart else (design, {})
    # Amaranth numbers a submodule that is called like a signal beside it: numerators$37.
    plain = {re.sub(r"\$\d+", "", name): place for name, place in places.items()}
    kept = {name: place for name, place in plain.items() if re.fullmatch(apart, name.removeprefix(f"{TOP}."))}
    # Registers of signals to keep are kept apart from equal ones: Yosys asks that of cells, Amaranth says it of wires.
    # Names of array elements look like abc9's names of bits. Assertions are for simulation, and not to be counted.
    commands = ["setattr -set keep 1 a:keep %ci1 t:$dff %i", "rename -hide w:*[*]", "chformal -remove",
                *(f"setattr -mod -set keep_hierarchy 1 {place}" for place in sorted({*kept.values()})),
                f"{_SYNTHESISE[family]} -top {TOP}", "check -assert"]
    parts = (design, *commands, importlib.metadata.version("pyosys"),
             Path(hard_registers.__file__).read_text() if family == "ecp5" else "")
    result = folder / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f"{result.name}.", dir=folder))
        try:
            (part / "design.il").write_text(design)
            printed = yosys.run([f"read_rtlil {part}/design.il", *commands, f"write_json {part}/netlist.json"])
            (part / "yosys.log").write_text(printed)
            _finish(part, family)
            with suppress(OSError):  # another process may have put it there
                part.rename(result)
        finally:
            rmtree(part, ignore_errors=True)
    cells = json.loads((result / "cells.json").read_text())
    areas = {name: _area(cells[place], family, cells) for name, place in {TOP: TOP, **kept}.items()}
    return Synthesis(areas, result / "netlist.json")

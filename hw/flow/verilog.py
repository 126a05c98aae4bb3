"""Emit a component as SystemVerilog that Icarus, Verilator and synthesis tools read alike."""

from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from hw.flow import yosys

__all__ = ["emit", "write"]


def emit(component: Elaboratable, path: Path, name: str = "top") -> None:
    """Write a component as one SystemVerilog file.

    The text does not depend on where the sources lie, so equal designs give equal files.

    Parameters
    ----------
    component : wiring.Component
        Component to write. Each port is named by its path in the component's signature (``i__payload``); ``clk`` and
        ``rst`` are added.
    path : Path
        File to write; a file beside it, with the suffix ``.il``, is written and removed again.
    name : str
        Name of the top module.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    write(rtlil.convert(component, name=name, emit_src=False), path)


def write(design: str, path: Path) -> None:
    """Write ``design``, RTLIL of Amaranth, as SystemVerilog to ``path``, as :func:`emit` does.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    source = path.with_suffix(".il")
    source.write_text(design)
    attributes = ["src", "generator", "top", "amaranth.hierarchy", "amaranth.decoding"]
    yosys.run([
        f"read_rtlil {source}",
        # Amaranth's debug wires are called like array elements (o__payload[0]), which abc9 takes for bits of a bus.
        "rename -hide w:*[*]",
        # Processes become multiplexers: Icarus 11 evaluates an always_comb that assigns part of a vector for ever.
        "proc -norom",
        "pmuxtree",
        "memory_collect",
        "attrmap " + " ".join(f"-remove {attribute}" for attribute in attributes),
        "attrmap -modattr " + " ".join(f"-remove {attribute}" for attribute in attributes),
        # always_comb (-sv) runs at time 0; the always @* of plain Verilog may not, and leaves X on Icarus.
        f"write_verilog -sv -norename {path}",
    ])
    source.unlink()

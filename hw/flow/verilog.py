"""Emit a component as SystemVerilog that Icarus, Verilator and synthesis tools read alike."""

import re
from collections.abc import Mapping
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from hw.flow import yosys

__all__ = ["Attributes", "emit", "write"]


Attributes = Mapping[str, Mapping[str, str]]
"""Text of each attribute, by the port that bears it and by the attribute's name."""


def emit(component: Elaboratable, path: Path, name: str = "top", attributes: Attributes | None = None,
         about: str = "") -> None:
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
    attributes : mapping of str to mapping of str to str, or None
        Attributes of the top module's ports, ``clk`` and ``rst`` included: by port, the attribute's text by its name.
    about : str
        What the comment at the head of the file says first: what the design is, its configuration, and the command that
        wrote it.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    write(rtlil.convert(component, name=name, emit_src=False), path)
    text = path.read_text()
    for port, texts in (attributes or {}).items():
        mark = "(* " + ", ".join(f'{key} = "{value}"' for key, value in texts.items()) + " *)"
        text = re.sub(rf"^  (?=(?:input|output) (?:\[\d+:0\] )?{port};)", f"  {mark}\n  ", text, count=1,
                      flags=re.MULTILINE)
    path.write_text("".join(f"// {line}".rstrip() + "\n" for line in about.splitlines()) + text)


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

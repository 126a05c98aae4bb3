"""Emit a component as SystemVerilog that Icarus, Verilator and synthesis tools read alike."""

from amaranth.back import rtlil

from hw.flow import yosys

__all__ = ["emit", "write"]


def emit(component, path, name="top"):
    """Write ``component`` to ``path`` as one SystemVerilog file whose top module is ``name``.

    Each port is named by its path in the component's signature (``i__payload``); ``clk`` and ``rst`` are added. The
    text does not depend on where the sources lie, so equal designs give equal files.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    write(rtlil.convert(component, name=name, emit_src=False), path)


def write(design, path):
    """Write ``design``, Amaranth's RTLIL, to ``path``; otherwise as :func:`emit`."""
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

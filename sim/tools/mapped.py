"""A component as it is placed on ECP5, for simulators: the netlist that nextpnr reads, with a model of each cell."""

from pathlib import Path

from amaranth.lib import wiring

from hw.flow import yosys
from hw.flow.synthesis import synthesise

__all__ = ["BLOCKS", "emit"]

BLOCKS = Path(__file__).with_name("ecp5_blocks.v")
"""Verilog models of the cells for which Yosys has none."""
_INITIAL = [f"INITVAL_{i:02X}" for i in range(64)]
"""Parameters that hold the initial content of a block RAM. No design here depends on it, and the models lack them."""


def emit(component: wiring.Component, path: Path) -> None:
    """Synthesise ``component`` for ECP5 and write the netlist, with its models, to ``path`` as SystemVerilog.

    Ports and clock are named as by :func:`hw.flow.verilog.emit`.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    netlist = synthesise(component, "ecp5", path.parent / "synthesis").netlist
    yosys.run([
        f"read_json {netlist}",
        *(f"setparam -unset {name} t:DP16KD" for name in _INITIAL),
        "read_verilog -overwrite +/lattice/cells_sim_ecp5.v",
        f"read_verilog -overwrite {BLOCKS}",
        "hierarchy -check -top top",
        "proc",
        "flatten -wb",
        "opt_clean -purge",
        f"write_verilog -sv -norename -noattr {path}",
    ])

"""A component as a netlist of a device's cells, for simulators, with a model of each cell.

On ECP5 it is the netlist that nextpnr reads. On xc7 (Xilinx 7-series) it is the one whose cells `make area` counts;
block RAMs have no model there.
"""

from pathlib import Path

from amaranth.lib import wiring

from hw.flow import yosys
from hw.flow.synthesis import synthesise

__all__ = ["emit"]

_BLOCKS = Path(__file__).with_name("ecp5_blocks.v")
_INITIAL = [f"INITVAL_{i:02X}" for i in range(64)]
"""Parameters that hold the initial content of a block RAM. No design here depends on it, and the models lack them."""
_MODELS = {
    "ecp5": (*(f"setparam -unset {name} t:DP16KD" for name in _INITIAL),
             "read_verilog -overwrite +/lattice/cells_sim_ecp5.v",
             f"read_verilog -overwrite {_BLOCKS}"),
    "xc7": ("read_verilog -overwrite +/xilinx/cells_sim.v",),
}
"""Commands that add the models of a family's cells: those of Yosys, and our own of the blocks for which it has none."""


def emit(component: wiring.Component, path: Path, family: str) -> None:
    """Synthesise ``component`` for a family and write the netlist, with its models, to ``path`` as SystemVerilog.

    Ports and clock are named as by :func:`hw.flow.verilog.emit`.

    Parameters
    ----------
    family : str
        ``ecp5`` or ``xc7``.

    Raises
    ------
    hw.flow.yosys.YosysError
        When Yosys refuses the design.
    """
    netlist = synthesise(component, family, path.parent / "synthesis").netlist
    yosys.run([
        f"read_json {netlist}",
        *_MODELS[family],
        "hierarchy -check -top top -purge_lib",
        "proc",
        "flatten -wb",
        # The settings of a DSP are constants. Icarus cannot read what write_verilog makes of $pmux.
        "opt_expr",
        "pmuxtree",
        "opt_clean -purge",
        f"write_verilog -sv -norename -noattr {path}",
    ])

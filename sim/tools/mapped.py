"""A component as it is placed on ECP5, for simulators: the netlist that nextpnr reads, with a model of each cell."""

from pathlib import Path

from hw.flow import yosys
from hw.flow.synthesis import synthesise

__all__ = ["BLOCKS", "emit"]

BLOCKS = Path(__file__).with_name("ecp5_blocks.v")
"""Models of cells for which Yosys has none."""
_INITIAL = [f"INITVAL_{i:02X}" for i in range(64)]
"""Parameters of a block RAM that hold what it starts with, which nothing here minds."""


def emit(component, path):
    """Synthesise ``component`` for ECP5 and write it to ``path``, like :func:`hw.flow.verilog.emit`.

    Raises
    ------
    hw.flow.yosys.YosysError
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

"""``python -m sim.lint``: Verilator's lint of the engine in every named format, the simulated system and the
boards."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from golden.interruption import guard, run
from golden.spec import FORMATS, SEEDLM4
from golden.tree import BUILD
from hw.boards import BOARDS
from hw.boards.board import Board
from hw.boards.board_system import engine_config
from hw.boards.top import BoardTop
from hw.config import EngineConfig
from hw.engine.pins import EnginePins
from hw.flow.verilog import emit, write
from sim.device.system import System
from sim.dram.memory import MAPPED_RAM, RAM
from sim.dram.presets import preset
from sim.lint.accepted import ACCEPTED
from sim.tools.errors import ToolError
from sim.tools.toolchain import environment, require

__all__ = ["main"]

_CELLS = Path(__file__).with_name("ecp5_cells.v")
"""Interfaces of the cells that boards instantiate."""


def _emit_top(board: Board, path: Path) -> None:
    """Write the top of ``board`` to ``path``; its pads and clocks are cells of its FPGA."""
    design = board.platform().build(BoardTop(board, SEEDLM4), name="top", do_build=False).files["top.il"]
    write(design if isinstance(design, str) else design.decode(), path)


def _designs() -> Iterator[tuple[str, Callable[[Path], None], tuple[Path, ...]]]:
    """What to lint: the name of a design, what writes it to a path, and the Verilog files of which it needs one."""
    for name, fmt in FORMATS.items():
        yield name, partial(emit, EnginePins(EngineConfig(fmt, 128))), ()
    yield "system", partial(emit, System(EngineConfig(SEEDLM4, 128), preset("ddr4-2400"), 1 << 20)), (RAM, MAPPED_RAM)
    for name, board in BOARDS.items():
        yield name, partial(_emit_top, board), (_CELLS,)
    for name, fmt in FORMATS.items():
        if fmt != SEEDLM4:  # the tops hold the engine of SEEDLM4
            yield f"{name} of the boards", partial(emit, EnginePins(engine_config(fmt, 1 << 25))), ()


def main() -> None:
    """Lint all designs; exit status 1 on a warning that is not accepted, 2 when Verilator is missing."""
    try:
        require("verilator")
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    clean = True
    for name, written, needed in _designs():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "top.sv"
            written(path)
            for files in [[path, file] for file in needed] or [[path]]:
                command = ["verilator", "--lint-only", "-Wall", *(f"-Wno-{rule}" for rule in ACCEPTED),
                           "--top-module", "top", *map(str, files)]
                done = subprocess.run(command, env={**os.environ, **environment(BUILD / "tools")}, capture_output=True,
                                      text=True, check=False)
                what = " with ".join([name, *(file.name for file in files[1:])])
                print(f"verilator --lint-only {what}: {'clean' if done.returncode == 0 else 'warnings'}")
                if done.returncode:
                    print(done.stderr[-4000:], file=sys.stderr)
                    clean = False
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    guard()
    run(main)

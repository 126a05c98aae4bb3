"""``python -m sim.lint``: Verilator's lint of the engine and of the simulated system, in every named format."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from golden.spec import FORMATS
from hw.config import EngineConfig
from hw.engine_pins import EnginePins
from hw.verilog import emit
from sim.dram import preset
from sim.runner import BUILD, ROOT
from sim.system import System
from sim.toolchain import ToolError, environment, require

__all__ = ["main"]

# What Amaranth and Yosys always emit: unused bits, initial values beside processes, constants of other widths.
_ACCEPTED = ("DECLFILENAME", "UNUSEDSIGNAL", "PROCASSINIT", "WIDTHEXPAND", "WIDTHTRUNC")


def main() -> None:
    """Lint; exit status 1 on a warning that is not accepted, 2 when Verilator is missing."""
    try:
        require("verilator")
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    clean = True
    designs = {name: EnginePins(EngineConfig(fmt, 128)) for name, fmt in FORMATS.items()}
    rams = {"system": "ram.v", "native system": "mapped_ram.sv"}
    for name in rams:
        designs[name] = System(EngineConfig(FORMATS["seedlm4"], 128), preset("ddr4-2400"), 1 << 20)
    for name, design in designs.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "top.sv"
            emit(design, path)
            command = ["verilator", "--lint-only", "-Wall", *(f"-Wno-{rule}" for rule in _ACCEPTED),
                       "--top-module", "top", str(path), *([str(ROOT / "sim" / rams[name])] if name in rams else [])]
            done = subprocess.run(command, env={**os.environ, **environment(BUILD / "tools")}, capture_output=True,
                                  text=True, check=False)
            print(f"verilator --lint-only {name}: {'clean' if done.returncode == 0 else 'warnings'}")
            if done.returncode:
                print(done.stderr[-4000:], file=sys.stderr)
                clean = False
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()

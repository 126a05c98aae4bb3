"""The command line, ``python -m host``. Bad input ends in one sentence and exit status 2; a failed comparison in 1.

The modules of commands import what a command needs when it runs: ``--help`` is quick, and the commands that compress
run where the simulators are not installed.
"""

import sys

import typer
from typer.exceptions import TyperException

from host.cli import board, model, quality, report, simulate, sweep, synth

__all__ = ["main"]

app = typer.Typer(help="SeedLM on an FPGA: compress, simulate, measure.", add_completion=False,
                  pretty_exceptions_enable=False)
for _command in (simulate.sim, simulate.sim_paper, simulate.roofline, synth.registers, synth.verilog, model.compress,
                 model.decompress, model.inspect, quality.bench_encode, simulate.bench_sim, quality.quality,
                 quality.explore, synth.area, synth.pnr, board.bitstream, board.run, board.run_simulated, sweep.sweep,
                 report.report):
    app.command()(_command)

_REFUSED = (("host.errors", "UserError"), ("golden.spec", "FormatError"), ("hw.config", "ConfigError"),
            ("sim.tools.errors", "ToolError"))
"""Exceptions that say what the user can mend, by module and name: exit status 2."""
_FAILED = (("host.errors", "CheckError"), ("host.errors", "TargetError"), ("host.device.device", "DeviceError"),
           ("sim.tools.errors", "SimulationError"), ("hw.flow.yosys", "YosysError"),
           ("hw.flow.nextpnr", "NextpnrError"))
"""Exceptions that say what went wrong: exit status 1."""
_EXTRAS = {"amaranth": "synth", "pyosys": "synth", "cocotb": "sim", "cocotb_tools": "sim", "find_libpython": "sim",
           "matplotlib": "plots", "amaranth_boards": "board", "serial": "board", "jinja2": "docs"}
"""By package that a command may need: the extra of this project that installs it."""


def _is_one(error: Exception, kinds: tuple[tuple[str, str], ...]) -> bool:
    """Whether an exception is of one of these classes. A class whose module was never imported cannot be its own."""
    return any(isinstance(error, getattr(sys.modules[module], name)) for module, name in kinds if module in sys.modules)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except TyperException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        print(f"error: this command needs the package {package}: pip install 'seedlm-fpga[{_EXTRAS[package]}]'",
              file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if _is_one(error, _REFUSED):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        if _is_one(error, _FAILED):
            print(f"failed: {error}", file=sys.stderr)
            sys.exit(1)
        raise

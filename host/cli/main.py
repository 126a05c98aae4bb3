"""The command line, ``seedlm-fpga`` or ``python -m host``. Bad input ends in one sentence and exit status 2; a failed
comparison in 1.

The modules of commands import what a command needs when it runs: ``--help`` is quick, and the commands that compress
run where the simulators are not installed.
"""

import sys
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from typing import Annotated

import typer
from typer.exceptions import TyperException

from golden.interruption import leave_if_interrupted
from host.cli import (
    board,
    demo,
    evaluate,
    ip,
    model,
    perplexity,
    quality,
    release,
    report,
    results,
    simulate,
    sweep,
    synth,
    timeline,
)
from host.cli.examples import EXAMPLES
from host.cli.output import say, usable_output
from host.errors import UserError
from host.printable import printable, printable_lines
from host.version import program_version

__all__ = ["main"]

_COMMANDS: tuple[tuple[Callable[..., None], tuple[str, ...]], ...] = (
    (simulate.sim, ("sim", "plots")), (simulate.sim_paper, ("sim", "plots")), (simulate.roofline, ("sim", "plots")),
    (simulate.memories, ("sim",)), (timeline.timeline, ("sim", "plots")), (demo.demo, ("sim", "model")),
    (synth.registers, ("synth", "ip")), (synth.verilog, ("synth",)), (ip.ip, ("synth", "ip")), (model.compress, ()),
    (model.decompress, ()), (model.inspect, ()), (model.seal, ()), (quality.bench_encode, ()),
    (simulate.bench_sim, ("sim",)),
    (quality.quality, ("plots",)), (perplexity.perplexity, ("model", "plots")),
    (evaluate.evaluate, ("eval",)),
    (quality.explore, ("plots",)), (synth.area, ("synth", "plots")),
    (synth.pnr, ("pnr",)), (board.bitstream, ("pnr", "board")), (board.run, ("board",)),
    (board.run_simulated, ("sim", "board")), (sweep.sweep, ("sim", "plots")), (report.report, ("docs",)),
    (results.results, ("sim", "plots", "pnr", "board", "model")), (release.release, ("release", "pnr", "board")),
)
"""Commands in the order of the help, and the extras of this project that each needs."""
_PACKAGES = {"synth": "amaranth", "pnr": "amaranth", "sim": "cocotb", "board": "serial", "plots": "matplotlib",
             "docs": "jinja2", "ip": "jinja2", "model": "torch tokenizers", "eval": "lm_eval", "release": "setuptools"}
"""By extra: packages that are there when the extra is. nextpnr, which pnr brings, may also be the machine's own."""


def _checked(command: Callable[..., None], extras: tuple[str, ...]) -> Callable[..., None]:
    """Return a command that refuses to start, in place of failing at its end, where one of its extras is missing."""
    @wraps(command)
    def checked(*args: object, **options: object) -> None:
        if missing := [extra for extra in extras if not all(map(find_spec, _PACKAGES[extra].split()))]:
            raise UserError("this command needs packages that are not installed: run `pip install "
                            f"'.[{','.join(missing)}]'` in a checkout of seedlm-fpga")
        command(*args, **options)

    return checked


def _show_version(wanted: bool) -> None:
    """Print the version of the installed package and end, when that is wanted."""
    if wanted:
        print(program_version())
        raise typer.Exit


app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def _whole(version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version,
                                                 help="Show the version and exit.")] = False) -> None:
    """SeedLM on an FPGA: compress, simulate, measure."""


for _command, _extras in _COMMANDS:
    _name = _command.__name__.replace("_", "-")
    app.command(_name, epilog=f"Example: seedlm-fpga {EXAMPLES[_name]}")(_checked(_command, _extras))

_REFUSED = (("host.errors", "UserError"), ("golden.spec", "FormatError"), ("hw.config", "ConfigError"),
            ("sim.tools.errors", "ToolError"))
"""Exceptions that say what the user can mend, by module and name: exit status 2."""
_FAILED = (("host.errors", "CheckError"), ("host.errors", "TargetError"), ("host.device.device", "DeviceError"),
           ("sim.tools.errors", "SimulationError"), ("hw.flow.yosys", "YosysError"),
           ("hw.flow.nextpnr", "NextpnrError"))
"""Exceptions that say what went wrong: exit status 1."""

def _is_one(error: Exception, kinds: tuple[tuple[str, str], ...]) -> bool:
    """Whether an exception is of one of these classes. A class whose module was never imported cannot be its own."""
    return any(isinstance(error, getattr(sys.modules[module], name)) for module, name in kinds if module in sys.modules)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        with usable_output():
            status = app(sys.argv[1:] or ["--help"], prog_name="seedlm-fpga", standalone_mode=False)
        sys.exit(status)
    except TyperException as error:
        say(f"error: {printable_lines(error.format_message())}")
        sys.exit(2)
    except Exception as error:
        leave_if_interrupted()  # a process that the same key press ended may have made this one fail
        if _is_one(error, _REFUSED):
            say(f"error: {printable_lines(str(error))}")
            sys.exit(2)
        if _is_one(error, _FAILED):
            say(f"failed: {printable_lines(str(error))}")
            sys.exit(1)
        if isinstance(error, OSError):  # what no command has a better sentence for: a name too long, a broken disk
            file = f"cannot use {printable(error.filename)}" if error.filename else "the system refuses"
            say(f"error: {file} ({error.strerror or printable(error)}): mend it, or give another file or folder")
            sys.exit(2)
        if isinstance(error, MemoryError):
            say(f"error: not enough memory ({printable(error) or 'none is left'}): give something smaller, or use "
                "another machine")
            sys.exit(2)
        raise

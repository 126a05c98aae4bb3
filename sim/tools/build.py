"""Build a component for a simulator, once.

Builds live in ``build/simulators/`` and are found again by what they depend on. The Verilog of a component depends on
the component's parameters and on all sources that it is made of; the simulator depends on the Verilog, the tools and
the flags.
"""

import hashlib
import inspect
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from amaranth.lib import wiring
from cocotb_tools.runner import get_runner

from golden.processes import end_trees
from golden.products import FolderProduct
from golden.tree import BUILD, PACKAGES, source_digest
from hw.flow import verilog
from sim.tools import mapped, toolchain
from sim.tools.errors import ToolError, unwritable

__all__ = ["TIMESCALE", "Build", "build", "waves_wanted"]

TIMESCALE = ("1ns", "1ps")
"""Unit and precision of simulated time: a clock period is 10 ns in every testbench."""
_VERILATOR = ["--assert", "-Wno-fatal", "-Wno-lint", "-O3", "--output-split", "20000"]
_OPTIONS = {
    # Ports stay visible; cocotb's --public-flat-rw would make every signal so, at a quarter of the speed.
    "verilator": ["--no-public-flat-rw", "--public-depth", "1", *_VERILATOR],
    "icarus": ["-g2012"],
    "native": ["--cc", "--exe", "--build", "--prefix", "Vtop", "--top-module", "top", "-o", "top", *_VERILATOR],
}
_OPTIMISE = {False: "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0", True: "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"}
"""Levels of the C++ compiler, in the names of Verilator's makefiles: for a short build, and for long runs."""
_OBJECTS = "verilated*.o"
"""Verilator's own library, compiled; the same for all designs."""
_FUTURE = 4_000_000_000
"""A date later than that of every file, in seconds since 1970."""
_LAST_LINES = 8
"""Lines of a failed build's log that its error message quotes."""


@dataclass(frozen=True)
class Build:
    """A compiled design.

    Parameters
    ----------
    simulator : str
        The simulator that it was built for.
    directory : Path
        The directory that it was built in.
    waves : bool
        Whether a run of it dumps a waveform.
    product : FolderProduct or None
        What is in the directory, for those who find that it does not start.
    """

    simulator: str
    directory: Path
    waves: bool
    product: FolderProduct | None = None


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def _sources(component: type, args: tuple, emitter: ModuleType) -> str:
    """Digest of all that the Verilog of ``component(*args)`` is made from; a component of a test adds its own file."""
    classes = [component, *map(type, args)]
    own = {one.__module__ for one in classes if one.__module__.partition(".")[0] in PACKAGES}
    others = [] if component.__module__ in own else [Path(inspect.getfile(component)).read_bytes()]
    return _digest(source_digest(emitter.__name__, *own), *others)


def _provided(product: FolderProduct, make: Callable[[], object]) -> FolderProduct:
    """The product, which ``make`` makes if need be.

    Raises
    ------
    ToolError
        When the directory cannot be written, and whatever ``make`` raises.
    """
    try:
        product.provide(make)
    except OSError as error:
        raise unwritable(product.folder, error) from None
    return product


def _emit(component: type[wiring.Component], args: tuple, family: str) -> Path:
    """The path of the Verilog of ``component(*args)``, which is emitted when there is none yet: of its netlist for a
    family, or (the empty string) of its RTL."""
    emitter = mapped if family else verilog
    key = _digest(component.__module__, component.__qualname__, args, _sources(component, args, emitter),
                  *toolchain.python_versions().items(), *([family] if family else []))
    directory = BUILD / "verilog" / f"{component.__name__}-{key}"
    path = directory / "top.sv"

    def make() -> None:
        if family:
            mapped.emit(component(*args), path, family)
        else:
            verilog.emit(component(*args), path)

    _provided(FolderProduct(directory, (path.name,)), make)
    return path


def _copy_objects(source: Path, target: Path) -> None:
    """Copy Verilator's own compiled library (verilated*.o), so that make finds it up to date: that halves the time of a
    small build."""
    for path in source.glob(_OBJECTS):
        shutil.copy2(path, target / path.name)
        # They depend on a makefile that is yet to be written: a date in the future keeps make from redoing them.
        os.utime(target / path.name, (_FUTURE, _FUTURE))


def _compile_native(directory: Path, sources: list[Path], log: Path) -> None:
    """Run Verilator, make and the compiler."""
    command = ["verilator", *_OPTIONS["native"], "-Mdir", str(directory), "-j", str(len(os.sched_getaffinity(0))),
               *map(str, sources)]
    with (open(log, "w") as output,
          subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child):
        try:
            status = child.wait()
        except BaseException:
            end_trees({child.pid})  # make and compilers too
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def _compile_for_cocotb(simulator: str, directory: Path, sources: list[Path], log: Path, waves: bool) -> None:
    """Run Verilator or Icarus as cocotb does."""
    get_runner(simulator).build(
        sources=sources, hdl_toplevel="top", build_dir=directory, always=True, build_args=_OPTIONS[simulator],
        timescale=TIMESCALE, waves=waves, log_file=log)


def waves_wanted() -> bool:
    """Whether the environment variable ``WAVES`` asks for waveforms."""
    return os.environ.get("WAVES", "0") not in ("", "0")


def build(component: type[wiring.Component], *args: object, simulator: str, sources: tuple[Path, ...] = (),
          fast: bool = False, harness: Path | None = None, mapped_to: str = "") -> Build:
    """Emit ``component(*args)`` and compile it for ``simulator``; both steps are skipped when already done.

    Parameters
    ----------
    component : class of wiring.Component
    args : any
        Arguments of the component. Each must have a repr that tells its value (ints, strings, frozen dataclasses),
        because a cached build is found by it.
    simulator : str
        ``verilator`` or ``icarus``.
    sources : paths
        Verilog files to compile along, for Instances in the design.
    fast : bool
        True optimises for long runs and builds slowly; False is for a short build.
    harness : Path or None
        A main program in C++ around Verilator's model. The program is then called ``top`` in the build's directory.
        Without a harness, the build is for cocotb and :func:`sim.tools.run.run`.
    mapped_to : str
        ``ecp5`` or ``xc7`` simulates the netlist that is synthesised for that family, see :mod:`sim.tools.mapped`; the
        empty string simulates the RTL.

    The environment variable ``WAVES=1`` makes builds that dump ``dump.vcd`` (Verilator) or ``top.fst`` (Icarus)
    for cocotb.

    Raises
    ------
    ToolError
        When the simulator is missing or its build fails; the message ends in the path of the log.
    """
    toolchain.require(simulator)
    waves, kind = waves_wanted() and not harness, "native" if harness else simulator
    files = [_emit(component, args, mapped_to), *sources, *([harness] if harness else [])]
    texts = [file.read_bytes() for file in files]
    key = _digest(*texts, kind, fast, waves, _OPTIONS[kind], *toolchain.python_versions().items())
    directory = BUILD / "simulators" / f"{component.__name__}-{kind}-{key}"
    product = FolderProduct(directory, ("sim.vvp",)) if simulator == "icarus" else FolderProduct(
        directory, ("top",), programs=True)
    _provided(product, lambda: _compile(component.__name__, simulator, directory, files, fast, waves, bool(harness)))
    return Build(simulator, directory, waves, product)


def _compile(name: str, simulator: str, directory: Path, files: list[Path], fast: bool, waves: bool,
             native: bool) -> None:
    """Compile ``files`` in ``directory``.

    Raises
    ------
    ToolError
        When that fails; the message calls the design ``name``.
    """
    kind, optimise, log = "native" if native else simulator, _OPTIMISE[fast], directory / "build.log"
    runtime = BUILD / "simulators" / f"runtime-{_digest(kind, optimise, waves, *toolchain.versions().values())}"
    # MAKEFLAGS replaces that of a calling make, whose job server is not ours to use.
    with toolchain.in_environment(MAKEFLAGS=toolchain.make_flags(optimise), **toolchain.environment(BUILD / "tools")):
        shared = FolderProduct(runtime, (_OBJECTS,))
        if shared.is_made():
            _copy_objects(runtime, directory)
        try:
            if native:
                _compile_native(directory, files, log)
            else:
                _compile_for_cocotb(simulator, directory, files, log, waves)
        except Exception as error:
            tail = "\n".join(log.read_text().splitlines()[-_LAST_LINES:]) if log.exists() else str(error)
            raise ToolError(f"{simulator} could not build {name}:\n{tail}\nlog: {log}") from None
    if any(directory.glob(_OBJECTS)):  # Icarus has none
        shared.provide(lambda: _copy_objects(directory, runtime))

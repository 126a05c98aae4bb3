"""Build a component for a simulator, once, and run cocotb testbenches on it.

Builds live in ``build/simulators/`` and are found again by what they depend on: the component's parameters and all
sources that it is made of (which give the Verilog), then the Verilog, the tools and the flags (which give the
simulator).
"""

import fcntl
import hashlib
import inspect
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cocotb_tools.runner import get_results, get_runner

from golden.tree import BUILD, PACKAGES, ROOT, source_digest
from hw.flow import verilog
from sim.tools import mapped, toolchain
from sim.tools.toolchain import ToolError, unwritable

__all__ = ["Build", "SimulationError", "arguments", "build", "run", "waves_wanted"]

_VERILATOR = ["--assert", "-Wno-fatal", "-Wno-lint", "-O3", "--output-split", "20000"]
_OPTIONS = {
    # Ports stay visible; cocotb's --public-flat-rw would make every signal so, at a quarter of the speed.
    "verilator": ["--no-public-flat-rw", "--public-depth", "1", *_VERILATOR],
    "icarus": ["-g2012"],
    "native": ["--cc", "--exe", "--build", "--prefix", "Vtop", "--top-module", "top", "-o", "top", *_VERILATOR],
}
_ARGUMENTS = "SEEDLM_TESTBENCH_ARGUMENTS"
_FUTURE = 4_000_000_000
_TIMESCALE = ("1ns", "1ps")


class SimulationError(RuntimeError):
    """A testbench failed; the message names its log."""


@dataclass(frozen=True)
class Build:
    """A compiled design: which simulator, and the directory it was built in."""

    simulator: str
    directory: Path
    waves: bool


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def _sources(component: type, args: tuple, emitter: ModuleType) -> str:
    """Digest of all that the Verilog of ``component(*args)`` is made from; a component of a test adds its own file."""
    classes = [component, *map(type, args)]
    own = {one.__module__ for one in classes if one.__module__.partition(".")[0] in PACKAGES}
    others = [] if component.__module__ in own else [Path(inspect.getfile(component)).read_bytes()]
    return _digest(source_digest(emitter.__name__, *own), *others)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for one process at a time; it is created."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = open(directory / ".lock", "w")  # noqa: SIM115  closed below
    except OSError as error:
        raise unwritable(directory, error) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _environ(values: Mapping[str, str]) -> Iterator[None]:
    """os.environ with ``values`` set: cocotb's runner takes the environment of its builds from there alone."""
    saved = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _emit(component, args, to_ecp5) -> Path:
    """The Verilog of ``component(*args)``, made when no cached one matches; its path."""
    emitter = mapped if to_ecp5 else verilog
    key = _digest(component.__module__, component.__qualname__, args, _sources(component, args, emitter),
                  *toolchain.python_versions().items())
    directory = BUILD / "verilog" / f"{component.__name__}-{key}"
    path = directory / "top.sv"
    with _locked(directory):
        if not path.exists():
            part = directory / "part.sv"
            emitter.emit(component(*args), part)
            part.rename(path)
    return path


def _copy_objects(source: Path, target: Path) -> None:
    """Copy Verilator's own compiled library (verilated*.o), which make then finds up to date: half of a small build."""
    if source.exists() and not any(target.glob("verilated*.o")):
        target.mkdir(exist_ok=True)
        for path in source.glob("verilated*.o"):
            part = target / f".{path.name}.{os.getpid()}"
            shutil.copy2(path, part)
            # They depend on a makefile that is yet to be written: a date in the future keeps make from redoing them.
            os.utime(part, (_FUTURE, _FUTURE))
            part.rename(target / path.name)


def _compile_native(directory: Path, sources: list[Path], log: Path) -> None:
    """Run Verilator, make and the compiler."""
    command = ["verilator", *_OPTIONS["native"], "-Mdir", directory, "-j", str(len(os.sched_getaffinity(0))), *sources]
    with open(log, "w") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True)


def waves_wanted() -> bool:
    """Whether the environment variable ``WAVES`` asks for waveforms."""
    return os.environ.get("WAVES", "0") not in ("", "0")


def build(component, *args, simulator: str, sources: tuple[Path, ...] = (), fast: bool = False,
          harness: Path | None = None, to_ecp5: bool = False) -> Build:
    """Emit ``component(*args)`` and compile it for ``simulator``; both steps are skipped when already done.

    Parameters
    ----------
    component : class of wiring.Component
        ``args`` must have a repr that tells their values (ints, strings, frozen dataclasses).
    sources : paths
        Verilog files to compile along, for Instances in the design.
    fast : bool
        Optimise for long runs (slower build). Without, for a short build.
    harness : Path
        A main program in C++ around Verilator's model, called ``top`` in the build's directory; without, the build is
        for cocotb and :func:`run`.
    to_ecp5 : bool
        Simulate the netlist that is placed on ECP5, see :mod:`sim.tools.mapped`.

    The environment variable ``WAVES=1`` makes builds that dump ``dump.vcd`` (Verilator) or ``top.fst`` (Icarus)
    for cocotb.

    Raises
    ------
    ToolError
        When the simulator is missing or its build fails; the message ends in the path of the log.
    """
    toolchain.require(simulator)
    waves, kind = waves_wanted() and not harness, "native" if harness else simulator
    files = [_emit(component, args, to_ecp5), *sources, *([harness] if harness else [])]
    texts = [file.read_bytes() for file in files]
    key = _digest(*texts, kind, fast, waves, _OPTIONS[kind], *toolchain.python_versions().items())
    directory = BUILD / "simulators" / f"{component.__name__}-{kind}-{key}"
    with _locked(directory):
        done = directory / ".done"
        if not done.exists():
            optimise = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1" if fast else \
                "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
            # MAKEFLAGS replaces that of a calling make, whose job server is not ours to use.
            runtime = BUILD / "simulators" / f"runtime-{_digest(kind, optimise, waves, *toolchain.versions().values())}"
            with _environ({**toolchain.environment(BUILD / "tools"), "MAKEFLAGS": toolchain.make_flags(optimise)}):
                _copy_objects(runtime, directory)
                log = directory / "build.log"
                try:
                    if harness:
                        _compile_native(directory, files, log)
                    else:
                        get_runner(simulator).build(
                            sources=files, hdl_toplevel="top", build_dir=directory, always=True,
                            build_args=_OPTIONS[simulator], timescale=_TIMESCALE, waves=waves, log_file=log)
                except Exception as error:
                    tail = "\n".join(log.read_text().splitlines()[-8:]) if log.exists() else str(error)
                    raise ToolError(f"{simulator} could not build {component.__name__}:\n{tail}\nlog: {log}") from None
            _copy_objects(directory, runtime)
            done.touch()
    return Build(simulator, directory, waves)


def arguments() -> tuple:
    """In a testbench: the ``args`` that :func:`run` was called with."""
    return pickle.loads(bytes.fromhex(os.environ[_ARGUMENTS]))


def run(built: Build, module: str, args: tuple = (), *, seed: int | None = None, directory: Path | None = None) -> None:
    """Run every cocotb test of ``module`` on ``built``.

    Parameters
    ----------
    args : tuple
        What :func:`arguments` returns in the testbench; anything that pickles.
    seed : int
        Seed of Python's ``random`` in the testbench; a fresh one when None. cocotb prints it.
    directory : Path
        Where the simulation runs and leaves its log; a fresh one below the build's when None.

    Raises
    ------
    SimulationError
        When a test fails or the simulator dies.
    """
    seed = random.getrandbits(31) if seed is None else seed
    directory = directory or built.directory / f"run-{module.rpartition('.')[2]}-{os.getpid()}-{seed}"
    directory.mkdir(parents=True, exist_ok=True)
    log, results = directory / "run.log", directory / "results.xml"
    results.unlink(missing_ok=True)
    with _environ({**toolchain.environment(BUILD / "tools"), "PYTHONPATH": str(ROOT)}):
        runner = get_runner(built.simulator)
        path = sys.path
        sys.path = [str(ROOT), *path]
        try:
            runner.test(test_module=module, hdl_toplevel="top", hdl_toplevel_lang="verilog", timescale=_TIMESCALE,
                        build_dir=built.directory, test_dir=directory, results_xml=str(results), log_file=log,
                        seed=seed, waves=built.waves, extra_env={_ARGUMENTS: pickle.dumps(args).hex()})
        except (Exception, SystemExit) as error:
            raise SimulationError(f"{module} did not run on {built.simulator} ({error}); log: {log}") from None
        finally:
            sys.path = path
    tests, failed = get_results(results)
    if built.simulator == "icarus" and re.search(r"^ERROR: .*\.sv:\d+:", log.read_text(), re.MULTILINE):
        failed = max(failed, 1)  # Icarus reports a failed assertion of the design and goes on
    if failed or not tests:
        raise SimulationError(f"{module}: {failed} of {tests} tests failed on {built.simulator}, seed {seed}; "
                              f"log: {log}")

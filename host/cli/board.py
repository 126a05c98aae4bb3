"""Commands for a board: its bitstream, a product on it, and the same on a simulated one."""

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from host.cli.options import BoardFormat, BoardName, Cols, PlacerSeed, Rows, board_format, names
from host.errors import TargetError, UserError
from host.folders import report_folder

__all__ = ["bitstream", "run", "run_simulated"]

Runs = Annotated[int, typer.Option(min=1, help="Runs, whose mean is reported.")]


def bitstream(board: BoardName = "ulx3s_85f", name: BoardFormat = "seedlm4", seed: PlacerSeed = 1) -> None:
    """Build a board's bitstream: utilisation and Fmax; exit status 1 when timing is missed."""
    from host.progress import stage_progress
    from host.report.writer import finish
    from host.synth import bitstream as building
    from host.synth.place_and_route import critical_path, tool
    from hw.flow import nextpnr

    chosen, fmt = building.chosen(board), board_format(name)
    command = tool()
    building.packer()
    folder = report_folder(f"{board}/{name}")
    print(f"nextpnr's log: {folder / 'nextpnr.log'}", flush=True)
    start = monotonic()
    with stage_progress(f"{board} {name}") as update:
        row = building.bitstream(chosen, name, fmt, seed, folder.parent.parent, update)
    row = replace(row, seconds=round(monotonic() - start, 1))
    settings = {"board": board, "format": name, "seed": seed, "nextpnr": nextpnr.version(command)}
    finish(folder, settings, [row], f"{board}: LFE5U-{chosen.target.size}, grade {chosen.target.speed}; placed and "
           "routed by nextpnr, not yet run on hardware",
           notes=f"{critical_path(row)}\nbitstream: {folder.parent / row.bitstream}")
    if not row.met:
        raise TargetError(f"{board} with {name} reaches {row.fmax_mhz:.1f} MHz, below its clock of "
                          f"{row.target_mhz:g} MHz: try another SEED")


def run(device: Annotated[str, typer.Option(help="serial: and the port, for example serial:/dev/ttyUSB0.")],
        name: BoardFormat = "seedlm4", rows: Rows = 2048, cols: Cols = 2048, runs: Runs = 5,
        baseline: Annotated[str, typer.Option(help="Report of the run to compare with; by default that of the last run "
                                                   "in FP16.")] = "",
        patience: Annotated[float | None, typer.Option(min=0.01, help="Seconds without the rest of an answer after "
                                                       "which a request is sent again.")] = None) -> None:
    """Run a product on a board: load, verify, run, compare with golden; and its speed-up over one in FP16."""
    from host.device.serial_device import PATIENCE, SerialDevice, open_serial
    from host.measure import on_board
    from host.progress import work_progress
    from host.report.writer import finish

    board_format(name)
    path, folder = on_board.serial_path(device), report_folder(f"run/{name}")
    compared = Path(baseline) if baseline else folder.parent / "fp16" / "report.json"
    if baseline and not compared.exists():
        raise UserError(f"there is no report {baseline}: run the bitstream to compare with first")
    before = on_board.baseline_cycles(compared, rows, cols)
    with work_progress() as progress, SerialDevice(open_serial(path, patience or PATIENCE), progress) as board:
        row = on_board.run(board, name, rows, cols, runs, progress)
    if before and name != "fp16":
        row = replace(row, speedup=before / row.cycles)
    missing = row.speedup is None and name != "fp16"
    finish(folder, {"device": device}, [row], f"{rows} x {cols} on the board at {path}, {row.clock_mhz:g} MHz",
           notes=f"no speed-up: {compared} has no run of {rows} x {cols}; load the fp16 bitstream and give --format "
                 "fp16" if missing else "")


def run_simulated(board: BoardName = "ulx3s_85f",
                  formats: Annotated[str, typer.Option(help="Formats of the bitstreams, separated by blanks; the first "
                                                            "is the one to compare with.")] = "fp16 seedlm4",
                  rows: Rows = 2048, cols: Cols = 2048, runs: Runs = 1,
                  divisor: Annotated[int, typer.Option(min=2, help="Cycles of a bit on the serial line; a board at 80 "
                                                       "MHz has 27.")] = 2,
                  least: Annotated[float, typer.Option(help="Speed-up below which the exit status is 1.")] = 0.0
                  ) -> None:
    """Run a product on a simulated board, from the pins of its serial line to those of its SDRAM."""
    from host.device.serial_device import SerialDevice, open_serial
    from host.measure import on_board
    from host.progress import work_progress
    from host.report.writer import finish
    from host.synth.bitstream import chosen
    from host.tables.board import BoardRow
    from sim.board.board_device import BoardSimulation

    simulated = chosen(board)
    results: list[BoardRow] = []
    named = {name: board_format(name) for name in names("formats", formats, "--formats 'fp16 seedlm4'")}
    folder = report_folder("test-board")
    for name, fmt in named.items():
        with work_progress() as progress:
            progress(f"{name}: build the simulator", 0, 1)
            with (BoardSimulation(fmt, simulated.part, simulated.clock_hz, divisor) as simulation,
                  SerialDevice(open_serial(simulation.path, 60.0), progress) as device):
                row = on_board.run(device, name, rows, cols, runs, progress)
        results.append(replace(row, speedup=results[0].cycles / row.cycles) if results else row)
    finish(folder, {"board": board, "part": simulated.part.name, "divisor": divisor, "source": "rtl"}, results,
           f"{board}, {rows} x {cols}; whole board simulated in RTL by Verilator")
    for row in results:
        if row.speedup is not None and row.speedup < least:
            raise TargetError(f"the speed-up of {row.format} is {row.speedup:.3f}, below {least:g}")

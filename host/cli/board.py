"""Commands for boards and other devices: bitstreams, products on them, and the same on a simulated board."""

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from golden.spec import parse_format
from host.cli.options import BoardFormat, BoardName, Cols, PlacerSeed, Rows, board_format, names
from host.cli.reporting import reports
from host.errors import TargetError, UserError
from host.folders import report_folder

__all__ = ["bitstream", "run", "run_simulated"]

_DEVICE = ("Device, with options: serial:/dev/ttyUSB0 for a board, xdma:/dev/xdma0 for a PCIe card, uio:/dev/uio0 for "
           "an engine beside the processor. The last two have not yet run on hardware. Options follow commas, as in "
           "xdma:/dev/xdma0,bytes=4G; docs/devices.md lists them.")
Runs = Annotated[int, typer.Option(min=1, help="Runs, whose mean is reported.")]


@reports
def bitstream(board: BoardName = "ulx3s_85f", name: BoardFormat = "seedlm4", seed: PlacerSeed = 1) -> None:
    """Build a board's bitstream: utilisation and Fmax; exit status 1 when timing is missed."""
    from host.progress import stage_progress
    from host.report.writer import finish
    from host.synth import bitstream as building
    from host.synth.place_and_route import critical_path, tool
    from host.synth.stages import BITSTREAM
    from hw.flow import nextpnr

    chosen, fmt = building.chosen(board), board_format(name)
    command = tool()
    building.packer()
    folder = report_folder(f"{board}/{name}")
    print(f"nextpnr's log: {folder / 'nextpnr.log'}", flush=True)
    start = monotonic()
    with stage_progress(BITSTREAM) as update:
        row = building.bitstream(chosen, name, fmt, seed, folder.parent.parent, update)
    row = replace(row, seconds=round(monotonic() - start, 1))
    settings = {"board": board, "format": name, "seed": seed, "nextpnr": nextpnr.version(command)}
    finish(folder, settings, [row], f"{board}: LFE5U-{chosen.target.size}, grade {chosen.target.speed}; placed and "
           "routed by nextpnr, not yet run on hardware",
           notes=f"{critical_path(row)}\nbitstream: {folder.parent / row.bitstream}")
    if not row.met:
        raise TargetError(f"{board} with {name} reaches {row.fmax_mhz:.1f} MHz, below its clock of "
                          f"{row.target_mhz:g} MHz: try another SEED")


@reports
def run(device: Annotated[str, typer.Option(help=_DEVICE)],
        name: Annotated[str, typer.Option("--format", help="Format that the device's engine has to be for; by default "
                                                           "whatever it is for.")] = "",
        rows: Rows = 2048, cols: Cols = 2048, runs: Runs = 5,
        baseline: Annotated[str, typer.Option(help="Report of the run to compare with; by default that of the last run "
                                                   "in FP16.")] = "") -> None:
    """Run a product on a device: load, verify, run, compare with golden; and its speed-up over one in FP16."""
    from host.device.names import open_device
    from host.measure import on_board
    from host.measure.on_board_steps import on_board_steps
    from host.progress import work_progress
    from host.report.writer import finish

    fmt = parse_format(name) if name else None
    if baseline and not Path(baseline).exists():
        raise UserError(f"there is no report {baseline}: run the bitstream to compare with first")
    compared = Path(baseline) if baseline else report_folder("run") / "fp16" / "report.json"
    before = on_board.baseline_cycles(compared, rows, cols)
    with work_progress(on_board_steps(rows, cols)) as progress, open_device(device, progress) as opened:
        row = on_board.run(opened, fmt, rows, cols, runs, progress)
    if before and row.format != "fp16":
        row = replace(row, speedup=before / row.cycles)
    missing = row.speedup is None and row.format != "fp16"
    clock = f", {row.clock_mhz:g} MHz" if row.clock_mhz else ""
    finish(report_folder(f"run/{row.format}"), {"device": device}, [row], f"{rows} x {cols} on {device}{clock}",
           notes=f"no speed-up: {compared} has no run of {rows} x {cols}; load the fp16 bitstream and give --format "
                 "fp16" if missing else "")


@reports
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
    from host.measure.on_board_steps import on_board_steps
    from host.progress import work_progress
    from host.report.writer import finish
    from host.synth.bitstream import chosen
    from host.tables.board import BoardRow
    from sim.board.board_device import BoardSimulation

    simulated = chosen(board)
    results: list[BoardRow] = []
    named = {name: board_format(name) for name in names("formats", formats, "--formats 'fp16 seedlm4'")}
    folder = report_folder("test-board")
    with work_progress([step for name in named for step in on_board_steps(rows, cols, name)]) as progress:
        for name, fmt in named.items():
            def of_format(what: str, done: float, total: float, name: str = name) -> None:
                progress(f"{name}: {what}", done, total)

            of_format("build the simulator", 0, 1)
            with (BoardSimulation(fmt, simulated.part, simulated.clock_hz, divisor) as simulation,
                  SerialDevice(open_serial(simulation.path, 60.0), of_format, 60.0) as device):
                row = on_board.run(device, fmt, rows, cols, runs, of_format)
            results.append(replace(row, speedup=results[0].cycles / row.cycles) if results else row)
    finish(folder, {"board": board, "part": simulated.part.name, "divisor": divisor, "source": "rtl"}, results,
           f"{board}, {rows} x {cols}; whole board simulated in RTL by Verilator")
    for row in results:
        if row.speedup is not None and row.speedup < least:
            raise TargetError(f"the speed-up of {row.format} is {row.speedup:.3f}, below {least:g}")

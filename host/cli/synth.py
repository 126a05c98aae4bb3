"""Commands that synthesise, place and route the engine."""

from dataclasses import asdict
from time import monotonic
from typing import Annotated

import typer

from host.errors import TargetError
from host.folders import report_folder
from host.plots.area import area_chart
from host.plots.style import save
from host.progress import stage_progress, work_progress
from host.results import markdown, show, write
from host.synth import area as measure
from host.synth import place_and_route as placing
from hw.configurations import CONFIGURATIONS
from hw.flow import nextpnr

__all__ = ["area", "pnr"]


def area(configs: Annotated[str, typer.Option(help="Named configurations, see hw/configurations.py; default: all for "
                                              "7-series.")] = "") -> None:
    """LUTs, flip-flops, DSPs and block RAMs of engines, block by block, beside the published ones."""
    names = measure.chosen(configs)
    folder = report_folder("area")
    with work_progress() as progress:
        rows = [*measure.areas(names, folder.parent / "synthesis", progress), measure.PUBLISHED]
    show("area: Yosys's cells before packing; blocks are synthesised apart, so their sum differs from the total",
         measure.COLUMNS, [{**row, "section": row["block"] == "total"} for row in rows])
    settings = {"configurations": {name: {"engine": asdict(CONFIGURATIONS[name].engine),
                                          "family": CONFIGURATIONS[name].target.family} for name in names}}
    path = write(folder, settings, rows)
    (folder / "report.md").write_text(markdown(measure.COLUMNS, rows))
    if figure := area_chart(rows):
        save(figure, folder, "area")
    print(f"report: {path}, and beside it report.md and area.png")


def pnr(config: Annotated[str, typer.Option(help="Named configuration, see hw/configurations.py.")],
        seed: Annotated[int, typer.Option(min=0, help="Of the placer; netlists are kept between seeds.")] = 1) -> None:
    """Place and route an engine on ECP5: utilisation and Fmax; exit status 1 below the configuration's target."""
    configuration, target = placing.chosen(config)
    command = placing.tool()
    folder = report_folder(f"pnr/{config}")
    log = folder / f"seed-{seed}" / "nextpnr.log"
    print(f"nextpnr's log: {log}", flush=True)
    start = monotonic()
    with stage_progress(config) as update:
        row = placing.place(config, seed, folder.parent.parent, update)
    row["seconds"] = round(monotonic() - start, 1)
    show(f"{config}: LFE5U-{target.size}, {target.package}, grade {target.speed}; placed and routed by nextpnr",
         placing.COLUMNS, [row])
    print(placing.critical_path(row))
    settings = {"config": config, "engine": asdict(configuration.engine), "target": asdict(target), "seed": seed,
                "nextpnr": nextpnr.version(command)}
    report = write(folder, settings, [row])
    (folder / "report.md").write_text(markdown(placing.COLUMNS, [row]))
    print(f"report: {report}, and beside it report.md")
    if not row["met"]:
        raise TargetError(f"{config} reaches {row['fmax_mhz']:.1f} MHz, below its target of {target.target_mhz:g} MHz")

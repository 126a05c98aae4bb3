"""Commands that make hardware of the engine: Verilog, area, place and route; and its register map."""

import os
from dataclasses import asdict, replace
from time import monotonic
from typing import Annotated

import typer

from golden.products import put
from golden.spec import ACT_BITS
from host.cli.options import COMPARED, ActBits, Bus, Formats, PlacerSeed, engines
from host.cli.reporting import reports
from host.errors import TargetError
from host.folders import report_folder

__all__ = ["area", "pnr", "registers", "verilog"]


def registers() -> None:
    """Print the register map as Markdown, with what software has to know to use it."""
    from host.ip.register_page import page

    print(page(), end="")


def verilog(formats: Formats = COMPARED, bus: Bus = 512, act_bits: ActBits = ACT_BITS) -> None:
    """Write the engine as SystemVerilog, with flat AXI pins, into build/rtl."""
    from host.progress import work_progress
    from hw.engine.interfaces import port_attributes
    from hw.engine.pins import EnginePins
    from hw.flow.verilog import emit

    configs = engines(formats, bus, act_bits)
    folder, written = report_folder("rtl"), []
    with work_progress() as progress:
        for done, config in enumerate(configs):
            progress(config.name, done, len(configs))
            path = folder / f"engine-{config.name.replace(',', '_')}-{bus}.sv"
            part, engine = path.with_name(f".{path.name}.{os.getpid()}.part"), EnginePins(config)
            emit(engine, part, "seedlm_engine", port_attributes(engine),
                 "An engine that multiplies matrices in memory by vectors in memory.\n"
                 f"Weights: {config.name}. Memory bus: {bus} bits. Activations: {act_bits} bits.\n"
                 "Written by `make verilog`.")
            put(part, path)
            written.append(path)
    print(*written, sep="\n")


@reports
def area(configs: Annotated[str, typer.Option(help="Names of configurations in hw/configurations.py, separated by "
                                              "blanks; by default all for 7-series.")] = "") -> None:
    """Synthesise engines, block by block: LUTs, flip-flops, DSPs and block RAMs, beside the published ones."""
    from host.plots.area import area_chart
    from host.plots.treemap import area_treemap
    from host.progress import work_progress
    from host.report.writer import finish
    from host.synth import area as measure
    from hw.configurations import CONFIGURATIONS

    chosen = measure.chosen(configs)
    folder = report_folder("area")
    with work_progress() as progress:
        rows = [*measure.areas(chosen, folder.parent / "synthesis", progress), measure.PUBLISHED]
    settings = {"configurations": {name: {"engine": asdict(CONFIGURATIONS[name].engine),
                                          "family": CONFIGURATIONS[name].target.family} for name in chosen}}
    finish(folder, settings, rows,
           "area: Yosys's cells before packing; blocks are synthesised apart, so their sum differs from the total",
           ends_section=lambda row: row.block.startswith("total"),
           charts=lambda: {"area": area_chart(rows), "treemap": area_treemap(rows)})


@reports
def pnr(config: Annotated[str, typer.Option(help="Name of a configuration in hw/configurations.py.")],
        seed: PlacerSeed = 1) -> None:
    """Place and route an engine on ECP5: utilisation and Fmax; exit status 1 below the configuration's target."""
    from host.progress import stage_progress
    from host.report.writer import finish
    from host.synth import place_and_route as placing
    from host.synth.stages import PLACE_AND_ROUTE
    from hw.flow import nextpnr

    configuration, target = placing.chosen(config)
    command = placing.tool()
    folder = report_folder(f"pnr/{config}")
    print(f"nextpnr's log: {folder / f'seed-{seed}' / 'nextpnr.log'}", flush=True)
    start = monotonic()
    with stage_progress(PLACE_AND_ROUTE) as update:
        row = placing.place(config, seed, folder.parent.parent, update)
    row = replace(row, seconds=round(monotonic() - start, 1))
    settings = {"config": config, "engine": asdict(configuration.engine), "target": asdict(target), "seed": seed,
                "nextpnr": nextpnr.version(command)}
    finish(folder, settings, [row], f"{config}: LFE5U-{target.size}, {target.package}, grade {target.speed}; placed "
           "and routed by nextpnr", notes=placing.critical_path(row))
    if not row.met:
        raise TargetError(f"{config} reaches {row.fmax_mhz:.1f} MHz, below its target of {target.target_mhz:g} MHz")

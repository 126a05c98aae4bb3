"""The command that sweeps over models, formats and memories."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from golden.spec import ACT_BITS
from host.cli.options import (
    COMPARED,
    ActBits,
    Bus,
    Formats,
    Layer,
    Memories,
    Scheduler,
    TlsCa,
    TlsCert,
    TlsKey,
    engines,
    names,
)
from host.cli.reporting import reports
from host.errors import CheckError
from host.folders import kept_folder, report_folder
from sim.dram.presets import preset

__all__ = ["sweep"]

_MODELS, _MATRICES, _MEMORIES = "--models Llama-3-8B", "--matrices layer", "--memories ddr4-2400"
"""Examples of options, for messages."""


@reports
def sweep(models: Annotated[str | None, typer.Option(help="Presets, config.json files or checkpoints, separated by "
                                                          "blanks; by default all presets, which are Llama's.")] = None,
          formats: Formats = COMPARED,
          memories: Memories = "ddr4-2400",
          bus: Bus = 512,
          matrices: Annotated[str, typer.Option(help="What to run, separated by blanks: layer, lm_head, a matrix such "
                                                     "as q_proj; or all.")] = "layer",
          exact: Annotated[bool, typer.Option(help="Run everything in RTL, however long it takes.")] = False,
          seconds: Annotated[float, typer.Option(min=0, help="Time that RTL may take, about, without --exact.")] = 180,
          context: Annotated[int, typer.Option(min=0, help="Tokens whose keys and values a token reads.")] = 2048,
          layer: Layer = 0, act_bits: ActBits = ACT_BITS,
          workers: Annotated[int, typer.Option(min=0, help="Processes on this machine; 0 for one on every core.")] = 0,
          scheduler: Scheduler = "", tls_ca_file: TlsCa = None, tls_cert: TlsCert = None, tls_key: TlsKey = None
          ) -> None:
    """Sweep over layers of whole models: cycles, speed-up and tokens a second, in RTL or by the cycle model."""
    from host.measure.models import find_model
    from host.measure.shapes import PRESETS
    from host.measure.sweep import Sweep, affordable, failures, points_of, run_sweep, summary, write_csv
    from host.measure.sweep_workers import cluster, processes
    from host.plots.sweep import charts
    from host.progress import resumed_progress
    from host.report.writer import finish, place
    from host.scheduler import Tls
    from host.tables.tables import markdown
    from sim.tools.toolchain import require

    chosen = tuple(PRESETS) if models is None else names("models", models, _MODELS)
    plan = Sweep(tuple(map(find_model, chosen)), tuple(config.name for config in engines(formats, bus, act_bits)),
                 names("memories", memories, _MEMORIES), names("matrices", matrices, _MATRICES), bus,
                 act_bits, context, layer)
    for name in plan.memories:
        preset(name)
    points = points_of(plan)
    require("verilator")
    folder, cores = report_folder("sweep"), workers or len(os.sched_getaffinity(0))
    in_rtl = points if exact else affordable(points, seconds * cores)
    runners = (cluster(scheduler, Tls(tls_ca_file, tls_cert, tls_key)) if scheduler
               else processes(min(cores, max(len(in_rtl), 1))))
    with runners as runner, resumed_progress() as progress:
        rows = run_sweep(plan, in_rtl, kept_folder("sweep/points"), runner, progress)
    settings = {
        **asdict(plan), "models": [model.description for model in plan.models],
        "exact": exact, "seconds": seconds, "in_rtl": len(in_rtl), "points": len(points),
        "memory_sources": {name: preset(name).source for name in plan.memories},
        "weights": "random valid streams of the models' shapes, or of the checkpoints that are named",
        "activations": "random, every finite FP16 bit pattern alike",
    }
    write_csv(rows, place(folder) / "report.csv")
    origins = ", ".join(dict.fromkeys(row.weights_from for row in rows if row.weights_from))
    finish(folder, settings, rows, f"{bus}-bit bus; source rtl: simulated by Verilator, weights {origins or '-'}, "
           "results compared with golden bit for bit; source model: cycle model; tokens/s at a context of "
           f"{context}", ends_section=lambda row: row.format == plan.formats[-1], table=markdown(*summary(rows)),
           charts=lambda: charts(rows))
    if failed := failures(rows):
        raise CheckError("\n".join(["some points of the sweep did not run:", *failed]))

"""The command that sweeps over models, formats and memories."""

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from golden.spec import ACT_BITS, FORMATS, parse_format
from host.errors import CheckError, UserError
from host.folders import report_folder
from host.measure.models import MATRICES, PRESETS, find_model
from host.measure.sweep import COLUMNS, Sweep, affordable, failures, points_of, run_sweep, summary, write_csv
from host.measure.sweep_workers import cluster, processes
from host.plots.sweep import draw
from host.results import markdown, require_exact, show, write
from hw.config import EngineConfig
from sim.dram.presets import preset
from sim.tools.toolchain import require

__all__ = ["sweep"]


def _names(what: str, text: str) -> tuple[str, ...]:
    """Names separated by blanks, each once."""
    names = tuple(dict.fromkeys(text.split()))
    if not names:
        raise UserError(f"no {what} given: name some, separated by blanks")
    return names


def _matrices(text: str) -> tuple[str, ...]:
    known = ("layer", *MATRICES, "lm_head")
    names = known if text == "all" else _names("matrices", text)
    for name in names:
        if name not in known:
            raise UserError(f"unknown matrix {name!r}: MATRICES are of {', '.join(known)}, or all")
    return names


def sweep(models: Annotated[str, typer.Option(help="Presets, config.json files or checkpoints, separated by blanks.")]
          = " ".join(PRESETS),
          formats: Annotated[str, typer.Option(help="Formats: fp16, int4, seedlm4, seedlm3 or C,P,K.")]
          = " ".join(FORMATS),
          memories: Annotated[str, typer.Option("--memory", help="Memory presets, separated by blanks.")]
          = "ddr4-2400",
          bus: Annotated[int, typer.Option(help="Bus width in bits, a power of two from 32 to 1024.")] = 512,
          matrices: Annotated[str, typer.Option(help="layer, lm_head, q_proj, ..., or all.")] = "layer",
          exact: Annotated[bool, typer.Option(help="Everything in RTL, however long it takes.")] = False,
          seconds: Annotated[float, typer.Option(min=0, help="Without --exact: how long RTL may take, about.")] = 180,
          context: Annotated[int, typer.Option(min=0, help="Tokens whose keys and values a token reads.")] = 2048,
          layer: Annotated[int, typer.Option(min=0, help="Decoder layer, of a checkpoint.")] = 0,
          act_bits: Annotated[int, typer.Option(help="Width of an activation, 16 or 8.")] = ACT_BITS,
          workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one on every core.")] = 0,
          scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler, in place of processes.")] = "",
          ) -> None:
    """Layers of whole models through the engine: cycles, speed-up and tokens a second, in RTL or by the cycle model."""
    plan = Sweep(tuple(map(find_model, _names("models", models))),
                 tuple(EngineConfig(parse_format(name), bus, act_bits=act_bits).name
                       for name in _names("formats", formats)),
                 _names("memories", memories), _matrices(matrices), bus, act_bits, context, layer)
    for name in plan.memories:
        preset(name)
    require("verilator")
    folder, cores = report_folder("sweep"), workers or len(os.sched_getaffinity(0))
    (folder / "points").mkdir(exist_ok=True)
    points = points_of(plan)
    in_rtl = points if exact else affordable(points, seconds * cores)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())
    with (cluster(scheduler) if scheduler else processes(min(cores, max(len(in_rtl), 1)))) as runner, \
            Progress(*columns, transient=True, speed_estimate_period=3600) as bar:
        task = bar.add_task("")

        def update(what: str, done: float, total: float) -> None:
            if not bar.tasks[0].description:  # what an earlier sweep finished does not count for the rate
                bar.reset(task, total=total, completed=round(done))
            bar.update(task, description=what, completed=done)

        rows = run_sweep(plan, in_rtl, folder / "points", runner, update)
    settings = {
        **asdict(plan), "models": [{key: str(value) for key, value in asdict(model).items()} for model in plan.models],
        "exact": exact, "seconds": seconds, "in_rtl": len(in_rtl), "points": len(points),
        "memory_sources": {name: preset(name).source for name in plan.memories},
        "weights": "random valid streams of the models' shapes, or of the checkpoints that are named",
        "activations": "random, every finite FP16 bit pattern alike",
    }
    path = write(folder, settings, rows)
    write_csv(rows, folder / "report.csv")
    draw(rows, folder)
    headings, layers = summary(rows)
    (folder / "report.md").write_text(markdown(headings, layers))
    origins = ", ".join(dict.fromkeys(row["weights_from"] for row in rows if row.get("weights_from")))
    show(f"{bus}-bit bus; source rtl: simulated by Verilator, weights {origins or '-'}, results compared with golden "
         f"bit for bit; source model: cycle model; tokens/s at a context of {context}",
         COLUMNS, [{**row, "section": row["format"] == plan.formats[-1]} for row in rows])
    print(f"report: {path}, and beside it report.csv, charts and, for layers in short, report.md")
    require_exact([row for row in rows if row.get("bit_exact") is not None], "{model} {matrix} {format} on {memory}")
    if failed := failures(rows):
        raise CheckError("\n".join(["some points of the sweep did not run:", *failed]))

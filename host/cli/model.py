"""Commands on whole models: compress, decompress, inspect, seal."""

import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from host.cli.options import (
    Budget,
    BudgetFormats,
    DeviceMemory,
    Exclude,
    Mode,
    Revision,
    Scheduler,
    SeedlmFormat,
    TlsCa,
    TlsCert,
    TlsKey,
)
from host.cli.reporting import lists, speaks
from host.errors import UserError
from host.printable import printable

__all__ = ["compress", "decompress", "inspect", "seal"]

_NAMED = 3  # tensors named in a message


def _some(names: tuple[str, ...]) -> str:
    """Return the first names of many, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more


def _note(sentences: Iterable[str]) -> None:
    """Print what is unusual, but no fault, to the standard error."""
    for sentence in sentences:
        print(f"note: {printable(sentence)}", file=sys.stderr)


def _require_compressed(folder: Path) -> None:
    """Refuse what is no folder of a compressed model, and was none. UserError."""
    from host.checkpoint.container import is_compressed
    from host.checkpoint.unfinished import PARTS

    made = "a folder that `seedlm-fpga compress` has made"
    if not os.path.lexists(folder):
        raise UserError(f"there is no folder {folder}: give {made}")
    if not os.path.isdir(folder):
        raise UserError(f"{folder} is no folder: give {made}")
    if not os.path.lexists(folder / PARTS) and not is_compressed(folder):
        raise UserError(f"{folder} holds no model compressed by this program: give {made}")


def _budget(bits: str, format: str, formats: str) -> float | None:
    """Return the budget that is given, or None. UserError when it is no number, or does not go with the formats."""
    if formats and not bits:
        raise UserError("--formats are those that a budget chooses from: give one, such as --bits 3.5, or one format "
                        "with --format")
    if not bits:
        return None
    if format:
        raise UserError(f"a budget chooses among several formats: give them with --formats in place of --format "
                        f"{format}, or leave out --bits")
    try:
        return float(bits)
    except ValueError:
        raise UserError(f"--bits must be a number such as 3.5, not {bits!r}") from None


@speaks
def compress(model: Annotated[Path, typer.Argument(help="GGUF file, .safetensors file or Hugging Face folder, or the "
                                                         "name of a model in the hub's cache, org/name.")],
             out: Annotated[Path, typer.Argument(help="Folder to be made, or the folder of an interrupted run.")],
             revision: Revision = "", format: SeedlmFormat = "", bits: Budget = "", formats: BudgetFormats = "",
             mode: Mode = "exact",
             bias: Annotated[str, typer.Option(help="Bias of the exponents: auto chooses one for each tensor; off is "
                                                    "the paper's format.")] = "auto",
             include: Annotated[list[str], typer.Option(
                 help="Glob of tensors to compress, which may be repeated, in place of what is compressed by default: "
                      "the linear layers of the model's decoder.")] = [],  # noqa: B006  typer copies it
             exclude: Exclude = [],  # noqa: B006  typer copies it
             check: Annotated[bool, typer.Option("--check", help="Decode every slice again and compare it with golden."
                                                 )] = False,
             weighting: Annotated[Path | None, typer.Option(
                 help="Folder of NAME.npy: how much an error in each column of tensor NAME counts.")] = None,
             calibrate: Annotated[str, typer.Option(
                 help="Text whose activations say what errors do harm: self for text that the model writes, a text "
                      "file, or none. Same format, much better models; takes longer.")] = "none",
             sequences: Annotated[int, typer.Option(help="Sequences of calibration text.")] = 32,
             sequence_tokens: Annotated[int, typer.Option(help="Tokens of a sequence of calibration text.")] = 512,
             calibration_seed: Annotated[int, typer.Option(help="Seed of calibration text that the model writes.")] = 0,
             statistics: Annotated[Path | None, typer.Option(
                 help="Folder that keeps what the calibration finds out; by default one in build/calibration.")] = None,
             device: Annotated[str, typer.Option(help="PyTorch devices in place of processors, separated by commas, "
                                                      "such as cuda or cuda:0,cuda:1. All errors count "
                                                      "alike there: neither --weighting nor --calibrate.")] = "",
             device_memory: DeviceMemory = 7,
             workers: Annotated[int, typer.Option(min=0, help="Processes of this machine that share the work; 0 for "
                                                  "one that uses all processors.")] = 0,
             scheduler: Scheduler = "", tls_ca_file: TlsCa = None, tls_cert: TlsCert = None, tls_key: TlsKey = None,
             slice_weights: Annotated[int, typer.Option(help="Weights in a slice, the unit of work: a slice that is "
                                                             "finished survives an interruption.")] = 1 << 20,
             shard_bytes: Annotated[int, typer.Option(help="Size in bytes at which a shard is closed.")] = 1 << 30
             ) -> None:
    """Compress the linear layers of a model. After an interruption, the same command continues where it was."""
    from host.calibrate.calibration import Calibration
    from host.checkpoint.container import open_compressed
    from host.checkpoint.hub import find_model
    from host.cli.summary import account_lines
    from host.compress.cluster import cluster_runner, process_runner
    from host.compress.compress import compress as compress_model
    from host.compress.here import run_here
    from host.compress.plan import Options
    from host.compress.slices import Runner
    from host.progress import model_progress
    from host.scheduler import Tls, connected
    from host.workers import Workers

    source = find_model(model, revision)
    options = Options(format or Options.format, mode, bias, tuple(include), tuple(exclude), slice_weights, shard_bytes,
                      device, _budget(bits, format, formats), formats or Options.formats, device_memory)
    calibration = None if calibrate == "none" else Calibration(calibrate, sequences, sequence_tokens, calibration_seed)
    with ExitStack() as stack:
        runner: Runner = run_here
        if (scheduler or workers > 1) and len(options.devices) > 1:
            raise UserError("several devices are for one process: leave out --workers and --scheduler, or give one "
                            "--device")
        if scheduler:
            runner = cluster_runner(stack.enter_context(connected(scheduler, Tls(tls_ca_file, tls_cert, tls_key))))
        elif workers > 1:
            runner = process_runner(stack.enter_context(Workers(workers)))
        progress, reading = stack.enter_context(model_progress())
        done = compress_model(source, out, options, check=check, weighting=weighting,
                              calibration=calibration, statistics=statistics, runner=runner, progress=progress,
                              reading=reading)
    _note(done.notices)
    plan = done.plan
    if plan.left_behind:
        _note([f"files of other weights are left behind: {_some(plan.left_behind)}"])
    widths = " or ".join(str(targets[0].fmt.c) for targets in plan.formats.values())
    if plan.padded:
        _note([f"{len(plan.padded)} tensors padded with zeros to a width of whole blocks of {widths}: "
               f"{_some(plan.padded)}"])
    if plan.left_out:
        widest = max(fmt.c for fmt in options.block_formats.values())
        _note([f"{len(plan.left_out)} tensors left alone, which are no matrices or have fewer than {widest} "
               f"columns: {_some(plan.left_out)}"])
    files = open_compressed(out)
    if lost := tuple(name for name, tensor in files.compressed.items() if tensor.error >= 1):
        _note([f"{len(lost)} tensors are nothing but zeros now, as all their weights are too small for the format: "
               f"{_some(lost)}; --exclude leaves them as they are"])
    kept = sum(len(shard.copies) for shard in plan.shards)
    made = ", ".join(f"{len(targets)} tensors in {name}" for name, targets in plan.formats.items())
    print(f"{printable(out)}: {made}, {kept} as they were, "
          f"{files.total_bytes:,} bytes" + ("" if done.fresh else "; it was complete already"))
    print(*account_lines(done.account), sep="\n")


@speaks
def decompress(folder: Annotated[Path, typer.Argument(help="A compressed folder.")],
               out: Annotated[Path, typer.Argument(help="Folder to be made, or the folder of an interrupted run.")],
               dtype: Annotated[str, typer.Option(help="Type of the weights: f32, f16 or bf16; by default "
                                                  "the type before compression.")] = "",
               ) -> None:
    """Write a compressed model as plain safetensors. After an interruption, the same command continues where it was."""
    from host.compress.decompress import decompress as decompress_model
    from host.progress import model_progress

    _require_compressed(folder)
    with model_progress() as (progress, reading):
        notices = decompress_model(folder, out, dtype.upper() or None, progress, reading)
    _note(notices)
    print(f"{printable(out)}: decompressed")


@lists
def inspect(folder: Annotated[Path, typer.Argument(help="A compressed folder.")],
            verify: Annotated[bool, typer.Option(help="Compare every file with its digest.")] = True) -> None:
    """List the compressed tensors of a folder and verify all of its files."""
    from host.compress.verify import inspect as inspect_model
    from host.progress import work_progress
    from host.report.writer import inventory

    _require_compressed(folder)
    with work_progress(unit="bytes") as reading:
        rows, notices = inspect_model(folder, verify, reading)
    *_, ends = (row for row in rows if row.rows is not None)
    inventory(str(folder), {"folder": str(folder), "verify": verify}, rows,
              lambda row: row is ends)
    _note(notices)


@speaks
def seal(folder: Annotated[Path, typer.Argument(help="A compressed folder.")]) -> None:
    """Accept changes to config.json and other small files of a compressed folder; its tensors must be as they were."""
    from host.compress.verify import seal as seal_model
    from host.progress import work_progress

    _require_compressed(folder)
    with work_progress(unit="bytes") as reading:
        changed = seal_model(folder, reading)
    print(f"{printable(folder)}: sealed, "
          + (f"with changes in {_some(tuple(changed))}" if changed else "nothing had changed"))

"""Options that commands share, and the checks of what is given for them.

A type here stands for one option: its name, where that is not the parameter's, its limits and its help. What an option
needs for its check is imported when the check is made, so that ``--help`` loads neither Amaranth nor a simulator.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from golden.spec import ACT_BITS, FORMATS, WeightFormat, parse_format
from host.errors import UserError, choose

if TYPE_CHECKING:
    from hw.config import EngineConfig

__all__ = ["COMPARED", "EMBEDDINGS", "ActBits", "BoardFormat", "BoardName", "Budget", "BudgetFormats", "Bus", "Cols",
           "DeviceMemory", "EngineFormat", "Exclude", "FirstRows", "Formats", "Include", "Layer", "Memories", "Memory",
           "Mode", "Model", "PlacerSeed", "ResultsPerCycle", "Revision", "Rows", "Scheduler", "SeedlmFormat",
           "SeedlmFormats", "Simulator", "TlsCa", "TlsCert", "TlsKey", "Waves", "board_format", "engines", "names"]

COMPARED = "fp16 int4 seedlm4 seedlm3"
"""Formats that are compared where none are given, as :data:`Formats` is given: int4 stands for the integers."""
EMBEDDINGS = ["*embed*", "lm_head*"]
"""Matrices that measurements of quality leave out by default, as :data:`Exclude` is given."""

_SEEDLM = "seedlm4, seedlm3 or C,P,K"
_ANY = f"fp16, int8, int4, int3, {_SEEDLM}"

Formats = Annotated[str, typer.Option(help=f"Formats, separated by blanks: {_ANY}.")]
SeedlmFormats = Annotated[str, typer.Option("--formats", help=f"Formats, separated by blanks: {_SEEDLM}.")]
SeedlmFormat = Annotated[str, typer.Option("--format", show_default="seedlm4",
                                           help=f"Format of the compressed weights: {_SEEDLM}.")]
Budget = Annotated[str, typer.Option(
    "--bits", help="Stored bits for a weight at most, such as 3.5, as the mean over all matrices: each gets one of "
                   "several formats, in place of --format, so that their errors do the least harm.")]
BudgetFormats = Annotated[str, typer.Option("--formats", show_default="seedlm3 seedlm4",
                                            help="Formats that --bits chooses from, separated by blanks.")]
EngineFormat = Annotated[str, typer.Option("--format", help=f"Format of the engine's weights: {_ANY}.")]
BoardFormat = Annotated[str, typer.Option("--format", help=f"Format of the bitstream: {', '.join(FORMATS)}.")]
BoardName = Annotated[str, typer.Option(help="Board, one of those in hw/boards.")]
Memory = Annotated[str, typer.Option(help="Memory preset, one of those in sim/dram/presets.py.")]
Memories = Annotated[str, typer.Option(help="Memory presets, separated by blanks.")]
Bus = Annotated[int, typer.Option(help="Width of the memory bus in bits, a power of two from 32 to 1024.")]
ActBits = Annotated[int, typer.Option(help="Width of an activation in bits, 16 or 8; FP16's activations stay FP16.")]
Simulator = Annotated[str, typer.Option("--sim", help="Simulator: verilator, or icarus, which is slow: use it with "
                                                      "--rows and a narrow bus.")]
Waves = Annotated[str, typer.Option(envvar="WAVES", metavar="FIRST:LAST", help=(
    "Leave waveforms of these cycles, with files for GTKWave and Surfer, in build/waves; 1 for those of all cycles. "
    "Each product then runs once. Without, a short one runs from several places of the memory's refresh interval, and "
    "its cycles are the mean."))]
Mode = Annotated[Literal["exact", "paper", "printed"], typer.Option(
    help="How codes are chosen: exact searches all of them; paper rounds, with an exponent two below the rule "
         "that the paper prints; printed rounds by that rule as it is printed, at a much greater error.")]
Model = Annotated[str, typer.Option(help="GGUF file, .safetensors file or Hugging Face folder, or the name of a model "
                                         "in the hub's cache, org/name; by default the packaged model.")]
Revision = Annotated[str, typer.Option(help="Branch, tag or commit of a model of the hub; by default main.")]
Layer = Annotated[int, typer.Option(min=0, help="Number of the decoder layer of a checkpoint.")]
Include = Annotated[list[str], typer.Option(help="Glob of matrices to take; may be repeated. By default those that "
                                                  "compress takes.")]
DeviceMemory = Annotated[float, typer.Option(
    "--device-memory", min=0.1,
    help="GB of the memory of each device that the search takes, about; tables take 0.6 beside.")]
Exclude = Annotated[list[str], typer.Option(help="Glob of matrices to leave out; may be repeated.")]
Rows = Annotated[int, typer.Option(min=1, help="Rows of the matrix.")]
FirstRows = Annotated[int, typer.Option(min=0, help="Only the first rows of each matrix; 0 for all.")]
Cols = Annotated[int, typer.Option(min=1, help="Columns of the matrix.")]
PlacerSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the placer; other seeds reach other clocks.")]
Scheduler = Annotated[str, typer.Option(help="Address of a Dask scheduler, tcp://host:port, whose workers work; "
                                             "tls://host:port with TLS.")]
TlsCa = Annotated[Path | None, typer.Option(help="Certificate of the authority that vouches for scheduler and workers, "
                                                 "in PEM format.")]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate of this process for TLS with the scheduler.")]
ResultsPerCycle = Annotated[int, typer.Option(help="Results that pass from the lanes to memory in one cycle: 1; or "
                                              "2 or 4, where matrices have short rows.")]
TlsKey = Annotated[Path | None, typer.Option(help="Private key of that certificate.")]


def names(what: str, text: str, example: str) -> tuple[str, ...]:
    """Split names at blanks; each is taken once.

    Parameters
    ----------
    what : str
        What is named, in the plural.
    example : str
        How to name some.

    Raises
    ------
    UserError
        When there is none.
    """
    found = tuple(dict.fromkeys(text.split()))
    if not found:
        raise UserError(f"no {what} given: name some, for example {example}")
    return found


def engines(formats: str, bus: int, act_bits: int = ACT_BITS) -> "tuple[EngineConfig, ...]":
    """Return the configuration of the engine for each of the formats, which are separated by blanks.

    Raises
    ------
    UserError, golden.spec.FormatError, hw.config.ConfigError
        When no format is given, one is unknown, or there is no engine with such a bus or such activations.
    """
    from hw.config import EngineConfig

    return tuple(EngineConfig(parse_format(name), bus, act_bits=act_bits)
                 for name in names("formats", formats, "--formats 'fp16 seedlm4'"))


def board_format(name: str) -> WeightFormat:
    """Return the format of a bitstream.

    Raises
    ------
    UserError
        When there are no bitstreams for it.
    """
    return choose(name, FORMATS, "unknown format {!r}: there are bitstreams for {}")

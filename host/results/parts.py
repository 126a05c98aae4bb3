"""The parts of docs/results: by which commands each is made, and what its page says."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from host.errors import choose
from host.measure.sweep import summary
from host.tables.area import AreaRow
from host.tables.bench import EncoderRow, SimulatorRow
from host.tables.board import BoardRow
from host.tables.demo import DemoRow
from host.tables.layer import LayerRow, PaperRow
from host.tables.memory import MemoryRow
from host.tables.perplexity import PerplexityRow
from host.tables.placed import BitstreamRow, PnrRow
from host.tables.quality import ExploreRow, QualityRow
from host.tables.roofline import RooflineRow
from host.tables.row import Column, Row
from host.tables.sweep import SweepRow
from host.tables.timeline import TimelineRow

__all__ = ["PARTS", "Command", "Part", "chosen"]

Record = dict[str, Any]
"""A row of a report as JSON has it, by the names of its fields."""


@dataclass(frozen=True)
class Command:
    """A command of ``python -m host``.

    Parameters
    ----------
    text : str
        Its name and options, as a shell takes them.
    report : str
        Folder of its report, below the build folder.
    """

    text: str
    report: str

    @property
    def arguments(self) -> list[str]:
        """The words of the text."""
        return shlex.split(self.text)


@dataclass(frozen=True)
class Part:
    """A part of docs/results: a page, a file of JSON and charts, all of which bear its name.

    Parameters
    ----------
    name, title : str
    text : str
        Sentences of the page on what is measured and how.
    minutes : int
        Usual duration, on two cores.
    modules : tuple of str
        Modules that make the figures. While they and all that they import stay as they are, so do the figures; what
        only parses a command, prints or draws does not count.
    commands : tuple of Command
        What a user would run, in this order.
    row : type
        Class of the reports' rows.
    columns : tuple of str
        Fields that the page shows; those of the command's ``report.md`` by default.
    kept : callable
        Says of a row whether it is stored.
    shown : callable
        Says of a stored row whether the page shows it.
    notes : callable
        Lines below the table, made of the stored reports.
    may_fail : bool
        Whether a command that ends with status 1 has its sentence recorded, in place of ending the part: that an engine
        cannot be placed is a result too.
    """

    name: str
    title: str
    text: str
    minutes: int
    modules: tuple[str, ...]
    commands: tuple[Command, ...]
    row: type[Row]
    columns: tuple[str, ...] = ()
    kept: Callable[[Record], bool] = lambda row: True
    shown: Callable[[Record], bool] = lambda row: True
    notes: Callable[[Sequence[Record]], list[str]] = lambda reports: []
    may_fail: bool = False

    def table(self, rows: Sequence[Record]) -> tuple[tuple[Column, ...], list[Record]]:
        """Return the columns and records of the page's table."""
        if self.row is SweepRow:
            return summary([SweepRow(**row) for row in rows])
        return self.row.columns(self.columns), [row for row in rows if self.shown(row)]


def _remarks(reports: Sequence[Record]) -> list[str]:
    return [f"{row['memory']}: {row['remark']}" for report in reports for row in report["results"] if row["remark"]]


def _said(reports: Sequence[Record]) -> list[str]:
    """Return what a model said through the engine, and what it says as it is."""
    made = [report["configuration"] for report in reports]
    return [line for each in made for line in (
        f"{each['prompt']}", f"{each['model']} in {each['format']}, through the engine: “{each['text']}”",
        f"as it is, in float32: “{each['plain_text']}”")]


_LAYER, _ROOFLINE = ("host.measure.layer", "host.measure.published"), ("host.measure.roofline",)
_EXACT = "Every result is compared with golden, bit for bit (“exact”)."
_PLACED = ("fp16-128-g6", "int4-128-g6", "seedlm4-128-g6", "seedlm3-128-g6", "fp16-512-g8", "seedlm4-512-g8")
"""Configurations that `pnr` places and routes."""
_BITSTREAMS = [(board, name) for board in ("ulx3s_85f", "icesugar_pro") for name in ("fp16", "seedlm4", "seedlm3")]
_SAID = ("shipped int8-g128 int4-g128-rtn int4-g128 int4-row-rtn int4-row int4-g128-rotated nf4-g64 awq4-g128 "
         "gptq4-g128 gptq4-g128-drift gptq4-g128-drift-rotated seedlm4-paper seedlm4 seedlm4-calibrated seedlm4x "
         "seedlm4x-calibrated seedlm4r-rotated trellis4 trellis4-rotated trellis4-calibrated int3-g128-rtn int3-g128 "
         "int3-row-rtn int3-row int3-g128-rotated awq3-g128 gptq3-g128 gptq3-g128-drift gptq3-g128-drift-rotated "
         "seedlm3-paper seedlm3 seedlm3-calibrated seedlm3r-rotated trellis3-rotated trellis3-calibrated "
         "trellis2-rotated trellis2-calibrated "
         "int4-g128-a16 seedlm4-a16 seedlm3-a16 int4-g128-a8 seedlm4-a8 seedlm3-a8")
"""Variants whose perplexity is stored. Left out are the paper's exponent as it is printed, which is another format in
all but name, and `-feedback`, a step on the way to `-calibrated`."""
_PAPER = "Gaussian matrices of the paper's sizes, streamed through the engine and simulated in RTL, cycle by cycle, on "

_ALL = (
    Part("sim", "A real layer",
         "Layer 0 of SmolLM2-135M-Instruct, compressed, streamed through the engine and simulated in RTL, cycle by "
         f"cycle, on DDR4-2400 and a 512-bit bus. “layer” is all seven matrices as one chain. {_EXACT}",
         4, _LAYER, (Command("sim", "sim"),), LayerRow),
    Part("sim-paper", "The paper's matrices",
         f"{_PAPER}the preset `paper`, a memory that we fitted to the two published cycle counts. The columns “paper” "
         f"are published by the paper's authors. {_EXACT}",
         3, _LAYER, (Command("sim-paper", "sim-paper"),), PaperRow),
    Part("sim-paper-ddr4", "The paper's matrices on DDR4-2400",
         f"{_PAPER}DDR4-2400. The columns “paper” are published by the paper's authors. {_EXACT}",
         3, _LAYER, (Command("sim-paper --memory ddr4-2400", "sim-paper"),), PaperRow),
    Part("timeline", "A layer as time goes by",
         "Layer 0 of SmolLM2-135M-Instruct in seedlm4, streamed through the engine as one chain and simulated in RTL, "
         "on DDR4-2400 and a 512-bit bus. At each stream between stages, every cycle is one in which a word passes, or "
         "the consumer waits for what comes before, or the producer for what comes after. “refresh” is known where "
         f"memory is read; “over” are cycles after the last word. {_EXACT}",
         2, ("host.measure.timeline",), (Command("timeline", "timeline"),), TimelineRow,
         columns=(*TimelineRow.VIEW, "bit_exact"), kept=lambda row: row["view"] == "run"),
    Part("demo", "A sentence through the engine",
         "SmolLM2-135M-Instruct answers a question. Every linear layer of every token, 210 matrices and the one that "
         "gives the logits, is simulated in RTL, on DDR4-2400 and a 512-bit bus; FP16 beside it is computed by the "
         "cycle model. “exact” says that all logits equal golden's, bit for bit.",
         10, ("host.demo.demo",), (Command("demo", "demo"),), DemoRow, notes=_said),
    Part("roofline", "Beside the memory's limit",
         "What a master that only reads gets of every memory (the limit), and what each engine takes of it in steady "
         f"state, without start-up and drain: both simulated in RTL, 1,536 columns on a 64-bit bus. {_EXACT}",
         35, _ROOFLINE, (Command("roofline", "roofline"),), RooflineRow),
    Part("short-rows", "Short rows",
         "What engines take of the memory's limit when matrices have 64 columns, with one result a cycle and with two: "
         f"simulated in RTL, on DDR4-2400 and a 512-bit bus. {_EXACT}",
         6, _ROOFLINE, tuple(Command("roofline --formats 'seedlm4 int4' --memories ddr4-2400 --bus 512 --cols 64 "
                                     f"--results-per-cycle {count}", "roofline") for count in (1, 2)),
         RooflineRow, columns=("memory", "format", "bus_bits", "cols", "results_per_cycle", "achieved_fraction",
                               "weights_per_cycle", "bit_exact", "source")),
    Part("memories", "Memory presets beside independent simulators",
         "A sequential stream of reads, simulated in RTL by Icarus on a 64-bit bus, over ten refresh intervals, or "
         "over 60 rounds where single banks are refreshed. “independent” are figures of simulators that were run "
         "outside this project, on the same timings: two of LPDDR5 (16 Gb x16) and one of HBM2.",
         5, ("host.measure.memories",), (Command("memories", "memories"),), MemoryRow, notes=_remarks),
    Part("quality", "Reconstruction error",
         "‖ŵ - w‖ / ‖w‖ over all tensors of two models, 32 rows of each, beside data-free quantisers at about the same "
         "bits: computed on the weights, nothing simulated.",
         4, ("host.quality.quality",), (Command("quality", "quality"),), QualityRow,
         kept=lambda row: row["tensor"] == "total"),
    Part("perplexity", "Perplexity",
         "What SmolLM2-135M-Instruct says with its matrices in other codes, on 8 windows of 512 tokens from the "
         "beginning of WikiText-2's test set. “increase” is that of the perplexity, “KL” the divergence of the "
         "predictions from those of the model as it is shipped, in nats, “same first” how often both have the same "
         "likeliest token; each is followed by its standard error over windows. Names that end in a16 or a8 have the "
         "engine's arithmetic, with activations of so many bits. What the codes mean: [quality](../quality.md). The "
         "variants are measured one after another and kept, some two hours of two cores in all; “took” below counts "
         "only those of the last run.",
         180, ("host.perplexity.perplexity", "host.perplexity.variants"),
         (Command(f"perplexity --variants '{_SAID}'", "perplexity"),), PerplexityRow),
    Part("explore", "Choice of C, P and K",
         "The formats of the least error for the bits that they spend, of all that spend as many, on Gaussian and on "
         "real weights: computed on the weights, nothing simulated. The JSON has every format that was tried.",
         30, ("host.quality.explore",), (Command("explore", "explore"),), ExploreRow,
         shown=lambda row: bool(row["best"])),
    Part("bench-encode", "Speed of the encoder",
         "Blocks a second of the encoder, beside a plain exhaustive search in NumPy: measured on the machine that is "
         "named below.",
         1, ("host.quality.bench_encode",), (Command("bench-encode", "bench-encode"),), EncoderRow),
    Part("bench-sim", "Speed of the simulators",
         "Simulated cycles a second of a 2048 × 2048 matrix on a 512-bit bus, without the time of builds: measured on "
         f"the machine named below. {_EXACT}",
         1, ("host.measure.bench_sim",), (Command("bench-sim", "bench-sim"),), SimulatorRow),
    Part("sweep", "Layers of whole models",
         "The seven matrices of a decoder layer as one chain, simulated in RTL on DDR4-2400 and a 512-bit bus; "
         "weights are random. Tokens a second are made of these cycles by the cycle model, at an assumed clock. “at "
         f"most” is the speed-up that bytes alone allow. {_EXACT}",
         90, ("host.measure.sweep",), (Command("sweep --exact", "sweep"),), SweepRow),
    Part("area", "Area on 7-series",
         "Cells that Yosys synthesises for Xilinx 7-series, before packing and not placed. Each block is synthesised "
         "apart, so that they do not add up to the total. The row “paper” was published by its authors; whether it is "
         "of the whole engine is unknown.",
         40, ("host.synth.area",), (Command("area", "area"),), AreaRow),
    Part("pnr", "Placed and routed on ECP5",
         "Engines on Lattice ECP5, placed and routed by Yosys and nextpnr with a harness of flip-flops around each.",
         180, ("host.synth.place_and_route",),
         tuple(Command(f"pnr --config {name}", f"pnr/{name}") for name in _PLACED), PnrRow, may_fail=True),
    Part("bitstreams", "Bitstreams of the boards",
         "Engine, SDRAM controller and serial link on two boards, placed and routed by Yosys and nextpnr; not yet run "
         "on hardware.",
         45, ("host.synth.bitstream",), tuple(Command(f"bitstream --board {board} --format {name}", f"{board}/{name}")
                           for board, name in _BITSTREAMS), BitstreamRow, may_fail=True),
    Part("test-board", "A whole board, simulated",
         "A 2048 × 2048 product on a board that is simulated in RTL, from the pins of its serial line to those of its "
         f"SDRAM. {_EXACT}",
         15, ("host.measure.on_board",),
         (Command("run-simulated --board ulx3s_85f --formats 'fp16 seedlm4' --least 3.9", "test-board"),),
         BoardRow),
)
PARTS = {part.name: part for part in _ALL}
"""Parts by name, in the order in which they are made."""


def chosen(names: str) -> list[Part]:
    """Return the parts whose names are in a text; all of them when it is blank.

    Raises
    ------
    UserError
        When there is no part of a name.
    """
    return [choose(name, PARTS, "there is no part {!r} of the results: PARTS are some of {}")
            for name in dict.fromkeys(names.split())] or list(PARTS.values())

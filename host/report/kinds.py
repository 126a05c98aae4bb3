"""The reports that the page knows: what each is about, which command makes it, its columns and how its numbers come
about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from host.tables.area import AreaRow
from host.tables.bench import EncoderRow, SimulatorRow
from host.tables.board import BoardRow
from host.tables.demo import DemoRow
from host.tables.device import DeviceEncoderRow
from host.tables.evaluate import EvaluateRow
from host.tables.layer import LayerRow, PaperRow
from host.tables.memory import MemoryRow
from host.tables.perplexity import PerplexityRow
from host.tables.placed import BitstreamRow, PnrRow
from host.tables.quality import ExploreRow, QualityRow
from host.tables.roofline import RooflineRow
from host.tables.row import Column
from host.tables.sweep import SweepRow
from host.tables.timeline import TimelineRow

__all__ = ["KINDS", "SOURCES", "Kind", "Part", "kind_of"]

SOURCES = {"rtl": "RTL", "model": "cycle model", "synthesised": "synthesised", "published": "published"}
"""By value of a row's ``source``: what the page calls it."""
_EXACT = "Every result is compared with golden bit for bit (“exact”)."


@dataclass(frozen=True)
class Part:
    """A table of some rows of a report.

    Parameters
    ----------
    caption : str
    chosen : callable
        Says of a row, as JSON has it, whether it is in the table.
    folded : bool
        Only the caption is shown until a reader opens the table.
    """

    caption: str
    chosen: Callable[[dict[str, Any]], bool] = lambda row: True
    folded: bool = False


@dataclass(frozen=True)
class Kind:
    """A report, or several of the same form, below ``build/<name>/``.

    Parameters
    ----------
    name : str
        First folder below ``build/``.
    title, command : str
        Heading of its section, and the command that makes such a report.
    how : str
        Sentences on how the numbers come about.
    columns : tuple of Column
        Columns of its tables.
    parts : tuple of Part
        Its tables.
    """

    name: str
    title: str
    command: str
    how: str
    columns: tuple[Column, ...]
    parts: tuple[Part, ...]


KINDS = (
    Kind("sim", "A real layer", "make sim",
         "Matrices of a real checkpoint, compressed, streamed through the engine and simulated in RTL, cycle by cycle; "
         f"“layer” is all of them as one chain. {_EXACT}", LayerRow.columns(), (Part("Matrices of one layer"),)),
    Kind("timeline", "A run as time goes by", "make timeline",
         "The handshakes of the streams between the engine's stages, recorded in each cycle of a layer that was "
         "streamed as one chain and simulated in RTL. At a stream a word passes, or its consumer waits for what comes "
         f"before, or its producer for what comes after. {_EXACT}",
         TimelineRow.columns((*TimelineRow.VIEW, "bit_exact")),
         (Part("All of the run, in cycles", lambda row: row["view"] == "run"),)),
    Kind("demo", "A model speaks", "make demo",
         "Every linear layer of every generated token, simulated in RTL; the cycles of FP16 come from the cycle model. "
         "“exact” says that all logits of the token equal those of golden's arithmetic, bit for bit.",
         DemoRow.columns(), (Part("Tokens"),)),
    Kind("sim-paper", "The paper's matrices", "make sim-paper",
         "Gaussian matrices on a memory that we fitted to the two published cycle counts, simulated in RTL. The "
         f"columns “paper” are published by the paper's authors. {_EXACT}",
         PaperRow.columns(), (Part("Square matrices"),)),
    Kind("roofline", "Roofline", "make roofline",
         "What a master that only reads gets of every memory, and what each engine takes of it in steady state: both "
         f"simulated in RTL. {_EXACT}", RooflineRow.columns(), (Part("Engines and memories"),)),
    Kind("memories", "Memories", "make memories",
         "What a master that only reads gets of every memory preset, simulated in RTL, beside the figures of "
         "independent simulators.", MemoryRow.columns((*MemoryRow.VIEW, "remark")), (Part("Presets"),)),
    Kind("area", "Area", "make area",
         "Cells that Yosys synthesises for Xilinx 7-series, and totals for UltraScale+ (“xcup”), before packing and "
         "not placed. The row “paper” was "
         "published by its authors; whether it is of the whole engine is unknown.", AreaRow.columns(),
         (Part("Whole engines", lambda row: str(row["block"]).startswith("total")),
          Part("Block by block, each synthesised apart", lambda row: not str(row["block"]).startswith("total"), True))),
    Kind("pnr", "Place and route", "make pnr CONFIG=name",
         "Placed and routed on Lattice ECP5 by Yosys and nextpnr, with a harness of flip-flops around the engine.",
         PnrRow.columns(), (Part("Configurations"),)),
    Kind("sweep", "Sweep over models", "make sweep",
         "Shapes of whole decoder layers, streamed as one chain. Rows marked RTL were simulated cycle by cycle; those "
         "marked cycle model come from a model that goes from event to event and that tests hold against RTL. They may "
         "be off by 0.1 % or three cycles, or by what stands beside the mark. The model also gives whole models "
         "(“model”: all layers, lm_head and KV cache as bytes). Tokens a second assume the clock of the memory's "
         "controller, at which no engine has been placed. Results from RTL are compared with golden bit for bit "
         "(“exact”); weights are random but valid unless a checkpoint is named.",
         SweepRow.columns(SweepRow.PAGE),
         (Part("Layers, simulated in RTL", lambda row: row["matrix"] == "layer" and row["source"] == "rtl"),
          Part("Layers, by the cycle model", lambda row: row["matrix"] == "layer" and row["source"] != "rtl"),
          Part("Whole models, by the cycle model", lambda row: row["matrix"] == "model"),
          Part("Single matrices", lambda row: row["matrix"] not in ("layer", "model"), True))),
    Kind("quality", "Reconstruction error", "make quality",
         "‖ŵ - w‖ / ‖w‖ of real weights beside data-free quantisers at about the same bits: computed on the weights, "
         "nothing simulated.", QualityRow.columns(),
         (Part("All tensors of a model", lambda row: row["tensor"] == "total"),)),
    Kind("perplexity", "Perplexity", "make perplexity",
         "What a model says of a text with its matrices in other codes, beside the model as it is shipped: computed by "
         "the forward pass on the host. Each figure is followed by its standard error over windows of the text.",
         PerplexityRow.columns(), (Part("Variants"),)),
    Kind("evaluate", "Tasks", "python -m host evaluate FOLDER",
         "What lm-evaluation-harness measured of a folder, as transformers loads it.", EvaluateRow.columns(),
         (Part("Tasks and metrics"),)),
    Kind("explore", "Choice of C, P and K", "make explore",
         "Error of every format that spends the given bits, on Gaussian and on real weights: computed on the weights, "
         "nothing simulated.", ExploreRow.columns(),
         (Part("Best of each width", lambda row: row["best"]), Part("Every format", folded=True))),
    Kind("bench-encode", "Speed of the encoder", "make bench-encode",
         "Blocks a second of the exact search, beside one in NumPy: measured on the machine named below.",
         EncoderRow.columns(), (Part("Formats and modes"),)),
    Kind("bench-encode-device", "Speed of the encoder on a GPU", "make bench-encode DEVICE=cuda",
         "Blocks a second of the search in PyTorch, beside that on the processors of the same machine. The errors of "
         "both were compared. Measured on the machine named below.",
         DeviceEncoderRow.columns(), (Part("Formats and modes"),)),
    Kind("bench-sim", "Speed of the simulators", "make bench-sim",
         "Simulated cycles a second on the same work, without builds: measured on the machine named below. "
         f"{_EXACT}", SimulatorRow.columns(), (Part("Paths"),)),
    Kind("test-board", "A whole board, simulated", "make test-board",
         "A product on a board that is simulated in RTL, from the pins of its serial line to those of its SDRAM. "
         f"{_EXACT}", BoardRow.columns(), (Part("Products"),)),
    Kind("run", "A product on a device", "python -m host run --device KIND:PATH",
         f"Cycles are those of the engine's counters, and a mean over runs. {_EXACT}", BoardRow.columns(),
         (Part("Products"),)),
)
"""Kinds whose name is known, in the order of the page: what is measured comes before what is modelled."""


def _bitstreams(board: str) -> Kind:
    """Return the kind of the reports of a board's bitstreams, which lie in a folder of the board's name."""
    return Kind(board, f"Bitstreams for {board}", f"make bitstream BOARD={board} FORMAT=name",
                "Placed and routed on Lattice ECP5 by Yosys and nextpnr: engine, memory controller and serial link.",
                BitstreamRow.columns(), (Part("Bitstreams"),))


def _spec(values: list[object]) -> str:
    """Return a format specification that suits all values of a column."""
    if not values or any(isinstance(value, (bool, str)) for value in values):
        return ""
    return ",d" if all(isinstance(value, int) for value in values) else ",.6g"


def kind_of(name: str, rows: list[dict[str, Any]], command: str) -> Kind:
    """Return the kind of reports whose name is in no list.

    Reports of bitstreams are known by their rows. Of all others, every column is shown whose values are plain.

    Parameters
    ----------
    name : str
        First folder below ``build/``.
    command : str
        Command that made them, or empty.
    """
    if rows and all(row.get("board") == name and "bitstream" in row for row in rows):
        return _bitstreams(name)
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row[key] for row in rows if row.get(key) is not None] for key in keys}
    columns = tuple(Column(key, key.replace("_", " "), _spec(found)) for key, found in values.items()
                    if not any(isinstance(value, (dict, list)) for value in found))
    return Kind(name, name, command or f"a command that leaves build/{name}/report.json",
                "As the command below left it.", columns, (Part("Rows"),))

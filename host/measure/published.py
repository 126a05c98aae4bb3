"""What the paper's authors publish of their FPGA experiment (arXiv 2410.10714), at 64 bytes a cycle from DDR.

The preset ``paper`` (:mod:`sim.dram.presets`) is a line through the two counts of
``CYCLES``; the speed-ups are not part of that fit.
"""

from collections.abc import Sequence

from host.tables.layer import LayerRow, PaperRow

__all__ = ["CYCLES", "MEMORY", "SPEEDUP", "beside_published"]

MEMORY = "paper"
"""The only memory preset beside whose rows the published figures may stand: they are of the authors' memory."""

CYCLES = {("2048x2048", "fp16"): 136_559, ("2048x2048", "seedlm4"): 34_331}
"""Cycles of a product, by matrix and format."""
SPEEDUP = {"512x512": 3.67, "1024x1024": 3.92, "2048x2048": 3.98}
"""Speed-up of 4-bit SeedLM over FP16, by matrix."""


def beside_published(rows: Sequence[LayerRow]) -> list[LayerRow]:
    """Return rows of these matrices with what was published of them; rows of any other memory stay as they are."""
    return [row if row.memory != MEMORY else
            PaperRow(**vars(row), published_cycles=CYCLES.get((row.matrix, row.format)),
                     published_speedup=SPEEDUP[row.matrix] if row.format == "seedlm4" else None) for row in rows]

"""Made-up reports, for tests of charts and of the report page; none of their figures was measured."""

from typing import Any

import pytest

from golden.spec import parse_format
from sim.dram import preset

MODELS = {"tiny-1B": (44_000_000, 22), "large-70B": (855_000_000, 80), "middle-7B": (202_000_000, 32)}
"""Weights of a layer, and layers."""
CAUSES = {"starved": 0.01, "refresh": 0.03, "stalled": 0.002, "drain": 0.004}


def sweep_row(model: str, matrix: str, name: str, memory: str, source: str) -> dict[str, Any]:
    fmt, dram = parse_format(name), preset(memory)
    layer, layers = MODELS[model]
    weights = layer * layers if matrix == "model" else layer if matrix == "layer" else layer // 9
    loss = 1 + 100_000 / layer * (0.1 if name == "fp16" else 1)
    bits = fmt.bits_per_weight if fmt else 16
    cycles = round(weights * bits / 512 * loss / (1 - sum(CAUSES.values())))
    causes = {cause: round(cycles * share) for cause, share in CAUSES.items()}
    return {"model": model, "matrix": matrix, "format": name, "memory": memory, "bus_bits": 512, "cycles": cycles,
            "beats": cycles - sum(causes.values()), **causes, "bytes": weights * bits / 8, "bytes_per_weight": bits / 8,
            "weights_per_cycle": weights / cycles, "speedup": 16 / bits / (1 + 100_000 / layer) * (1 + 10_000 / layer),
            "limit_fraction": 0.99 / loss, "tokens_per_s": (dram.fabric_mhz or 0) * 1e6 / cycles or None,
            "clock_mhz": dram.fabric_mhz, "model_cycles": cycles + 7, "model_deviation": 7 / cycles, "bit_exact": True,
            "source": source, "weights": weights}


@pytest.fixture
def sweep_rows() -> list[dict[str, Any]]:
    """A sweep of three models, not in the order of their sizes, over two memories: one from RTL, one from the model."""
    return [sweep_row(model, matrix, name, memory, "model" if matrix == "model" else source)
            for memory, source in (("ddr4-2400", "rtl"), ("hbm2", "model")) for model in MODELS
            for matrix in ("q_proj", "layer", "model") for name in ("fp16", "int4", "seedlm4", "seedlm3")]

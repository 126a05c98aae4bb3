"""Made-up reports, for tests of charts and of the report page; none of their figures was measured."""

import shutil
from pathlib import Path

import pytest

from golden.spec import parse_format
from host.plots.style import save
from host.plots.sweep import cycles_by_cause, speedup_by_model
from host.tables.sweep import SweepRow
from hw.registers.cycle_classes import WAITING
from sim.dram.presets import preset
from tests.host.made_up import leave, partial_row

MODELS = {"tiny-1B": (44_000_000, 22), "large-70B": (855_000_000, 80), "middle-7B": (202_000_000, 32)}
"""Weights of a layer, and layers."""
CAUSES = dict(zip(WAITING, (0.01, 0.03, 0.002, 0.004), strict=True))


def sweep_row(model: str, matrix: str, name: str, memory: str, source: str) -> SweepRow:
    fmt, dram = parse_format(name), preset(memory)
    layer, layers = MODELS[model]
    weights = layer * layers if matrix == "model" else layer if matrix == "layer" else layer // 9
    loss = 1 + 100_000 / layer * (0.1 if name == "fp16" else 1)
    bits = fmt.bits_per_weight
    cycles = round(weights * bits / 512 * loss / (1 - sum(CAUSES.values())))
    causes = {cause: round(cycles * share) for cause, share in CAUSES.items()}
    return partial_row(SweepRow, **{
            "model": model, "matrix": matrix, "format": name, "memory": memory, "bus_bits": 512, "cycles": cycles,
            "beats": cycles - sum(causes.values()), **causes, "bytes": weights * bits / 8, "bytes_per_weight": bits / 8,
            "weights_per_cycle": weights / cycles, "speedup": 16 / bits / (1 + 100_000 / layer) * (1 + 10_000 / layer),
            "limit_fraction": 0.99 / loss,
            "tokens_per_s": dram.fabric_mhz * 1e6 / cycles if dram.fabric_mhz and matrix == "model" else None,
            "clock_mhz": dram.fabric_mhz, "model_cycles": cycles + 7, "model_deviation": 7 / cycles, "bit_exact": True,
            "source": source, "weights": weights})


def rows_of_a_sweep() -> list[SweepRow]:
    return [sweep_row(model, matrix, name, memory, "model" if matrix == "model" else source)
            for memory, source in (("ddr4-2400", "rtl"), ("hbm2", "model")) for model in MODELS
            for matrix in ("q_proj", "layer", "model") for name in ("fp16", "int4", "seedlm4", "seedlm3")]


@pytest.fixture
def sweep_rows() -> list[SweepRow]:
    """A sweep of three models, not in the order of their sizes, over two memories: one from RTL, one from the model."""
    return rows_of_a_sweep()


@pytest.fixture(scope="session")
def sweep_charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two charts of that sweep."""
    folder = tmp_path_factory.mktemp("charts")
    for name, chart in (("speedup", speedup_by_model), ("cycles-ddr4-2400", cycles_by_cause)):
        figure = chart([row for row in rows_of_a_sweep() if row.memory == "ddr4-2400"])
        assert figure is not None
        save(figure, folder, name)
    return folder


@pytest.fixture
def reports(tmp_path: Path, sweep_rows: list[SweepRow], sweep_charts: Path) -> Path:
    """A build folder with a sweep and its charts, an area, two of place and route, and one of no known kind."""
    build = tmp_path / "build"
    leave(build, "sweep", [row.record() for row in sweep_rows],
          {"memory": "ddr4-2400", "formats": ["fp16", "seedlm4"], "nested": {"bits": 3}})
    shutil.copytree(sweep_charts, build / "sweep", dirs_exist_ok=True)
    area = {"bus_bits": 512, "ff": 9, "dsp": 8, "bram": 7.5, "luts_per_weight": 100.4}
    leave(build, "area", [{**area, "engine": "seedlm4-128dsp", "block": block, "lut": lut, "source": "synthesised"}
                          for block, lut in (("MAC", 900), ("total", 12_800))]
          + [{**area, "engine": "paper, 4 bits", "block": "total", "lut": 67_000, "source": "published"}], {})
    for name, fmax in (("seedlm4-512", 101.25), ("fp16-512", 70.5)):
        leave(build, f"pnr/{name}", [{"config": name, "target_mhz": 100, "fmax_mhz": fmax, "lut4": 61_000, "ff": 40_000,
                                      "dsp": 128, "bram": 60, "lut4_fraction": 0.73, "seed": 1, "routed": True,
                                      "met": fmax >= 100, "critical_path": {"start": "a"}}], {"config": name})
    leave(build, "board", [{"part": "<script>alert(1)</script> & \"quotes\"", "volts": 3.3, "pins": 48, "odd": None}],
          {"name": "<b>bold</b>"})
    return build

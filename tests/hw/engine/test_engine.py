"""The whole engine: exact results for every format, shape and memory, on both simulators."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.product import product
from golden.spec import (
    FP16,
    INT3,
    INT4,
    INT8,
    SEEDLM3,
    SEEDLM4,
    SEEDLM4R,
    SEEDLM4X,
    TRELLIS2,
    TRELLIS3,
    TRELLIS4,
    WeightFormat,
)
from host.device.driver import Counters, Driver
from hw.config import EngineConfig
from hw.pipelining import FAST
from hw.registers.cycle_classes import CYCLE_CLASSES
from sim.device.cocotb_device import open_device
from sim.device.random_operands import finite_halves, random_matrix, random_weights
from sim.dram.memory import QUEUE_LATENCY
from tests.hw.stages import ECP5, ODD

# One row, one column, neither a multiple of anything, a long last group of integers, and enough rows that results wait
# for memory.
SHAPES = ((1, 1), (1, 77), (130, 1), (37, 61), (5, 245), (64, 256))
SMALL_SHAPES = ((1, 1), (1, 37), (18, 1), (3, 150), (20, 32))


def _small(fmt: WeightFormat, bus_bits: int, act_bits: int = 16) -> EngineConfig:
    return EngineConfig(fmt, bus_bits, max_rows=256, max_cols=256, latency=64, write_beats=4, act_bits=act_bits)


def _side_by_side(fmt: WeightFormat, bus_bits: int, **options: Any) -> EngineConfig:
    """A small engine with two results a cycle."""
    return replace(_small(fmt, bus_bits), results_per_cycle=2, **options)


SHORT_ROWS = _side_by_side(SEEDLM4, 128, max_rows=4096, write_beats=32)


def _explained(counters: Counters) -> int:
    """Cycles of all classes."""
    return sum(getattr(counters, name) for name in CYCLE_CLASSES)


def _ids(value: Any) -> Any:
    if not isinstance(value, EngineConfig):
        return value
    return f"{value.name}-{value.bus_bits}-{value.act_bits}{'-fast' * (value.pipelining == FAST)}" + (
        f"-r{value.results_per_cycle}" if value.results_per_cycle > 1 else "")


@pytest.mark.parametrize(("config", "memory", "simulator"), [
    (_small(SEEDLM4, 64), "ddr4-2400", "verilator"),
    (_small(SEEDLM3, 128), "paper", "verilator"),
    (_small(SEEDLM4X, 128), "ddr4-2400", "verilator"),
    (_small(SEEDLM4R, 64), "ddr4-2400", "verilator"),
    (_side_by_side(SEEDLM4R, 128, **ECP5), "ideal", "verilator"),
    (_small(FP16, 64), "ddr3-1600", "verilator"),
    (_small(ODD, 32), "ideal", "verilator"),
    (_small(SEEDLM4, 64, 8), "ddr4-2400", "verilator"),
    (_small(INT4, 64), "ddr4-2400", "verilator"),
    (_small(INT8, 64), "ideal", "verilator"),
    (_small(INT4, 128, 8), "paper", "verilator"),
    (_small(TRELLIS4, 64), "ddr4-2400", "verilator"),
    (replace(_small(TRELLIS3, 128), **ECP5), "ideal", "verilator"),
    (replace(_small(SEEDLM3, 64), **ECP5), "ddr4-2400", "verilator"),
    (replace(_small(FP16, 512), **ECP5), "ddr4-2400", "verilator"),
    (SHORT_ROWS, "ddr4-2400", "verilator"),
    (_small(SEEDLM4, 32), "ddr4-2400", "icarus"),
    (_side_by_side(INT4, 64, **ECP5), "ideal", "icarus"),
    (_small(SEEDLM3, 32), "ideal", "icarus"),
    (_small(INT4, 32), "ideal", "icarus"),
    (_small(INT3, 32), "ideal", "icarus"),
    (_small(TRELLIS2, 32), "ideal", "icarus"),
    (_small(FP16, 32), "ideal", "icarus"),
], ids=_ids)
def test_products_are_bit_exact(config: EngineConfig, memory: str, simulator: str) -> None:
    rng = np.random.default_rng(2024)
    with open_device(config, memory, 1 << 18, simulator) as device:
        driver = Driver(device, config)
        shapes = SMALL_SHAPES if simulator == "icarus" else SHAPES
        products = [(random_weights(config.fmt, rows, cols, rng), finite_halves(rng, cols)) for rows, cols in shapes]
        # In the chain, small matrices follow large ones and each other, and two have the vector of the one before.
        rows, cols = shapes[-1]
        chain = [*products, products[0], products[-1], (random_weights(config.fmt, 3, cols, rng), products[-1][1]),
                 (random_weights(config.fmt, rows + 6, cols, rng), products[-1][1]),
                 products[0], products[0], products[1]]
        for runs in (*([one] for one in products), chain, chain[::-1]):
            done = driver.run(driver.load(*runs))
            for (weights, x), y in zip(runs, done.results, strict=True):
                assert y.tobytes() == product(weights, x, config.act_bits).tobytes(), weights.shape
            assert _explained(done.counters) == done.counters.cycles
            assert done.counters.bytes_read == done.counters.beats * config.bus_bytes


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3, INT4, TRELLIS4, FP16], ids=lambda fmt: fmt.name)
def test_the_widest_and_the_tallest_matrix(fmt: WeightFormat) -> None:
    """Of an engine of default size, in one chain: what counts rows, blocks and beats runs to its end."""
    config, rng = EngineConfig(fmt, 64), np.random.default_rng(11)
    with open_device(config, "ideal", 1 << 24, "verilator") as device:
        driver = Driver(device, config)
        products = [(random_weights(fmt, rows, cols, rng), finite_halves(rng, cols))
                    for rows, cols in ((3, config.max_cols), (config.max_rows, 1), (1, config.max_cols - 1))]
        done = driver.run(driver.load(*products))
    for (weights, x), y in zip(products, done.results, strict=True):
        assert y.tobytes() == product(weights, x).tobytes(), weights.shape


def test_short_rows_at_the_rate_of_memory() -> None:
    """On a memory that gives a word every cycle, reads and writes together. A group of 16 columns takes 2 beats of 128
    bits, and its 4 results pass the drain in as many cycles. It is so with 64 columns and 512 bits: 8 beats and 16
    results."""
    config, cols, rng = SHORT_ROWS, 16, np.random.default_rng(3)
    with open_device(config, "ideal", 1 << 18, "verilator") as device:
        driver = Driver(device, config)
        taken, words = [], []
        for rows in (1024, 3072):
            weights, x = random_weights(SEEDLM4, rows, cols, rng), finite_halves(rng, cols)
            done = driver.multiply(weights, x)
            assert done.y.tobytes() == product(weights, x).tobytes()
            taken.append(done.counters.cycles)
            words.append(done.counters.beats + done.counters.bytes_written // config.bus_bytes)
    assert words[1] - words[0] >= 0.95 * (taken[1] - taken[0])


START_UP = 32
"""Cycles at most, beyond the memory's own latency, from the start to the first weight."""
BETWEEN = 20
"""Cycles at most that are lost between one matrix of a chain and the next."""


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3, INT4, FP16], ids=lambda fmt: fmt.name)
def test_little_is_lost_at_the_start_and_between_matrices(fmt: WeightFormat) -> None:
    """On a memory that gives a word every cycle, reads and writes together."""
    config, rng = replace(_small(fmt, 64), max_cols=512), np.random.default_rng(5)
    with open_device(config, "ideal", 1 << 20, "verilator") as device:
        driver = Driver(device, config)

        def run(matrices: int, rows: int, cols: int) -> tuple[Counters, int]:
            """Counters of a chain, and its words read and written."""
            counters = driver.run(driver.load(*((random_weights(fmt, rows, cols, rng), finite_halves(rng, cols))
                                                for _ in range(matrices)))).counters
            assert _explained(counters) == counters.cycles
            return counters, counters.beats + counters.bytes_written // config.bus_bytes

        # With one group of rows, the engine waits for nothing any more once the first weight has come.
        counters, _ = run(1, 1, 128)
        latency = QUEUE_LATENCY + device.dram.read_latency(config.bus_bits)
        assert counters.starved + counters.stalled <= latency + START_UP
        (few, few_words), (many, many_words) = (run(count, 48, 512) for count in (2, 5))
        assert (many.cycles - few.cycles) - (many_words - few_words) <= 3 * BETWEEN


def test_an_infinite_activation_is_reported_by_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    config = _small(SEEDLM4, 64)
    monkeypatch.setattr("host.device.driver.require_finite", lambda values, what: values)
    with open_device(config, "ddr4-2400", 1 << 18, "verilator") as device:
        weights = random_matrix(SEEDLM4, 4, 16, np.random.default_rng(1))
        with pytest.raises(Exception, match="NaN or infinite"):
            Driver(device, config).multiply(weights, np.full(16, np.inf, dtype=np.float16))

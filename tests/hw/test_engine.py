"""The whole engine: exact results for every format, shape and memory, on both simulators."""

import numpy as np
import pytest

from golden.product import product
from golden.spec import INT4, SEEDLM3, SEEDLM4, BlockFormat
from host.driver import Driver
from host.image import activation_image, weight_image
from hw.config import EngineConfig
from hw.engine_pins import EnginePins
from sim.data import finite_halves
from sim.device import SimDevice
from sim.random_matrix import random_matrix, random_weights
from sim.runner import build, run
from sim.toolchain import SIMULATORS

ODD = BlockFormat(c=5, p=2, k=7, coef_bits=3)
# One row, one column, neither a multiple of anything, and enough rows that results wait for memory.
SHAPES = ((1, 1), (1, 77), (130, 1), (37, 61), (64, 256))


def _small(fmt, bus_bits, act_bits=16):
    return EngineConfig(fmt, bus_bits, max_rows=256, max_cols=256, outstanding=4, write_beats=4, act_bits=act_bits)


def _ids(value):
    return f"{value.name}-{value.bus_bits}-{value.act_bits}" if isinstance(value, EngineConfig) else value


@pytest.mark.parametrize(("config", "memory", "simulator"), [
    (_small(SEEDLM4, 64), "ddr4-2400", "verilator"),
    (_small(SEEDLM3, 128), "paper", "verilator"),
    (_small(None, 64), "ddr3-1600", "verilator"),
    (_small(ODD, 32), "ideal", "verilator"),
    (_small(SEEDLM4, 64, 8), "ddr4-2400", "verilator"),
    (_small(INT4, 64), "ddr4-2400", "verilator"),
    (_small(INT4, 128, 8), "paper", "verilator"),
    (_small(SEEDLM4, 64), "ddr4-2400", "icarus"),
    (_small(SEEDLM3, 64), "ideal", "icarus"),
    (_small(INT4, 32), "ideal", "icarus"),
    (_small(None, 64), "ideal", "icarus"),
], ids=_ids)
def test_products_are_bit_exact(config, memory, simulator):
    rng = np.random.default_rng(2024)
    with SimDevice(config, memory, 1 << 18, simulator) as device:
        driver = Driver(device, config)
        for rows, cols in SHAPES:
            weights = random_weights(config.fmt, rows, cols, rng)
            x = finite_halves(rng, cols)
            done = driver.multiply(weights, x)
            assert done.y.tobytes() == product(weights, x, config.act_bits).tobytes(), f"{rows} x {cols}"
            counters = done.counters
            assert counters.beats + counters.starved + counters.stalled <= counters.cycles
            assert counters.bytes_read == counters.beats * config.bus_bytes


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("config", [_small(SEEDLM4, 64), _small(INT4, 64), _small(None, 64)], ids=_ids)
def test_axi_as_others_see_it(config, simulator):
    rng = np.random.default_rng(7)
    cases = []
    for rows, cols in ((1, 1), (7, 30), (40, 20)):
        weights, x = random_weights(config.fmt, rows, cols, rng), finite_halves(rng, cols)
        cases.append((weights, weight_image(weights, config), activation_image(x, config), x))
    run(build(EnginePins, config, simulator=simulator), "sim.testbenches.tb_engine_axi", (config, cases))


def test_an_infinite_activation_is_reported_by_the_hardware(monkeypatch):
    config = _small(SEEDLM4, 64)
    monkeypatch.setattr("host.driver.require_finite", lambda values, what: values)
    with SimDevice(config, "ddr4-2400", 1 << 18, "verilator") as device:
        weights = random_matrix(SEEDLM4, 4, 16, np.random.default_rng(1))
        with pytest.raises(Exception, match="NaN or infinite"):
            Driver(device, config).multiply(weights, np.full(16, np.inf, dtype=np.float16))

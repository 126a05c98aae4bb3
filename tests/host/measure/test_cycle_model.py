"""The cycle model against RTL, on the simulators of tests/sim/device/test_native_device.py."""

from dataclasses import asdict, fields, replace
from functools import cache

import numpy as np
import pytest

from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, WeightFormat
from host.device.driver import Counters, Driver
from host.measure.cycle_model import Step, predict
from host.packing.image import activation_bytes
from hw.config import EngineConfig
from hw.pipelining import FAST, LEAN, Pipelining
from hw.registers.cycle_classes import CYCLE_CLASSES, WAITING
from sim.device.cocotb_device import SimDevice
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights
from sim.dram.presets import PRESETS, preset

CHAINS = (
    [Step(256, 1024)] * 3,
    [Step(192, 768), Step(64, 768, True), Step(64, 768, True), Step(250, 520), Step(256, 1000)] * 2,
    [Step(256, 512), Step(130, 1024)] * 4,
)
PHASES = 4
TOLERANCE = 1e-3


def run(driver: Driver, steps: list[Step], rng: np.random.Generator, fmt: WeightFormat,
        ) -> list[Counters]:
    """Counters of a chain in RTL, from everywhere in the interval between refreshes."""
    chain, x = [], np.zeros(0, np.float16)
    for step in steps:
        x = x if step.shares else finite_halves(rng, step.cols)
        chain.append((random_weights(fmt, step.rows, step.cols, rng), x))
    loaded, counters = driver.load(*chain), []
    for phase in range(PHASES):
        driver._device.align(phase / PHASES)  # type: ignore[attr-defined]
        counters.append(driver.run(loaded).counters)
    return counters


@pytest.mark.parametrize(("fmt", "memory", "bus_bits"), [
    (FP16, "ddr4-2400", 64), (INT4, "ddr4-2400", 64), (SEEDLM4, "ddr4-2400", 64), (SEEDLM3, "ddr4-2400", 64),
    (SEEDLM4, "paper", 32)], ids=str)
def test_cycles_are_those_of_rtl(fmt: WeightFormat, memory: str, bus_bits: int) -> None:
    config, rng = EngineConfig(fmt, bus_bits, max_rows=256, max_cols=1024), np.random.default_rng(1)
    with NativeDevice(config, memory) as device:
        driver = Driver(device, config)
        for steps in CHAINS:
            counters, model = run(driver, steps, rng, fmt), predict(config, preset(memory), steps)
            cycles = sum(each.cycles for each in counters) / PHASES
            assert abs(model.cycles / cycles - 1) < TOLERANCE, (steps, model, counters)
            assert (model.beats, model.bytes_read) == (counters[0].beats, counters[0].bytes_read)
            assert model.bytes_written == counters[0].bytes_written
            # Causes are shares of all cycles, to half a percent of these.
            for cause in WAITING:
                found = sum(getattr(each, cause) for each in counters) / PHASES
                assert abs(getattr(model, cause) - found) < 5e-3 * cycles, cause


@pytest.mark.parametrize("memory", PRESETS)
@pytest.mark.parametrize("fmt", [FP16, INT4, SEEDLM4, SEEDLM3], ids=str)
def test_its_counters_add_up(fmt: WeightFormat, memory: str) -> None:
    config, dram = EngineConfig(fmt), preset(memory)
    model = predict(config, dram, [Step(4096, 4096), Step(1024, 4096, True)])
    assert model.cycles == sum(getattr(model, name) for name in CYCLE_CLASSES)
    assert min(asdict(model).values()) >= 0
    assert (model.refresh > 0) == bool(dram.t_refi and not dram.t_refi_bank)
    # What the memory can give at best, and not much more than that.
    moved = (model.bytes_read + model.bytes_written) / config.bus_bytes
    assert 0.98 < moved / (dram.sequential_limit * dram.word_rate(config.bus_bits) * model.cycles) < 1
    # The first matrix' vector is read once.
    assert predict(config, dram, [Step(4096, 4096), Step(1024, 4096)]).beats - model.beats == (
        activation_bytes(config, 4096) // config.bus_bytes)


def test_a_longer_row_takes_its_beats_more() -> None:
    config, dram = EngineConfig(SEEDLM4), preset("ideal")
    short, long = (predict(config, dram, [Step(512, cols)]).cycles for cols in (4096, 8192))
    assert long - short == 512 * 4096 * 4 / 512 + 4096 * 2 / 64


ONE_DEEPER = {
    SEEDLM4: ("read", "descriptor", "buffer", "store", "align", "words", "join", "numerators", "mac", "drain",
    "normalise",
              "scale", "results"),
    SEEDLM3: ("unpacker",),
    FP16: ("product",),
}
"""The stages that may have a register more, each with a format whose engine has the stage."""


@cache
def tiny_chain(fmt: WeightFormat, pipelining: Pipelining, shares: bool = False) -> tuple[int, int]:
    """Cycles of a chain of two products of a single weight each, in RTL and by the model.

    The memory answers at once and never rests, so that nothing hides a stage's latency; but the second product waits
    for its vector, or, where it ``shares`` that of the first, for its weights.
    """
    config = EngineConfig(fmt, 32, max_rows=16, max_cols=64, latency=16, write_beats=2, pipelining=pipelining)
    rng, steps = np.random.default_rng(1), [Step(1, 1), Step(1, 1, shares)]
    with SimDevice(config, "ideal", 1 << 16, "icarus") as device:
        driver = Driver(device, config)
        vectors = [finite_halves(rng, 1) for _ in range(2 - shares)]
        found = driver.run(driver.load(*((random_weights(fmt, 1, 1, rng), vectors[-n]) for n in (0, 1))))
    return found.counters.cycles, predict(config, preset("ideal"), steps).cycles


@pytest.mark.parametrize(("fmt", "stage"), [(fmt, stage) for fmt, stages in ONE_DEEPER.items() for stage in stages],
                         ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_register_more_in_any_stage_is_a_cycle_more_in_rtl_and_in_the_model(fmt: WeightFormat, stage: str) -> None:
    shares = stage == "unpacker"  # on the way of the weights alone
    rtl, model = tiny_chain(fmt, FAST, shares)
    assert model == rtl
    deeper_rtl, deeper_model = tiny_chain(fmt, replace(FAST, **{stage: 2}), shares)
    assert deeper_rtl > rtl
    assert deeper_model == deeper_rtl


def test_every_stage_is_made_deeper() -> None:
    assert sorted(stage for stages in ONE_DEEPER.values() for stage in stages) == sorted(
        field.name for field in fields(Pipelining) if field.name != "apart")


@pytest.mark.parametrize("fmt", ONE_DEEPER, ids=lambda fmt: fmt.name)
def test_a_lean_engine_takes_what_its_stages_publish(fmt: WeightFormat) -> None:
    rtl, model = tiny_chain(fmt, LEAN)
    assert model == rtl

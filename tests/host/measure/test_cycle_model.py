"""The cycle model against RTL, on the simulators of tests/sim/device/test_native_device.py."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.spec import FP16, INT3, INT4, INT8, SEEDLM3, SEEDLM4, SEEDLM4R, WeightFormat
from host.device.arena import Loaded
from host.device.driver import Counters, Driver
from host.measure import cycle_model
from host.measure.cycle_model import COMPARED, CYCLES, TOLERANCE, Step, predict, predict_runs, tolerance
from host.packing.image import activation_bytes
from hw.config import EngineConfig
from hw.pipelining import FAST, LEAN, Pipelining
from hw.registers.cycle_classes import CYCLE_CLASSES
from sim.device.cocotb_device import SimDevice
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights
from sim.dram.presets import PRESETS, VARIANTS, preset

CHAINS = (
    [Step(256, 1024)] * 3,
    [Step(192, 768), Step(64, 768, True), Step(64, 768, True), Step(250, 520), Step(256, 1000)] * 2,
    [Step(256, 512), Step(130, 1024)] * 4,
    [Step(1, 1)],
    [Step(1, 1000), Step(256, 1)],
    [Step(1, 1), Step(1, 1, True), Step(3, 5)] * 4,
    [Step(35, 1), Step(1, 1, True), Step(1, 1)],  # all reads end while results of the first product are on their way
    [Step(100, 5), Step(4, 5, True), Step(3, 100), Step(5, 64), Step(70, 1), Step(3, 16), Step(2, 16, True)],
    [Step(256, 64), Step(17, 64, True), Step(3, 30), Step(200, 24), Step(5, 1000)],
)
NARROW = ((FP16, "ddr4-2400", 64), (INT4, "ddr4-2400", 64), (SEEDLM4, "ddr4-2400", 64), (SEEDLM3, "ddr4-2400", 64),
          (SEEDLM4, "paper", 32))
"""Engines and memories for which tests/sim/device/test_native_device.py builds simulators."""
WIDE = ((FP16, "ideal"), (INT8, "hbm2"), (INT4, "lpddr5-6400"), (INT3, "ddr3-1600"), (SEEDLM4, "ddr4-2400"),
        (SEEDLM4, "lpddr5-6400"), (SEEDLM4, "lpddr4-2400-perbank"), (SEEDLM3, "ddr4-3200"), (SEEDLM3, "sdram-133"))
PHASES = (0, 0.25, 0.5, 0.75)


def small(fmt: WeightFormat, bus_bits: int) -> EngineConfig:
    return EngineConfig(fmt, bus_bits, max_rows=256, max_cols=1024)


def loaded(driver: Driver, fmt: WeightFormat, steps: list[Step]) -> Loaded:
    """A chain of random products in the device's memory."""
    rng, chain, x = np.random.default_rng(1), [], np.zeros(0, np.float16)
    for step in steps:
        x = x if step.shares else finite_halves(rng, step.cols)
        chain.append((random_weights(fmt, step.rows, step.cols, rng), x))
    return driver.load(*chain)


def run(device: NativeDevice, driver: Driver, steps: list[Step], phases: Sequence[float]) -> list[Counters]:
    """Counters of a chain in RTL, from these points of the interval between refreshes."""
    chain, counters = loaded(driver, driver._config.fmt, steps), []
    for phase in phases:
        device.align(phase)
        counters.append(driver.run(chain).counters)
    return counters


@pytest.mark.parametrize(("fmt", "memory", "bus_bits"), [
    *NARROW, (INT3, "lpddr5-6400", 64), (SEEDLM4R, "ddr4-2400", 64)], ids=str)
def test_cycles_are_those_of_rtl(fmt: WeightFormat, memory: str, bus_bits: int) -> None:
    """Every counter, in every run, from reset on."""
    config = small(fmt, bus_bits)
    for steps in CHAINS:
        with NativeDevice(config, memory) as device:
            found = run(device, Driver(device, config), steps, PHASES)
        assert predict_runs(config, preset(memory), steps, PHASES) == found, steps


@st.composite
def chains(draw: st.DrawFn, max_rows: int, max_cols: int) -> list[Step]:
    """Chains of up to six products: small numbers, great ones, and what lies next to powers of two."""
    def size(most: int) -> st.SearchStrategy[int]:
        edges = [1 << n for n in range(most.bit_length())]
        return st.one_of(st.integers(1, 9), st.integers(1, most), st.sampled_from(
            sorted({min(max(edge + step, 1), most) for edge in edges for step in (-1, 0, 1)})))

    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 6))):
        shares = bool(steps) and draw(st.booleans())
        steps.append(Step(draw(size(max_rows)), steps[-1].cols if shares else draw(size(max_cols)), shares))
    return steps


def agree(config: EngineConfig, memory: str, steps: list[Step], found: list[Counters]) -> None:
    """The model's mean is as near to the mean that was found as it says."""
    model = predict_runs(config, preset(memory), steps, PHASES)
    cycles, predicted = (sum(each.cycles for each in runs) / len(PHASES) for runs in (found, model))
    share = tolerance(config, preset(memory), steps)
    assert abs(predicted - cycles) <= max(CYCLES, share * cycles), (steps, model, found)
    for one, other in zip(model, found, strict=True):
        assert (one.beats, one.bytes_read, one.bytes_written) == (other.beats, other.bytes_read, other.bytes_written)


def check_any_chain(config: EngineConfig, memory: str, examples: int, rows: int, cols: int) -> None:
    """Chains drawn at random, each on a device fresh from reset: the rows that are open at first matter."""
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(chains(rows, cols))
    def check(steps: list[Step]) -> None:
        with NativeDevice(config, memory) as device:
            found = run(device, Driver(device, config), steps, PHASES)
        agree(config, memory, steps, found)

    check()


@pytest.mark.parametrize(("fmt", "memory", "bus_bits"), [*NARROW, (INT3, "lpddr5-6400", 64)], ids=str)
def test_cycles_of_any_chain(fmt: WeightFormat, memory: str, bus_bits: int) -> None:
    check_any_chain(small(fmt, bus_bits), memory, 12, 256, 1024)


@pytest.mark.wide
@pytest.mark.parametrize("pipelining", [LEAN, FAST], ids=["lean", "fast"])
@pytest.mark.parametrize(("fmt", "memory"), WIDE, ids=str)
def test_cycles_of_any_chain_on_a_wide_bus(fmt: WeightFormat, memory: str, pipelining: Pipelining) -> None:
    check_any_chain(EngineConfig(fmt, 512, pipelining=pipelining), memory, 40, 5000, 5000)


@pytest.mark.wide
@pytest.mark.parametrize("memory", COMPARED)
def test_cycles_on_every_preset(memory: str) -> None:
    """Every counter, in every run, from reset on."""
    config = small(SEEDLM4, 64)
    for steps in ([Step(256, 1024)] * 3, [Step(256, 64)], [Step(35, 1), Step(1, 1, True), Step(1, 1)]):
        with NativeDevice(config, memory) as device:
            found = run(device, Driver(device, config), steps, PHASES)
        assert predict_runs(config, preset(memory), steps, PHASES) == found, steps


def test_it_says_what_it_was_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    config, steps = EngineConfig(SEEDLM4), [Step(4096, 2048)]
    for memory in PRESETS | VARIANTS:
        assert tolerance(config, preset(memory), steps) == (TOLERANCE if memory in COMPARED else 1)
    assert tolerance(config, replace(preset("ddr4-2400"), t_cl=17), steps) == 1
    monkeypatch.setattr(cycle_model, "_MOST_BEATS", 40_000)
    assert tolerance(config, preset("ddr4-2400"), steps) == 1e-3
    assert tolerance(config, preset("lpddr5-6400"), steps) == 3e-3


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
    assert 0.98 < moved / (dram.sequential_limit * dram.word_rate(config.bus_bits) * model.cycles) < 1.001
    # The first matrix' vector is read once.
    assert predict(config, dram, [Step(4096, 4096), Step(1024, 4096)]).beats - model.beats == (
        activation_bytes(config, 4096) // config.bus_bytes)


def test_a_longer_row_takes_its_beats_more() -> None:
    config, dram = EngineConfig(SEEDLM4), preset("ideal")
    short, long = (predict(config, dram, [Step(512, cols)]).cycles for cols in (4096, 8192))
    assert long - short == 512 * 4096 * 4 / 512 + 4096 * 2 / 64


def test_a_long_run_is_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    config, dram = EngineConfig(SEEDLM4), preset("ideal")
    steps = [Step(4096, 2048), Step(1024, 2048, True), Step(5000, 2048, True), Step(2048, 5000)]
    whole = predict(config, dram, steps)
    monkeypatch.setattr(cycle_model, "_MOST_BEATS", 40_000)
    part = predict(config, dram, steps)
    assert part != whole
    assert (part.beats, part.bytes_written) == (whole.beats, whole.bytes_written)
    assert part.cycles == sum(getattr(part, name) for name in CYCLE_CLASSES)
    assert abs(part.cycles / whole.cycles - 1) < 5e-4


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

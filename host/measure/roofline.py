"""Roofline: what every memory delivers at most, and what each engine takes of it in steady state, measured in RTL.

The memory's limit is the rate of a master that does nothing but read. An engine's rate is that of the second half of a
matrix: the difference between a run of all rows and a run of half of them. Start-up and drain cancel out in it; the
writes of results do not.
"""

from collections.abc import Iterator

import numpy as np

from golden.product import product
from golden.spec import parse_format
from host.device.arena import memory_needed
from host.device.driver import Counters, Driver
from host.tables.roofline import RooflineRow
from host.update import Update
from hw.config import EngineConfig
from hw.dma.result_packer import RESULT_BYTES
from sim.device.cocotb_device import open_device
from sim.device.memory_rate import sequential_rate
from sim.device.random_operands import finite_halves, random_weights
from sim.dram.dram import Dram
from sim.dram.presets import preset

__all__ = ["roofline"]

_BEATS = 200_000
"""Beats that half of a matrix takes at least, unless its rows are so short that the engine takes no matrix of as many.
Every memory refreshes itself 60 times or more in them."""


def _run(driver: Driver, config: EngineConfig, rows: int, cols: int) -> tuple[Counters, bool]:
    """Return the counters of one product of random weights, and whether its results are golden's."""
    rng = np.random.default_rng(rows)
    weights, x = random_weights(config.fmt, rows, cols, rng), finite_halves(rng, cols)
    done = driver.multiply(weights, x)
    return done.counters, done.y.tobytes() == product(weights, x, config.act_bits).tobytes()


def _rate(config: EngineConfig, dram: Dram, cols: int, simulator: str) -> tuple[float, float, bool]:
    """Return bytes and weights a cycle in steady state, and whether all results were exact."""
    group = config.blocks(cols) * config.word_bits // config.bus_bits  # beats of a group of rows
    # Rows are whole write bursts, so that the last burst of both runs has the same length.
    burst = max(config.lanes, config.write_beats * config.bus_bytes // RESULT_BYTES)
    half = min(burst * -(-_BEATS * config.lanes // (group * burst)), config.max_rows // 2)
    rows = [half, 2 * half]
    with open_device(config, dram.name, max(memory_needed(config, [(count, cols)]) for count in rows),
                     simulator) as device:
        driver = Driver(device, config)
        (short, short_exact), (long, long_exact) = (_run(driver, config, count, cols) for count in rows)
    cycles = long.cycles - short.cycles
    moved = long.bytes_read + long.bytes_written - short.bytes_read - short.bytes_written
    return moved / cycles, half * cols / cycles, short_exact and long_exact


def roofline(formats: tuple[str, ...], memories: tuple[str, ...], bus_bits: int, cols: int, results_per_cycle: int,
             simulator: str, update: Update) -> Iterator[RooflineRow]:
    """Yield a row for every memory and format as soon as it is measured.

    Parameters
    ----------
    cols : int
        Columns of the matrices.
    results_per_cycle : int
        That of the engines, see :class:`~hw.config.EngineConfig`.

    Raises
    ------
    hw.config.ConfigError
        When there is no engine with so many results a cycle.
    sim.tools.errors.ToolError, sim.tools.errors.SimulationError, host.device.device.DeviceError
        When a memory is unknown, the simulator cannot be built, or a run fails.
    """
    configs = {fmt: EngineConfig(parse_format(fmt), bus_bits, results_per_cycle=results_per_cycle) for fmt in formats}
    done, total = 0, len(memories) * (1 + len(formats))
    for name in memories:
        dram = preset(name)
        update(f"{name}: the memory alone", done, total)
        limit, peak = sequential_rate(dram, bus_bits, simulator), dram.peak_bytes_per_s(bus_bits)
        most = dram.word_rate(bus_bits) * bus_bits / 8
        done += 1
        for fmt, config in configs.items():
            update(f"{name}: {fmt}", done, total)
            moved, weights, exact = _rate(config, dram, cols, simulator)
            done += 1
            yield RooflineRow(
                memory=name, format=fmt, bus_bits=bus_bits, cols=cols, results_per_cycle=results_per_cycle,
                peak_bytes_per_s=peak,
                limit_bytes_per_s=peak and peak * limit, limit_of_peak=limit, achieved_fraction=moved / most / limit,
                peak_fraction=moved / most, weights_per_cycle=weights, bit_exact=exact, source="rtl")

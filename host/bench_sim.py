"""How fast the simulators are: the native one beside cocotb, both under Verilator, on the same work."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from golden.product import product
from golden.spec import parse_format
from host.device import DeviceError
from host.driver import Driver
from host.layout import memory_needed
from host.results import Column, Row
from hw.config import EngineConfig
from sim.data import finite_halves
from sim.device import SimDevice
from sim.native import NativeDevice
from sim.random_matrix import random_weights

__all__ = ["COLUMNS", "Work", "bench_sim"]

COLUMNS: tuple[Column, ...] = (
    ("format", "format", ""), ("path", "path", ""), ("cycles", "cycles a run", ",d"), ("runs", "runs", "d"),
    ("cycles_per_s", "cycles/s", ",.0f"), ("weights_per_s", "weights/s", ",.0f"), ("bit_exact", "exact", ""))


@dataclass(frozen=True)
class Work:
    """A product to run again and again, for some seconds: random weights of any format, (rows, cols)."""

    rows: int
    cols: int
    memory: str
    bus_bits: int
    seconds: float


def bench_sim(name: str, work: Work) -> list[Row]:
    """Measure both paths in the format called ``name``.

    Times are those of runs alone, from the write of the start register until the host has results and counters. A
    first run is not timed, so that builds and first touches stay out.

    Raises
    ------
    host.device.DeviceError
        When the two paths differ in a counter of the run.
    """
    config = EngineConfig(parse_format(name), work.bus_bits)
    rng = np.random.default_rng(1)
    weights, x = random_weights(config.fmt, work.rows, work.cols, rng), finite_halves(rng, work.cols)
    expected, rows, counters = product(weights, x, config.act_bits), [], []
    for path in ("native", "cocotb"):
        with (NativeDevice(config, work.memory) if path == "native" else
              SimDevice(config, work.memory, memory_needed(config, [weights.shape]), "verilator")) as device:
            driver = Driver(device, config)
            loaded = driver.load((weights, x))
            device.align(0)
            counters.append(driver.run(loaded).counters)
            runs, cycles, seconds, exact = 0, 0, 0.0, True
            while not runs or seconds < work.seconds:
                start = perf_counter()
                done = driver.run(loaded)
                seconds += perf_counter() - start
                runs, cycles = runs + 1, cycles + done.counters.cycles
                exact &= done.y.tobytes() == expected.tobytes()
        rows.append({
            "format": name, "path": path, "cycles": counters[-1].cycles, "runs": runs,
            "cycles_per_s": cycles / seconds, "weights_per_s": runs * work.rows * work.cols / seconds,
            "bit_exact": exact})
    if counters[0] != counters[1]:
        raise DeviceError(f"the native simulator counts {counters[0]} in {name}, the one under cocotb {counters[1]}")
    return rows

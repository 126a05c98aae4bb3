"""The speed of the simulators: the native one beside cocotb, both under Verilator, on the same work."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from golden.product import product
from golden.spec import parse_format
from host.device.arena import Loaded, memory_needed
from host.device.device import DeviceError
from host.device.driver import Driver, Product
from host.tables.bench import SimulatorRow
from hw.config import EngineConfig
from sim.device.cocotb_device import SimDevice, SimulatedDevice
from sim.device.native_device import NativeDevice
from sim.device.random_operands import finite_halves, random_weights

__all__ = ["Work", "bench_sim"]


@dataclass(frozen=True)
class Work:
    """A product of random weights to run again and again on each path.

    Parameters
    ----------
    rows, cols : int
        Shape of the weights.
    memory : str
        Memory preset.
    bus_bits : int
    seconds : float
        Time for which each path is measured at least.
    """

    rows: int
    cols: int
    memory: str
    bus_bits: int
    seconds: float


def _timed(device: SimulatedDevice, driver: Driver, loaded: Loaded) -> tuple[float, Product]:
    """Return the seconds from the write of the start register until the host has results and counters, and these."""
    device.align(0)
    start = perf_counter()
    done = driver.run(loaded)
    return perf_counter() - start, done


def bench_sim(name: str, work: Work) -> list[SimulatorRow]:
    """Measure both paths in the format called ``name``.

    Runs of the two alternate, and the fastest of each counts, so that other work on the machine disturbs little. The
    first run of each is not timed, as it includes the build and the first touch of memory.

    Raises
    ------
    host.device.device.DeviceError
        When the two paths differ in a counter.
    """
    config = EngineConfig(parse_format(name), work.bus_bits)
    rng = np.random.default_rng(1)
    weights, x = random_weights(config.fmt, work.rows, work.cols, rng), finite_halves(rng, work.cols)
    expected = product(weights, x, config.act_bits).tobytes()
    with (NativeDevice(config, work.memory) as native,
          SimDevice(config, work.memory, memory_needed(config, [weights.shape]), "verilator") as cocotb):
        devices: dict[str, SimulatedDevice] = {"native": native, "cocotb": cocotb}
        drivers = {path: Driver(device, config) for path, device in devices.items()}
        loaded = {path: driver.load((weights, x)) for path, driver in drivers.items()}
        times: dict[str, list[float]] = {path: [] for path in devices}
        exact = dict.fromkeys(devices, True)
        counters = _timed(native, drivers["native"], loaded["native"])[1].counters
        _timed(cocotb, drivers["cocotb"], loaded["cocotb"])
        while not times["native"] or min(map(sum, times.values())) < work.seconds:
            for path, device in devices.items():
                seconds, done = _timed(device, drivers[path], loaded[path])
                times[path].append(seconds)
                exact[path] &= done.y.tobytes() == expected
                if done.counters != counters:
                    raise DeviceError(f"in {name} the native simulator counts {counters}, and a run of "
                                      f"{path} {done.counters}")
    cycles = counters.cycles
    return [SimulatorRow(format=name, path=path, cycles=cycles, runs=len(times[path]),
                         cycles_per_s=cycles / min(times[path]), weights_per_s=work.rows * work.cols / min(times[path]),
                         bit_exact=exact[path]) for path in devices]

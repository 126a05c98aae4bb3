"""The engine above 2**40: registers, descriptors, operands and results, also across the carries into the upper half of
an address, on both simulators."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.product import product
from golden.spec import FP16, SEEDLM4, WeightFormat
from host.device.arena import memory_needed
from host.device.device import DeviceError
from host.device.driver import Driver
from hw.config import EngineConfig
from hw.registers.register_map import OFFSETS
from sim.device.cocotb_device import SimulatedDevice, open_device
from sim.device.random_operands import finite_halves, random_weights

PAGE = 4096
BORDER = 3 << 40
"""An address below which the lower 32 bits are all 1 and the upper ones are 2**40 - 1 + 2**41."""
REACH = 64 * PAGE
"""Memory below the border."""
SHAPES = {"verilator": ((1100, 16), (3, 2100), (5, 2100)), "icarus": ((60, 160), (3, 10), (2, 10))}
"""On Verilator, each kind of region is two pages or more of some matrix; on Icarus, the first weights are."""


class From:
    """A device of whose memory only that from ``memory_base`` on is used."""

    def __init__(self, device: SimulatedDevice, memory_base: int) -> None:
        self._device, self.memory_base = device, memory_base
        self.memory_bytes = device.memory_base + device.memory_bytes - memory_base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


def opened(fmt: WeightFormat, addr_bits: int, simulator: str, base: int) -> SimulatedDevice:
    """A device with a small engine, whose memory begins at ``base``."""
    config = EngineConfig(fmt, 32, addr_bits=addr_bits, max_rows=2048, max_cols=4096, latency=64, write_beats=4)
    if simulator == "icarus":
        config = replace(config, max_rows=64, max_cols=256)
    return open_device(config, "ideal", 1 << 20, simulator, base)


def chain(device: SimulatedDevice, simulator: str) -> Iterator[tuple[Any, np.ndarray]]:
    """Random products, the last of which has the vector of the one before."""
    rng, x = np.random.default_rng(5), np.zeros(0, np.float16)
    for rows, cols in SHAPES[simulator]:
        x = x if len(x) == cols else finite_halves(rng, cols)
        yield random_weights(device.config.fmt, rows, cols, rng), x


@pytest.mark.parametrize(("fmt", "addr_bits", "simulator"), [
    (SEEDLM4, 48, "verilator"), (FP16, 64, "verilator"), (SEEDLM4, 64, "icarus"), (FP16, 48, "icarus")],
    ids=lambda value: value.name if value in (FP16, SEEDLM4) else str(value))
def test_regions_on_both_sides_of_a_carry(fmt: WeightFormat, addr_bits: int, simulator: str) -> None:
    """The border lies at each page of the chain in turn (on Icarus, within the first weights). An address of which any
    bit is lost is answered with an error, as there is no memory elsewhere."""
    with opened(fmt, addr_bits, simulator, BORDER - REACH) as device:
        products = list(chain(device, simulator))
        expected = [product(*operands).tobytes() for operands in products]
        pages = memory_needed(device.config, [weights.shape for weights, _ in products]) // PAGE
        crossed = set()
        for below in range(pages + 1) if simulator == "verilator" else (2,):
            driver = Driver(From(device, BORDER - below * PAGE), device.config)
            loaded = driver.load(*products)
            regions = [region for placed in loaded.matrices for region in placed.regions(device.config.bus_bytes)]
            crossed |= {name for name, start, size in regions if start < BORDER < start + size}
            assert [y.tobytes() for y in driver.run(loaded).results] == expected, below
    assert crossed == ({"weights"} if simulator == "icarus" else {"weights", "activations", "results"})


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_the_last_page_of_the_address_space(simulator: str) -> None:
    """Memory may end where addresses do; beyond it, nothing wraps."""
    base = (1 << 64) - (1 << 20)
    with opened(FP16, 64, simulator, base) as device:
        weights, x = next(chain(device, "icarus"))
        need = memory_needed(device.config, [weights.shape]) - PAGE
        driver = Driver(From(device, (1 << 64) - need), device.config)
        done = driver.multiply(weights, x)
        assert done.y.tobytes() == product(weights, x).tobytes()


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_an_error_is_reported_with_all_of_its_address(simulator: str) -> None:
    """Reads below the memory, 2**40 away from it, are errors of memory; a next run is exact."""
    with opened(FP16, 48, simulator, BORDER) as device:
        weights, x = next(chain(device, "icarus"))
        driver = Driver(device, device.config)
        loaded = driver.load((weights, x))
        words = loaded.matrices[0].words
        right = words["WEIGHT_ADDR_HI"]
        words["WEIGHT_ADDR_HI"] -= 1 << 8
        wrong = BORDER - (1 << 40) + words["WEIGHT_ADDR"]
        with pytest.raises(DeviceError, match=rf"memory answered a read with an error \(address {wrong:#x}, weights"):
            driver.run(loaded)
        address = [device.read_register(OFFSETS[name]) for name in ("ERROR_ADDR", "ERROR_ADDR_HI")]
        assert address == [wrong % (1 << 32), wrong >> 32]
        words["WEIGHT_ADDR_HI"] = right
        assert driver.run(loaded).results[0].tobytes() == product(weights, x).tobytes()

"""Runs of the simulated engine from several points of the memory's refresh interval."""

from host.device.arena import Loaded
from host.device.driver import Driver, Product
from host.measure.cycle_model import PHASES
from sim.device.cocotb_device import SimulatedDevice

__all__ = ["products_over_phases"]


def products_over_phases(device: SimulatedDevice, driver: Driver, loaded: Loaded) -> list[Product]:
    """Run what is loaded, and return what each run gave.

    There is one run, or :data:`PHASES` of them when it is short. A run with a waveform is not repeated, as the file
    would be huge.
    """
    device.align(0)
    products = [driver.run(loaded)]
    if products[0].counters.cycles < PHASES * device.dram.refresh_interval and not device.waves:
        for phase in range(1, PHASES):
            device.align(phase / PHASES)
            products.append(driver.run(loaded))
    return products

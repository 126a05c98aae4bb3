"""A product on a device: it is loaded, verified, run, and compared with golden and with a run of another bitstream."""

from functools import partial
from pathlib import Path

import numpy as np

from golden.product import product
from golden.spec import WeightFormat
from host.device.device import DeviceError
from host.device.driver import Driver, check_shape, mean
from host.device.identity import found_engine
from host.device.names import HardwareDevice
from host.json_reader import read_json
from host.measure.matrices import SIGMA, Matrix, prepared
from host.tables.board import BoardRow
from host.update import Update
from hw.registers.cycle_classes import WAITING

__all__ = ["baseline_cycles", "run"]


def baseline_cycles(path: Path, rows: int, cols: int) -> int | None:
    """Return the cycles of the same product in an earlier report; None when that is of another shape, or missing.

    Raises
    ------
    UserError
        When the file is there but no report.
    """
    if not path.exists():
        return None
    results = read_json(path, "give a report of `seedlm-fpga run` with --baseline, or remove it")["results"]
    if len(found := results.elements()) != 1:
        results.refuse(f"has {len(found)} rows in place of one")
    row, = found
    return row["cycles"].whole(1) if (row["rows"].whole(), row["cols"].whole()) == (rows, cols) else None


def run(device: HardwareDevice, fmt: WeightFormat | None, rows: int, cols: int, runs: int, update: Update) -> BoardRow:
    """Run the product of a Gaussian matrix and vector; the row has the mean of ``runs`` runs, and no speed-up.

    Parameters
    ----------
    fmt : WeightFormat or None
        Format that the engine has to be for; None for whatever it is for.

    Raises
    ------
    UserError
        When the engine cannot take a matrix of this shape.
    DeviceError
        When the device holds an engine for another format, or does not answer as it should.
    """
    config = found_engine(device)
    if fmt not in (None, config.fmt):
        raise DeviceError(f"the device holds an engine for {config.name}: load the bitstream for {fmt.name}, or give "
                          f"--format {config.name}")
    driver = Driver(device, config)
    check_shape(config, (rows, cols))
    values = np.random.default_rng([rows, cols]).normal(0, SIGMA, (rows, cols)).astype(np.float32)
    weights = prepared(config, Matrix(f"{rows}x{cols}", values), partial(update, "compress"))
    x = np.random.default_rng(cols).standard_normal(cols).astype(np.float16)
    loaded = driver.load((weights, x))
    update("run", 0, runs)
    products = []
    for done in range(runs):
        products.append(driver.run(loaded))
        update("run", done + 1, runs)
    expected = product(weights, x, config.act_bits)
    counters = [one.counters for one in products]
    cycles, average = sum(one.cycles for one in counters) / runs, mean(counters)
    moved = average.bytes_read + average.bytes_written
    counted = {name: getattr(average, name) for name in WAITING}
    return BoardRow(
        format=config.name, rows=rows, cols=cols, cycles=average.cycles, bytes=moved,
        microseconds=cycles / device.clock_hz * 1e6 if device.clock_hz else None,
        clock_mhz=device.clock_hz / 1e6 if device.clock_hz else None,
        peak_fraction=moved / (cycles * (device.peak_bytes or config.bus_bytes)),
        bit_exact=all(np.array_equal(one.y.view(np.uint32), expected.view(np.uint32)) for one in products),
        runs=runs, frames_repeated=device.repeated, **counted)

"""A product on a board: it is loaded, verified, run, and compared with golden and with a run of another bitstream."""

import json
from functools import partial
from pathlib import Path

import numpy as np

from golden.product import product
from golden.spec import FORMATS
from host.device.device import DeviceError
from host.device.driver import Driver, check_shape, mean
from host.device.serial_device import SerialDevice
from host.errors import UserError
from host.measure.layer import SIGMA, Matrix, prepared
from host.progress import Update
from host.tables.board import BoardRow
from hw.boards.board_system import engine_config
from hw.registers.cycle_classes import WAITING
from hw.registers.register_map import ID, OFFSETS, identity
from hw.sdram.part import DATA_BITS

__all__ = ["baseline_cycles", "run", "serial_path"]


def serial_path(device: str) -> str:
    """Return the port of a device given as ``serial:PORT``.

    Raises
    ------
    UserError
        When it is given in another way.
    """
    kind, _, path = device.partition(":")
    if kind != "serial" or not path:
        raise UserError(f"unknown device {device!r}: give a serial port, for example serial:/dev/ttyUSB0")
    return path


def baseline_cycles(path: Path, rows: int, cols: int) -> int | None:
    """Return the cycles of the same product in an earlier report; None when that is of another shape, or missing.

    Raises
    ------
    UserError
        When the file is there but no report.
    """
    if not path.exists():
        return None
    try:
        row, = json.loads(path.read_text())["results"]
        return row["cycles"] if (row["rows"], row["cols"]) == (rows, cols) else None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no report of `host run`: remove it, or name another with --baseline") from None


def _check_engine(device: SerialDevice, name: str) -> None:
    """Raise a DeviceError that names the board's bitstream when its format is another; the driver checks the rest."""
    found = device.read_register(OFFSETS["FORMAT"])
    held = next((other for other, fmt in FORMATS.items()
                 if identity(engine_config(fmt, device.memory_bytes)) == found), None)
    if device.read_register(OFFSETS["ID"]) == ID and held not in (None, name):
        raise DeviceError(f"the board's bitstream is the one for {held}: load that for {name}, or give --format {held}")


def run(device: SerialDevice, name: str, rows: int, cols: int, runs: int, update: Update) -> BoardRow:
    """Run the product of a Gaussian matrix and vector; the row has the mean of ``runs`` runs, and no speed-up.

    Raises
    ------
    UserError
        When the engine cannot take a matrix of this shape.
    DeviceError
        When the board holds another bitstream, or does not answer as it should.
    """
    config = engine_config(FORMATS[name], device.memory_bytes)
    _check_engine(device, name)
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
    expected = product(weights, x)
    counters = [one.counters for one in products]
    cycles, average = sum(one.cycles for one in counters) / runs, mean(counters)
    moved = average.bytes_read + average.bytes_written
    counted = {name: getattr(average, name) for name in WAITING}
    return BoardRow(
        format=name, rows=rows, cols=cols, cycles=average.cycles, microseconds=cycles / device.clock_hz * 1e6,
        bytes=moved, peak_fraction=moved / (cycles * DATA_BITS // 8),
        bit_exact=all(np.array_equal(one.y.view(np.uint32), expected.view(np.uint32)) for one in products),
        runs=runs, clock_mhz=device.clock_hz / 1e6, frames_repeated=device.repeated, **counted)

"""A product on a board: loaded, verified, run, compared with golden, and set beside the same on another bitstream."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from golden.int4 import quantise
from golden.product import Weights, product
from golden.spec import FORMATS, BlockFormat, GroupFormat
from host.device import DeviceError
from host.driver import Driver, check_shape
from host.errors import UserError
from host.results import Column, Row
from host.serial_device import SerialDevice
from host.store import compressed
from hw.board_system import engine_config
from hw.registers import ID, OFFSETS, identity
from hw.sdram_part import DATA_BITS

__all__ = ["COLUMNS", "baseline_cycles", "gaussian", "run", "serial_path"]

COLUMNS: tuple[Column, ...] = (
    ("format", "format", ""), ("rows", "rows", "d"), ("cols", "cols", "d"), ("cycles", "cycles", ",d"),
    ("microseconds", "µs", ",.0f"), ("starved", "waiting", ",d"), ("refresh", "refresh", ",d"),
    ("stalled", "stalled", ",d"), ("drain", "drain", ",d"), ("peak_fraction", "of SDRAM peak", ".1%"),
    ("speedup", "speed-up", ".3f"), ("bit_exact", "exact", ""),
)
_SIGMA = 0.02
Update = Callable[[str, int, int], None]


def serial_path(device: str) -> str:
    """The port of a ``serial:PATH``.

    Raises
    ------
    UserError
    """
    kind, _, path = device.partition(":")
    if kind != "serial" or not path:
        raise UserError(f"unknown device {device!r}: give a serial port, for example serial:/dev/ttyUSB0")
    return path


def gaussian(fmt: BlockFormat | GroupFormat | None, rows: int, cols: int, update: Update) -> Weights:
    """A matrix of N(0, 0.02**2) in a format, always the same."""
    weights = np.random.default_rng([rows, cols]).normal(0, _SIGMA, (rows, cols)).astype(np.float32)
    if isinstance(fmt, BlockFormat):
        return compressed(weights, fmt, lambda done, total: update("compress", done, total))
    return quantise(weights, fmt) if isinstance(fmt, GroupFormat) else weights.astype(np.float16)


def baseline_cycles(path: Path, rows: int, cols: int) -> int | None:
    """Cycles of the same product in an earlier report; None when that is of another shape, or there is none.

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
    """Name the bitstream that the board holds when it is not the wanted one; the driver checks all else."""
    found = device.read_register(OFFSETS["FORMAT"])
    held = next((other for other in ("fp16", *FORMATS)
                 if identity(engine_config(FORMATS.get(other), device.memory_bytes)) == found), None)
    if device.read_register(OFFSETS["ID"]) == ID and held not in (None, name):
        raise DeviceError(f"the board's bitstream is the one for {held}: load that for {name}, or give --format {held}")


def run(device: SerialDevice, name: str, rows: int, cols: int, runs: int, update: Update) -> Row:
    """A product of a Gaussian matrix and vector: a row of the mean of ``runs``, without a speed-up.

    Raises
    ------
    UserError, DeviceError
    """
    fmt = FORMATS.get(name)
    config = engine_config(fmt, device.memory_bytes)
    _check_engine(device, name)
    driver = Driver(device, config)
    check_shape(config, (rows, cols))
    weights = gaussian(fmt, rows, cols, update)
    x = np.random.default_rng(cols).standard_normal(cols).astype(np.float16)
    loaded = driver.load((weights, x))
    update("run", 0, runs)
    products = []
    for done in range(runs):
        products.append(driver.run(loaded))
        update("run", done + 1, runs)
    expected = product(weights, x)
    counters = [one.counters for one in products]
    cycles = sum(one.cycles for one in counters) / runs
    moved = counters[0].bytes_read + counters[0].bytes_written
    return {
        "format": name, "rows": rows, "cols": cols, "cycles": round(cycles),
        "microseconds": cycles / device.clock_hz * 1e6,
        **{key: round(sum(getattr(one, key) for one in counters) / runs)
           for key in ("starved", "refresh", "stalled", "drain")},
        "bytes": moved, "peak_fraction": moved / (cycles * DATA_BITS // 8), "speedup": None,
        "bit_exact": all(np.array_equal(one.y.view(np.uint32), expected.view(np.uint32)) for one in products),
        "runs": runs, "clock_mhz": device.clock_hz / 1e6, "frames_repeated": device.repeated,
    }

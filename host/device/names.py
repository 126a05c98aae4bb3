"""Devices by name: a kind, a path, and options, as in ``xdma:/dev/xdma0,bytes=4G,poll=1``."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from host.device.device import Device
from host.errors import UserError
from host.update import Update

__all__ = ["KINDS", "HardwareDevice", "Kind", "Option", "open_device"]


class HardwareDevice(Device, Protocol):
    """A device that is a piece of hardware."""

    @property
    def clock_hz(self) -> float | None:
        """The engine's clock; None where nobody knows it."""

    @property
    def repeated(self) -> int | None:
        """Requests that had to be sent again; None where none is ever sent again."""

    @property
    def peak_bytes(self) -> int | None:
        """Bytes that its memory moves at most in a cycle of the engine; None where nobody knows."""

    def __enter__(self) -> Self:
        """Return the device, which the end of the context closes."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Release what the device uses."""


def _number(text: str) -> int:
    """Return a number of 0 or more, decimal or with a 0x in front; ValueError for anything else."""
    if not re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]+", text):
        raise ValueError(text)
    number = int(text, 16) if text[:2] in ("0x", "0X") else int(text)
    if number >= 1 << 64:  # no address or size is as large
        raise ValueError(text)
    return number


def _size(text: str) -> int:
    """Return a number of bytes, which may end in K, M, G or T; ValueError when it is 0, or none."""
    unit = "KMGT".find(text[-1:].upper()) + 1 if text else 0
    size = _number(text[:-1] if unit else text) << 10 * unit
    if not size:
        raise ValueError(text)
    return size


def _word_offset(text: str) -> int:
    """Return a number that is a multiple of 4; ValueError when it is not."""
    number = _number(text)
    if number % 4:
        raise ValueError(text)
    return number


def _positive(text: str) -> float:
    """Return a number above 0; ValueError for anything else."""
    number = float(text)
    if not isfinite(number) or number <= 0:
        raise ValueError(text)
    return number


def _path(text: str) -> Path:
    """Return a path; ValueError when it is empty."""
    if not text:
        raise ValueError(text)
    return Path(text)


@dataclass(frozen=True)
class Option:
    """An option of a kind of device.

    Parameters
    ----------
    parameter : str
        Parameter of the function that opens the device.
    parse : callable
        Makes its value from text; ValueError when the text is none.
    legal : str
        What a value is, with an example.
    doc : str
        What it says, and what holds without it.
    """

    parameter: str
    parse: Callable[[str], Any]
    legal: str
    doc: str


_POLL = Option("poll", lambda text: bool(["0", "1"].index(text)), "0 or 1",
               "1 to look at the STATUS register again and again, in place of waiting for the interrupt.")
_CLOCK = Option("clock_hz", lambda text: 1e6 * _positive(text), "a frequency in MHz such as 250",
                "Clock of the engine, MHz, for the times in the report; without it they are left out.")
_REGISTERS = ("a multiple of 4 such as 0x10000", "Offset of the engine's registers in the {}; 0 without it.")
_ADDRESS = "an address such as 0x40000000"


def _open_serial(path: Path, update: Update, patience: float | None = None) -> HardwareDevice:
    """Open a board at a serial port, with ``patience`` in seconds."""
    from host.device.serial_device import PATIENCE, SerialDevice, open_serial

    patience = patience or PATIENCE
    return SerialDevice(open_serial(str(path), patience), update, patience)


def _open_xdma(path: Path, update: Update, **options: Any) -> HardwareDevice:
    """Open a PCIe card; the options are those of :func:`host.device.xdma.open_xdma`."""
    from host.device.xdma import open_xdma

    return open_xdma(path, update=update, **options)


def _open_uio(path: Path, update: Update, **options: Any) -> HardwareDevice:
    """Open an engine beside the processor; the options are those of :func:`host.device.uio.open_uio`."""
    from host.device.uio import open_uio

    return open_uio(path, update=update, **options)


@dataclass(frozen=True)
class Kind:
    """A kind of device.

    Parameters
    ----------
    example : str
        Path of a device.
    doc : str
        What it is.
    open : callable
        Opens the device from its path, what to call with its progress, and its options by parameter.
    options : dict
        By name.
    """

    example: str
    doc: str
    open: Callable[..., HardwareDevice]
    options: Mapping[str, Option]


KINDS = {
    "serial": Kind("/dev/ttyUSB0", "A board at the end of a serial line.", _open_serial, {
        "patience": Option("patience", _positive, "a number of seconds such as 0.5",
                           "Seconds after which a request without a whole answer is sent again; 1 without it."),
    }),
    "xdma": Kind("/dev/xdma0", "A PCIe card with Xilinx's DMA and its driver xdma. Not yet run on hardware.",
                 _open_xdma, {
        "base": Option("base", _number, _ADDRESS, "Address of the card's memory; 0 without it."),
        "bytes": Option("size", _size, "a size such as 4G", "Bytes of the card's memory; 1G without it."),
        "registers": Option("registers", _word_offset, _REGISTERS[0], _REGISTERS[1].format("BAR")),
        "event": Option("event", _number, "a number such as 0",
                        "Number of the interrupt to which the engine's irq is connected; 0 without it."),
        "poll": _POLL,
        "mhz": _CLOCK,
    }),
    "uio": Kind("/dev/uio0", "An engine beside the processor, as on Zynq, behind Linux's UIO. Not yet run on hardware.",
                _open_uio, {
        "buffer": Option("buffer", _path, "a path such as /dev/udmabuf0",
                         "A buffer of u-dma-buf for the memory; without it, map 1 of the UIO device."),
        "base": Option("base", _number, _ADDRESS,
                       "Address of the memory as the engine sees it; without it, the physical address."),
        "registers": Option("registers", _word_offset, _REGISTERS[0], _REGISTERS[1].format("map 0")),
        "poll": _POLL,
        "mhz": _CLOCK,
    }),
}
"""Kinds of devices by the name in front of the colon."""
_EXAMPLES = ", ".join(f"{name}:{kind.example}" for name, kind in KINDS.items())


def open_device(name: str, update: Update) -> HardwareDevice:
    """Open the device of a name: ``KIND:PATH``, and any number of ``,OPTION=VALUE``.

    Parameters
    ----------
    update : callable
        Called with what is being done to the device's memory, the bytes done and the bytes in all.

    Raises
    ------
    UserError
        When there is no such kind of device, no such option of it, or a value is none, or the device cannot be opened.
    DeviceError
        When the device does not answer as it should.
    """
    kind_name, _, rest = name.partition(":")
    path, *settings = rest.split(",")
    if kind_name not in KINDS or not path:
        raise UserError(f"unknown device {name!r}: give one such as {_EXAMPLES}")
    kind, values = KINDS[kind_name], dict[str, Any]()
    for setting in settings:
        key, _, text = setting.partition("=")
        option = kind.options.get(key)
        if not option:
            raise UserError(f"the device {name!r} has no option {key!r}: those of {kind_name} are "
                            f"{', '.join(kind.options)}")
        if option.parameter in values:
            raise UserError(f"the device {name!r} has the option {key} twice: leave one out")
        try:
            values[option.parameter] = option.parse(text)
        except ValueError:
            raise UserError(f"the option {key} of the device {name!r} must be {option.legal}, not {text!r}") from None
    return kind.open(Path(path), update, **values)

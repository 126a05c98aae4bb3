"""The public Python interface: what programs of others import, in one place.

.. code-block:: python

    from host.api import SEEDLM4, decode, encode

Each name is loaded when it is first asked for, so that compressing needs the base installation alone; names of the
engine need the extra ``synth``, and the simulated device ``sim``. Their docstrings say shapes, types and errors, and
``docs/python.md`` shows each task. Names that are here keep their meaning within a minor version; all others may change
with any commit.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from host.errors import UserError

if TYPE_CHECKING:
    from golden.block import CompressedMatrix
    from golden.product import product
    from golden.spec import FP16, INT4, SEEDLM3, SEEDLM4, parse_format
    from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
    from host.compress.compress import Summary, compress
    from host.compress.decompress import decompress
    from host.compress.plan import Options
    from host.device.device import Device, DeviceError
    from host.device.driver import Counters, Driver, Product
    from host.encoder.encoder import encode
    from host.measure.cycle_model import Step, predict
    from host.packing.decode import weights as decode
    from hw.config import EngineConfig
    from sim.device.native_device import NativeDevice
    from sim.dram.presets import preset

__all__ = ["FP16", "INT4", "SEEDLM3", "SEEDLM4", "Checkpoint", "CompressedMatrix", "Counters", "Device", "DeviceError",
           "Driver", "EngineConfig", "NativeDevice", "Options", "Product", "Step", "Summary", "UserError", "compress",
           "decode", "decompress", "encode", "open_checkpoint", "parse_format", "predict", "preset", "product"]

_PLACES = {
    "golden.block": ("CompressedMatrix",),
    "golden.product": ("product",),
    "golden.spec": ("FP16", "INT4", "SEEDLM3", "SEEDLM4", "parse_format"),
    "host.checkpoint.checkpoint": ("Checkpoint", "open_checkpoint"),
    "host.compress.compress": ("Summary", "compress"),
    "host.compress.decompress": ("decompress",),
    "host.compress.plan": ("Options",),
    "host.device.device": ("Device", "DeviceError"),
    "host.device.driver": ("Counters", "Driver", "Product"),
    "host.encoder.encoder": ("encode",),
    "host.measure.cycle_model": ("Step", "predict"),
    "host.packing.decode": ("decode",),
    "hw.config": ("EngineConfig",),
    "sim.device.native_device": ("NativeDevice",),
    "sim.dram.presets": ("preset",),
}
"""Where each name is defined."""
_CALLED = {"decode": "weights"}
"""What a name is called there, if not the same."""
_EXTRAS = {"NativeDevice": "sim"}
"""Extras that names need, if not ``synth`` or none."""


def __getattr__(name: str) -> Any:
    """Load a public name.

    Raises
    ------
    UserError
        When it needs a package that is not installed.
    """
    module = next((module for module, names in _PLACES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(module), _CALLED.get(name, name))
    except ModuleNotFoundError as error:
        raise UserError(f"{__name__}.{name} needs the package {error.name}: run `pip install "
                        f"'.[{_EXTRAS.get(name, 'synth')}]'` in a checkout of seedlm-fpga") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)

"""The engine with flat AXI pins, as one SystemVerilog file."""

import tempfile
from pathlib import Path

from host.ip.core import Core
from hw.engine.interfaces import port_attributes
from hw.engine.pins import EnginePins
from hw.flow.verilog import emit

__all__ = ["files"]

_ABOUT = """\
{core.name}: an engine that multiplies matrices in memory by vectors in memory, version {core.version}.
Weights: {config.name}. Memory bus: {config.bus_bits} bits, addresses of {config.addr_bits} bits.
Written by `make ip` of seedlm-fpga."""
"""What the file begins with."""


def files(core: Core) -> dict[str, str]:
    """Return the file by its path in the package.

    Raises
    ------
    ValueError
        As :func:`hw.flow.verilog.emit`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{core.name}.sv"
        engine = EnginePins(core.config)
        emit(engine, path, core.name, port_attributes(engine), _ABOUT.format(core=core, config=core.config))
        return {f"rtl/{core.name}.sv": path.read_text()}

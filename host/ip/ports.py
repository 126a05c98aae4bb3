"""The pins of the core, as :class:`~hw.engine.pins.EnginePins` has them."""

from dataclasses import dataclass

from amaranth.hdl import Shape
from amaranth.lib.wiring import Out

from host.ip.core import Core
from hw.engine.pins import engine_pins

__all__ = ["CLOCK", "RESET", "Port", "channels", "ports"]

CLOCK, RESET = "clk", "rst"
"""Names of the pins that the emitted module has besides those of the component."""
_CHANNELS = ("ar", "r", "aw", "w", "b")


@dataclass(frozen=True)
class Port:
    """A pin, or a group of pins of one name.

    Parameters
    ----------
    name : str
    bits : int
        Width.
    output : bool
        Whether the core drives it.
    """

    name: str
    bits: int
    output: bool


def ports(core: Core) -> list[Port]:
    """Return the pins of the core, without clock and reset."""
    return [Port(name, Shape.cast(member.shape).width, member.flow is Out)
            for name, member in engine_pins(core.config).items()]


def channels(core: Core, interface: str) -> list[tuple[str, str, Port]]:
    """Return the pins of an AXI interface, ``m_axi`` or ``s_axil``: channel, field of the channel, and pin.

    The fields of a channel have the names of AXI, such as ``addr`` and ``valid``.
    """
    found = []
    for port in ports(core):
        prefix, _, rest = port.name.rpartition("_")
        if prefix == interface:
            channel = next(each for each in _CHANNELS if rest.startswith(each))
            found.append((channel, rest.removeprefix(channel), port))
    return found

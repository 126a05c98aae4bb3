"""How Vivado sees the engine's pins: which of them form a bus, and what the clock, the reset and the interrupt are.

Vivado reads this from attributes of a module's ports when the module is packaged or put into a block design (UG1118,
*Inferring Interfaces*; UG994, *Using the X_INTERFACE attributes*). The names of the pins are those of
:class:`~hw.engine.pins.EnginePins`, which takes them from :mod:`hw.parts.axi`.
"""

from collections.abc import Mapping

from hw.engine.pins import EnginePins

__all__ = ["port_attributes"]

_INFO, _PARAMETER = "X_INTERFACE_INFO", "X_INTERFACE_PARAMETER"
_AXI, _SIGNAL = "xilinx.com:interface:aximm:1.0", "xilinx.com:signal"


def _parameters(name: str, values: Mapping[str, object]) -> dict[str, str]:
    """The attribute with the parameters of the interface ``name``."""
    return {_PARAMETER: ", ".join([f"XIL_INTERFACENAME {name}", *(f"{key} {value}" for key, value in values.items())])}


def _bus(engine: EnginePins, name: str, **parameters: object) -> dict[str, dict[str, str]]:
    """Attributes of the pins ``name_*``. The first one carries the parameters of the whole bus."""
    members = engine.signature.members
    pins = [pin for pin in members if pin.startswith(f"{name}_")]
    widths = {key: members[f"{name}_{pin}"].shape for key, pin in (("ADDR_WIDTH", "awaddr"), ("DATA_WIDTH", "wdata"))}
    found = {pin: {_INFO: f"{_AXI} {name} {pin.removeprefix(f'{name}_').upper()}"} for pin in pins}
    found[pins[0]] |= _parameters(name, parameters | widths)
    return found


def _signal(name: str, kind: str, port: str, **parameters: object) -> dict[str, dict[str, str]]:
    """Attributes of the pin ``name``, which is an interface by itself: its ``port``."""
    return {name: {_INFO: f"{_SIGNAL}:{kind}:1.0 {name} {port}", **_parameters(name, parameters)}}


def port_attributes(engine: EnginePins) -> dict[str, dict[str, str]]:
    """Attributes of the engine's pins for :func:`hw.flow.verilog.emit`: by pin, an attribute's text by its name.

    Vivado then knows an AXI4 master ``m_axi``, an AXI4-Lite slave ``s_axil``, a clock ``clk`` of both, a synchronous
    reset ``rst`` that is active high, and an interrupt ``irq`` that is high for as long as it is pending.
    """
    return {
        **_signal("clk", "clock", "CLK", ASSOCIATED_BUSIF="m_axi:s_axil", ASSOCIATED_RESET="rst"),
        **_signal("rst", "reset", "RST", POLARITY="ACTIVE_HIGH"),
        **_signal("irq", "interrupt", "INTERRUPT", SENSITIVITY="LEVEL_HIGH"),
        **_bus(engine, "m_axi", PROTOCOL="AXI4", SUPPORTS_NARROW_BURST=0),
        **_bus(engine, "s_axil", PROTOCOL="AXI4LITE"),
    }

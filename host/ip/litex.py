"""A wrapper of the core for LiteX, and a small SoC without a processor that has the core on its bus."""

from host.ip.core import Core
from host.ip.ports import channels
from host.ip.template import render
from hw.registers.register_map import ADDR_BITS, DESCRIPTOR_REGISTERS

__all__ = ["class_name", "files"]


def class_name(core: Core) -> str:
    """Return the name of the wrapper's class."""
    return "".join(part.capitalize() for part in core.name.split("_"))


def files(core: Core) -> dict[str, str]:
    """Return the wrapper and the SoC by their paths in the package."""
    values = {"core": core, "class_name": class_name(core), "m_axi": channels(core, "m_axi"),
              "s_axil": channels(core, "s_axil"), "addr_bits": ADDR_BITS, "words": DESCRIPTOR_REGISTERS}
    return {f"litex/{core.name}.py": render("litex.py.j2", **values),
            "litex/example_soc.py": render("litex_soc.py.j2", **values)}

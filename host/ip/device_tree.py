"""A part of a device tree, with which Linux hands the core to a program in user space (UIO)."""

from host.ip.core import Core
from host.ip.template import render
from hw.registers.register_map import ID

__all__ = ["files"]


def files(core: Core) -> dict[str, str]:
    """Return the part by its path in the package."""
    return {f"linux/{core.name}.dtsi": render("device_tree.dtsi.j2", core=core, edition=ID % 0x1_0000)}

"""The register map as SystemRDL 2.0 (Accellera)."""

from host.ip.core import ACCESS, Core
from host.ip.template import render
from hw.registers.register_map import DESCRIPTOR_REGISTERS, REGISTERS

__all__ = ["files"]

_CONSTANT = ("ID", "FORMAT", "CAPABILITY")
"""Registers that hardware never changes."""


def files(core: Core) -> dict[str, str]:
    """Return the description by its path in the package."""
    return {f"registers/{core.name}.rdl": render(
        "registers.rdl.j2", core=core, registers=REGISTERS, access=ACCESS, constant=_CONSTANT,
        loaded=DESCRIPTOR_REGISTERS)}

"""A script that packages the core for Vivado's IP catalogue, and a page on its use in a block design."""

from host.ip.core import LIBRARY, VENDOR, Core
from host.ip.template import render
from hw.registers.register_map import REGISTERS

__all__ = ["FAMILIES", "files"]

FAMILIES = ("artix7", "kintex7", "virtex7", "zynq", "artixuplus", "kintexu", "kintexuplus", "virtexu", "virtexuplus",
            "zynquplus", "versal")
"""Device families that Vivado offers the core for, by Vivado's names."""
_ACCESS = {"ro": "read-only", "rw": "read-write", "rw always": "read-write", "wo": "write-only", "w1c": "read-write"}
"""How IP-XACT calls each kind of access."""


def files(core: Core) -> dict[str, str]:
    """Return script and page by their paths in the package."""
    values = {"core": core, "vendor": VENDOR, "library": LIBRARY, "registers": REGISTERS, "access": _ACCESS,
              "families": FAMILIES}
    return {"vivado/package_ip.tcl": render("package_ip.tcl.j2", **values),
            "vivado/README.md": render("vivado.md.j2", **values)}

"""What is packaged: the configuration of an engine, and what the files of the package call it."""

import re
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version

from host.errors import UserError
from hw.config import EngineConfig
from hw.dma.descriptor import descriptor_alignment
from hw.registers.register_map import ADDR_BITS, DESCRIPTOR_REGISTERS, ID, Register, capability, identity

__all__ = ["ACCESS", "DESCRIPTOR_WORDS", "DISTRIBUTION", "LIBRARY", "VENDOR", "Core", "default_name"]

ACCESS = {
    "ro": "read only",
    "rw": "read and write; a write while a run is under way is refused with SLVERR and changes nothing",
    "rw always": "read and write, at any time",
    "wo": "write only; reads as 0",
    "w1c": "read; writing 1 clears a bit",
}
"""What the kinds of access of :class:`~hw.registers.register_map.Register` mean."""

DESCRIPTOR_WORDS = (*DESCRIPTOR_REGISTERS, "FORMAT")
"""Names of the words of a descriptor in memory, in their order. The words behind them are reserved."""
DISTRIBUTION = "seedlm-fpga"
"""Name under which this project is installed."""
VENDOR, LIBRARY = "seedlm-fpga", "ip"
"""First two parts of the core's name in FuseSoC and in Vivado, vendor:library:name:version."""

_NAME = re.compile(r"(?=.*[0-9_])[a-z][a-z0-9_]{0,63}")
"""What is a name in SystemVerilog, C, Python, Tcl and SystemRDL alike. A digit or an underscore is required because the
keywords of these languages that people would choose have none."""


def default_name(config: EngineConfig) -> str:
    """Return what a core is called unless one gives it a name: format and bus, such as ``seedlm4_128``."""
    fmt = config.name.replace(",", "_")  # C,P,K for SeedLM's formats that have no name
    return f"{fmt if fmt[0].isalpha() else 'seedlm_' + fmt}_{config.bus_bits}"


@dataclass(frozen=True)
class Core:
    """An IP core.

    Parameters
    ----------
    config : EngineConfig
        The engine.
    name : str
        Name of the top module, of the files and of the package: lower-case letters, digits and underscores.

    Raises
    ------
    UserError
        When the name is not a name in every language of the package.
    """

    config: EngineConfig
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"a core cannot be called {self.name!r}: a name consists of lower-case letters, digits and "
                            "underscores, begins with a letter, has a digit or an underscore, and has at most 64 "
                            "characters, such as seedlm4_128")

    @property
    def prefix(self) -> str:
        """What the names of macros begin with."""
        return self.name.upper()

    @cached_property
    def version(self) -> str:
        """Version of this project."""
        return version(DISTRIBUTION)

    @property
    def vlnv(self) -> str:
        """Name of the core in FuseSoC and in Vivado."""
        return f"{VENDOR}:{LIBRARY}:{self.name}:{self.version}"

    @property
    def register_bytes(self) -> int:
        """Bytes of the registers' addresses."""
        return 1 << ADDR_BITS

    @property
    def descriptor_alignment(self) -> int:
        """Bytes of which the address of a descriptor is a multiple."""
        return descriptor_alignment(self.config)

    def reset_value(self, register: Register) -> int:
        """Return what a register of this core reads after reset."""
        known = {"ID": ID, "FORMAT": identity(self.config), "CAPABILITY": capability(self.config)}
        return known.get(register.name, register.init)

"""The register map and the descriptor as a C header, for C11 and C++11."""

from host.ip.core import ACCESS, DESCRIPTOR_WORDS, Core
from host.ip.template import render
from hw.dma.descriptor import DESCRIPTOR_BYTES
from hw.registers.register_map import ERRORS, REGISTERS

__all__ = ["files"]


def files(core: Core) -> dict[str, str]:
    """Return the header by its path in the package."""
    status = {field.name: field for register in REGISTERS if register.name == "STATUS" for field in register.fields}
    text = render("header.h.j2", core=core, registers=REGISTERS, access=ACCESS, errors=ERRORS, status=status,
                  words=DESCRIPTOR_WORDS, errors_mask=sum(1 << status[name].lsb for name in ERRORS),
                  descriptor_bytes=DESCRIPTOR_BYTES, reserved_words=DESCRIPTOR_BYTES // 4 - len(DESCRIPTOR_WORDS))
    return {f"registers/{core.name}.h": text}

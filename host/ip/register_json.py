"""The register map as JSON, for scripts."""

import json

from host.ip.causes import CAUSES
from host.ip.core import DESCRIPTOR_WORDS, Core
from hw.dma.descriptor import DESCRIPTOR_BYTES
from hw.registers.register_map import ERRORS, REGISTERS

__all__ = ["files"]


def files(core: Core) -> dict[str, str]:
    """Return the register map by its path in the package.

    Registers and fields have the names of :data:`hw.registers.register_map.REGISTERS`. ``reset`` is the value of a
    register after reset.
    """
    config = core.config
    content = {
        "name": core.name,
        "version": core.version,
        "engine": {
            "format": config.name, "bus_bits": config.bus_bits, "addr_bits": config.addr_bits, "lanes": config.lanes,
            "block_weights": config.c, "max_rows": config.max_rows, "max_cols": config.max_cols,
        },
        "registers": [{
            "name": register.name, "offset": register.offset, "access": register.access,
            "reset": core.reset_value(register), "description": register.doc,
            "fields": [{"name": field.name, "lsb": field.lsb, "bits": field.bits, "description": field.doc}
                       for field in register.fields],
        } for register in REGISTERS],
        "errors": {name: {"description": doc, "error_addr": CAUSES[name].error_addr, "recovery": CAUSES[name].recovery}
                   for name, doc in ERRORS.items()},
        "descriptor": {"bytes": DESCRIPTOR_BYTES, "alignment": core.descriptor_alignment,
                       "words": list(DESCRIPTOR_WORDS)},
    }
    return {f"registers/{core.name}.json": json.dumps(content, indent=2) + "\n"}

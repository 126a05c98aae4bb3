"""Writes the engine as an IP core: one module of this room makes each kind of file, and this one puts them together."""

from dataclasses import asdict
from pathlib import Path

from host.ip import (
    bench,
    c_header,
    device_tree,
    fusesoc,
    litex,
    readme,
    register_json,
    register_page,
    systemrdl,
    verilog,
    vivado,
)
from host.ip.core import Core
from host.ip.folder import replace_folder, require_ours

__all__ = ["contents", "write_package"]

_KINDS = (verilog, vivado, litex, c_header, systemrdl, register_json, register_page, device_tree, readme)
"""Modules that make files from the core alone."""


def contents(core: Core) -> dict[str, bytes]:
    """Return all files of a package by their paths, but for the manifest.

    Raises
    ------
    UserError
        When the engine's addresses do not suffice for the bench.
    """
    own_bench = bench.files(core)  # first, because it is soon told whether the core can have one
    files = {**own_bench, **fusesoc.files(core, own_bench)}
    for kind in _KINDS:
        files |= kind.files(core)
    return {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}


def write_package(core: Core, out: Path) -> None:
    """Write the package of a core to the folder ``out``, which then holds nothing else.

    Raises
    ------
    UserError
        When the folder holds something else or cannot be written, and as :func:`contents`.
    """
    require_ours(out)
    about = {"core": core.vlnv, "engine": asdict(core.config)}
    replace_folder(out, contents(core), about)

"""The package's front page, the licence, and what Verilator's lint is not to warn of."""

from importlib.metadata import distribution
from pathlib import Path

from host.ip.core import DISTRIBUTION, Core
from host.ip.litex import class_name
from host.ip.ports import ports
from host.ip.template import render
from sim.lint.accepted import ACCEPTED

__all__ = ["files"]


def _licence() -> str:
    """Return the licence, which every installation of this project contains."""
    installed = distribution(DISTRIBUTION).files or []
    return next(Path(str(file.locate())).read_text() for file in installed if file.name == "LICENSE")


def files(core: Core) -> dict[str, str]:
    """Return the files by their paths in the package."""
    return {
        "README.md": render("readme.md.j2", core=core, ports=ports(core), class_name=class_name(core)),
        "LICENSE": _licence(),
        "lint/waivers.vlt": render("waivers.vlt.j2", accepted=ACCEPTED),
    }

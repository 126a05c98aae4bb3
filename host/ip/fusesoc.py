"""The FuseSoC core file (CAPI2): where the files are, and targets for lint, simulation and synthesis."""

from collections.abc import Iterable

from host.ip.core import Core
from host.ip.template import render

__all__ = ["files"]


def files(core: Core, bench: Iterable[str]) -> dict[str, str]:
    """Return the core file by its path in the package.

    Parameters
    ----------
    bench : iterable of str
        Paths of the files of the bench in the package.
    """
    return {f"{core.name}.core": render("fusesoc.core.j2", core=core, bench=sorted(bench))}

"""Yosys, through the library of the ``pyosys`` package, in a process of its own.

libyosys ends its process on an error, so each run is a child; its ERROR lines become the exception's message.
"""

import subprocess
import sys
from collections.abc import Iterable

__all__ = ["YosysError", "run"]

_CHILD = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for line in sys.stdin.read().splitlines():
    ys.run_pass(line, design)
"""


class YosysError(RuntimeError):
    """A Yosys command failed; the message holds its ERROR lines, or the last lines it printed."""


def run(script: Iterable[str]) -> str:
    """Run Yosys commands in order, and return what they printed.

    Parameters
    ----------
    script : iterable of str
        Commands, one in each string.

    Raises
    ------
    YosysError
        When a command fails.
    """
    child = subprocess.run([sys.executable, "-c", _CHILD], input="\n".join(script), text=True, capture_output=True)
    if child.returncode:
        lines = (child.stdout + child.stderr).splitlines()
        raise YosysError("\n".join([line for line in lines if line.startswith("ERROR")] or lines[-10:]))
    return child.stdout

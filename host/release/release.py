"""Makes a release in a folder: what is asked for, and the file of digests last."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from golden.spec import FORMATS, parse_format
from golden.tree import REPORTS, ROOT
from host.errors import CheckError, UserError, choose
from host.ip.core import Core, default_name
from host.ip.ip import write_package
from host.release.distributions import distributions
from host.release.versions import released_version
from host.report.environment import changed_sources
from host.update import Update, no_progress
from hw.boards import BOARDS
from hw.config import EngineConfig

__all__ = ["BITSTREAMS", "CORES", "SUMS", "release"]

CORES = ("seedlm4", "seedlm3")
"""Formats of its IP cores."""
BITSTREAMS = tuple(f"{board}/{name}" for board in BOARDS for name in ("fp16", *CORES))
"""Bitstreams of a release: board and format."""
SUMS = "SHA256SUMS"
"""Name of the file of digests, as ``sha256sum --check`` reads it."""
_CORE_BUS = 128
"""Bits of the memory bus of an IP core, as of the command ``ip``."""


def _packed(folder: Path, out: Path) -> Path:
    """An archive of a folder, the same for the same files; returns its path."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = archive.gettarinfo(path, arcname=str(path.relative_to(folder.parent)))
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            with path.open("rb") as file:
                archive.addfile(entry, file)
    out.write_bytes(content.getvalue())
    return out


def _described(name: str) -> Core:
    """The IP core of a format; FormatError or ConfigError when there is none."""
    config = EngineConfig(parse_format(name), _CORE_BUS, addr_bits=64)
    return Core(config, default_name(config))


def _core(core: Core, version: str, out: Path) -> Path:
    """The archive of an IP core."""
    with tempfile.TemporaryDirectory() as scratch:
        write_package(core, Path(scratch) / core.name)
        return _packed(Path(scratch) / core.name, out / f"{core.name}-{version}.tar.xz")


def _bitstream(which: str, version: str, out: Path) -> list[Path]:
    """A board's bitstream and its report. The command makes it, at once where it was made before.

    Raises
    ------
    CheckError
        When the command fails, or timing is missed.
    """
    board, _, name = which.partition("/")
    done = subprocess.run([sys.executable, "-m", "host", "bitstream", "--quiet", "--board", board, "--format", name],
                          cwd=ROOT, check=False)
    if done.returncode:
        raise CheckError(f"there is no bitstream of {which}: `bitstream` ended with status {done.returncode}")
    made = (REPORTS / board / f"{name}.bit", REPORTS / board / name / "report.json")
    return [Path(shutil.copyfile(path, out / f"{board}-{name}-{version}{path.suffix}")) for path in made]


def _emptied(out: Path) -> None:
    """Remove an earlier release; UserError when the folder has other files."""
    found = list(out.iterdir())
    if found and not (out / SUMS).exists():
        raise UserError(f"{out} holds other files: remove them, or give another folder with --out")
    for path in found:
        path.unlink()


def release(out: Path, bitstreams: Sequence[str] = BITSTREAMS, cores: Sequence[str] = CORES,
            update: Update = no_progress) -> list[Path]:
    """Make a release in an existing folder and return its files. An earlier one there is removed first.

    Parameters
    ----------
    bitstreams, cores : sequence of str
        Which there are, as in :data:`BITSTREAMS` and :data:`CORES`.

    Raises
    ------
    UserError, golden.spec.FormatError, hw.config.ConfigError
        When a board or a format is unknown, files of the tree name different versions or differ from the commit, or
        the folder holds other files.
    CheckError
        When a part cannot be made.
    """
    described = {name: _described(name) for name in cores}
    for board, _, name in (which.partition("/") for which in bitstreams):
        choose(board, BOARDS, "unknown board {!r}: there are bitstreams, board/format, of {}")
        choose(name, FORMATS, "unknown format {!r}: there are bitstreams, board/format, for {}")
    version = released_version()
    if changed := changed_sources():
        raise UserError(f"a release is of a commit: commit {changed[0]} first"
                        + (f", and {len(changed) - 1} more" if changed[1:] else ""))
    _emptied(out)
    total = 1 + len(described) + len(bitstreams)
    update("distributions", 0, total)
    made = distributions(out)
    for done, (name, core) in enumerate(described.items(), 1):
        update(f"IP core {name}", done, total)
        made.append(_core(core, version, out))
    for done, which in enumerate(bitstreams, 1 + len(described)):
        update(f"bitstream {which}", done, total)
        made += _bitstream(which, version, out)
    sums = out / SUMS
    sums.write_text("".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
                            for path in sorted(made)))
    return [*made, sums]

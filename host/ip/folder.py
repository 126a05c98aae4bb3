"""The folder that a package is written to: nothing half-written is ever in it, and nothing that is not ours is lost."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from host.errors import UserError, cure_of_writing
from host.json_reader import read_json

__all__ = ["MANIFEST", "replace_folder", "require_ours"]

MANIFEST = "manifest.json"
"""File that lists all others of a package with their SHA-256 digests. A folder that has it was written here."""
_BY_TOOLS = frozenset({"build", ".venv", "__pycache__", ".pytest_cache", "ip", ".Xil", "vivado.jou", "vivado.log"})
"""What the commands of a package's README leave in it, which may be removed."""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _listed(folder: Path) -> dict[str, str] | None:
    """Return the digests of a package's files by path; None when the folder is no package."""
    try:
        return read_json(folder / MANIFEST, "give another OUT")["files"].texts()
    except UserError:
        return None


def require_ours(out: Path) -> None:
    """Check that a package may be written to ``out``: there is nothing yet, an empty folder, or an older package.

    Raises
    ------
    UserError
        When something else is there, or the package was changed.
    """
    try:
        if not out.exists() and not out.is_symlink():
            return
        if not out.is_dir():
            raise UserError(f"{out} is not a folder: give another OUT")
        listed = _listed(out)
        for path in sorted(out.rglob("*")):
            name = path.relative_to(out)
            if path.is_dir() or (name == Path(MANIFEST) and listed is not None) or _BY_TOOLS & set(name.parts):
                continue
            if listed is None:
                raise UserError(f"{out} holds files that are not of an IP core, such as {name}: give another OUT, or "
                                "remove them")
            if listed.get(name.as_posix()) != _digest(path.read_bytes()):
                raise UserError(f"{out / name} was changed or added since the package was written, and would be lost: "
                                "move it away, or give another OUT")
    except OSError as error:
        raise UserError(f"cannot read {out} ({error.strerror}): give another OUT") from None


def replace_folder(out: Path, files: Mapping[str, bytes], about: Mapping[str, object]) -> None:
    """Write files, and a manifest that begins with ``about``, to a folder beside ``out``, and then give it that name.

    A folder that :func:`require_ours` accepts is replaced.

    Raises
    ------
    UserError
        When the folder cannot be written.
    """
    manifest = {**about, "files": {path: _digest(content) for path, content in sorted(files.items())}}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            made, old = Path(temporary) / "new", Path(temporary) / "old"
            for path, content in {**files, MANIFEST: (json.dumps(manifest, indent=2) + "\n").encode()}.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_bytes(content)
            if out.exists():
                out.rename(old)
            made.rename(out)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write {out} ({error.strerror}): {cure_of_writing(error)}, or give another "
                        "OUT") from None

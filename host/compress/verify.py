"""What a compressed folder holds, whether it is whole, and the seal of its files after a wanted change."""

import re
from math import prod
from pathlib import Path

from host.checkpoint.carried import carried, files_below
from host.checkpoint.container import CompressedFiles, open_compressed
from host.checkpoint.digests import FileDigest, digests, whole
from host.checkpoint.durable import storing
from host.checkpoint.integrity import examine
from host.checkpoint.manifest import MANIFEST, MIXED, CompressedTensor, Manifest, ShardEntry
from host.checkpoint.shard_names import INDEX
from host.compress.account import far_off_notice
from host.json_reader import read_json
from host.tables.tensor import TensorRow
from host.update import Update, no_progress

__all__ = ["inspect", "seal"]

_NUMBERED = re.compile(r"([^0-9]*)([0-9]{0,9})")
"""A part of a name, and the number after it."""


def _unlisted(files: CompressedFiles) -> list[str]:
    """Return the names of the files of a folder that its manifest does not list."""
    known = {MANIFEST, *files.manifest.files, *files.manifest.shards}
    return [name for name in files_below(files.path) if name not in known]


def _in_order(name: str) -> list[tuple[str, int]]:
    """Return a key that puts layer 3 before layer 28."""
    return [(text, int(number or 0)) for text, number in _NUMBERED.findall(name)]


def _total(what: str, fmt: str, tensors: list[CompressedTensor], verify: bool) -> TensorRow:
    """Return the row of several tensors, with the bits that they store for a weight."""
    bits = 8 * sum(tensor.stream_bytes for tensor in tensors) / sum(prod(tensor.shape) for tensor in tensors)
    return TensorRow(tensor=what, format=fmt, bits_per_weight=bits, verified=verify or None)


def inspect(folder: Path, verify: bool = True, reading: Update = no_progress) -> tuple[list[TensorRow], list[str]]:
    """Return a row for each compressed tensor, one for all of each format where there are several, and one for all of
    them; and sentences about what is unusual.

    Parameters
    ----------
    verify : bool
        Whether to compare every file with its digest. The manifest, config.json and the headers of shards always are.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`.

    Raises
    ------
    UserError
        When the folder holds no compressed model, is damaged, or, with ``verify``, a digest does not match.
    """
    files, notices = open_compressed(folder), []
    files.config()
    if verify:
        found = examine(folder, files.manifest, reading=reading)
        found.refuse(folder)
        notices = found.notices(folder)
        notices += [f"{folder / name} is not listed in {MANIFEST}: it was not checked, and is not used" for name
                    in _unlisted(files)]
    rows = [TensorRow(tensor=name, format=tensor.format, rows=tensor.matrix_shape[0], cols=tensor.matrix_shape[1],
                      bits_per_weight=tensor.bits_per_weight, relative_error=tensor.error,
                      block_error=tensor.block_error,
                      exponent_bias=tensor.exponent_bias, sha256=files.sha256(name), verified=verify or None)
            for name, tensor in sorted(files.compressed.items(), key=lambda named: _in_order(named[0]))]
    manifest = files.manifest
    notices += far_off_notice(files.compressed, manifest.gaussian_errors, "calibration" in manifest.settings)
    if manifest.settings["format"] == MIXED:
        rows += [_total(f"{len(own)} in {name}", name, own, verify) for name in manifest.gaussian_errors
                 if (own := [tensor for tensor in files.compressed.values() if tensor.format == name])]
    return [*rows, _total(f"{len(files.compressed)} compressed, {len(files.tensors) - len(files.compressed)} as they "
                          "were", manifest.settings["format"], list(files.compressed.values()), verify)], notices


def seal(folder: Path, reading: Update = no_progress) -> list[str]:
    """Take the files of a compressed folder that are no shards as they are now into its manifest.

    New files, except those of weights, are added and missing ones are dropped. Shards that another tool has rewritten
    are taken as they are, too, if their tensors are those of the manifest.

    Returns
    -------
    list of str
        The names of the files and shards whose entries have changed.

    Raises
    ------
    UserError
        When the manifest or a shard is damaged, ``config.json`` is missing or no object of JSON, or the folder cannot
        be written.
    """
    manifest = open_compressed(folder).manifest
    found = examine(folder, manifest, manifest.shards, reading)
    found.refuse(folder)
    read_json(folder / "config.json", "mend it, then seal the folder").object()
    names = ["config.json", *(name for name in (INDEX,) if (folder / name).is_file()), *carried(folder)]
    ranges = [whole(folder / name) for name in names]
    files = {name: FileDigest(part.size, sha256) for name, part, sha256
             in zip(names, ranges, digests(ranges, reading), strict=True)}
    shards = {name: ShardEntry(found.rewritten.get(name, shard.digest), shard.tensors)
              for name, shard in manifest.shards.items()}
    changed = sorted(found.rewritten) + sorted(name for name in files | manifest.files
                                               if files.get(name) != manifest.files.get(name))
    if changed:
        with storing(folder):
            Manifest(manifest.settings, manifest.program, files, shards, manifest.tensors).write(
                folder, folder / f"{MANIFEST}.part")
    return changed

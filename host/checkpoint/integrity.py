"""Whether the files of a compressed folder are those that its manifest describes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from host.checkpoint.digests import FileDigest, digests, whole
from host.checkpoint.manifest import MANIFEST, Manifest, ShardEntry
from host.checkpoint.shards import Located, tensors_of
from host.errors import UserError
from host.update import Update, no_progress

__all__ = ["Findings", "examine", "unlike"]


@dataclass
class Findings:
    """What is not as the manifest says.

    Members
    -------
    missing : list of str
        Names of files and shards that are not there.
    changed : list of str
        Names of files that are no shards and have another digest.
    damaged : dict
        What is wrong with a shard, by the name of the shard.
    rewritten : dict
        Digests of shards that hold exactly the tensors of the manifest in a file with other bytes, as after another
        tool has written its metadata, by the name of the shard.
    """

    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    rewritten: dict[str, FileDigest] = field(default_factory=dict)

    def refuse(self, folder: Path) -> None:
        """Raise a UserError about the first fault, if there is any."""
        for name in self.missing:
            raise UserError(f"{folder / name} is missing, though {MANIFEST} lists it: copy or download it again, or "
                            "compress the model again")
        for name, fault in self.damaged.items():
            raise UserError(f"{folder / name} is damaged ({fault}): copy or download it again, or give the command "
                            "that compressed the model again, which makes it anew")
        for name in self.changed:
            raise UserError(f"{folder / name} is not the file that {MANIFEST} describes: copy or download it again, "
                            f"or give `seedlm-fpga seal {folder}` if the change is wanted")

    def notices(self, folder: Path) -> list[str]:
        """Return a sentence for every shard that another tool has written."""
        return [f"{folder / name} was written by another tool; its tensors are what {MANIFEST} says" for name
                in self.rewritten]


def unlike(held: dict[str, Located], entry: ShardEntry) -> str:
    """Return in what the tensors of a shard's header differ from those of the manifest; empty when they do not."""
    for name in (*entry.tensors, *held):
        wanted, found = entry.tensors.get(name), held.get(name)
        if wanted is None or found is None or (wanted.dtype, wanted.shape) != (found.dtype, found.shape):
            return f"tensor {name} is not as {MANIFEST} says"
    return ""


def _fault(path: Path, entry: ShardEntry) -> str:
    """Return what is wrong with a shard whose digest is another; empty when all its tensors are right."""
    try:
        held = tensors_of(path)
    except UserError:
        return "it is no complete safetensors file"
    if fault := unlike(held, entry):
        return fault
    for name, digest in zip(held, digests([place.range for place in held.values()]), strict=True):
        if digest != entry.tensors[name].sha256:
            return f"tensor {name} has digest {digest[:12]}, not {entry.tensors[name].sha256[:12]}"
    return ""


def examine(folder: Path, manifest: Manifest, names: Iterable[str] | None = None,
            reading: Update = no_progress) -> Findings:
    """Compare files of a folder with its manifest.

    Parameters
    ----------
    names : iterable of str, optional
        Names of files and of shards. Default: all that the manifest lists.
    reading : Update
        As for :func:`host.checkpoint.digests.digests`.

    Raises
    ------
    UserError
        When a file cannot be read.
    """
    found = Findings()
    known = manifest.files | {name: shard.digest for name, shard in manifest.shards.items()}
    there = []
    for name in known if names is None else names:
        if (folder / name).is_file():
            there.append(name)
        else:
            found.missing.append(name)
    ranges = [whole(folder / name) for name in there]
    for name, part, sha256 in zip(there, ranges, digests(ranges, reading), strict=True):
        digest = FileDigest(part.size, sha256)
        if digest == known[name]:
            continue
        if name in manifest.files:
            found.changed.append(name)
        elif fault := _fault(folder / name, manifest.shards[name]):
            found.damaged[name] = fault
        else:
            found.rewritten[name] = digest
    return found

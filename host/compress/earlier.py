"""What a finished run of a compression has left in its output folder, for another run of the same command."""

from pathlib import Path

from host.checkpoint.integrity import Findings, examine
from host.checkpoint.manifest import MANIFEST, SUFFIX, ShardEntry, read_manifest
from host.compress.journal import Finished
from host.compress.plan import Plan
from host.errors import UserError
from host.update import Update

__all__ = ["Result", "earlier_result"]


class Result:
    """What a finished run of the same plan has left in the output folder.

    Members
    -------
    found : Findings
        What is not as the manifest says. No file that is no shard is changed: that would be a UserError.
    shards : dict
        The shards that are as they should be, by name.

    Raises
    ------
    UserError
        When the manifest is damaged or belongs to another job, a file has changed that is no shard, or a shard is
        damaged that this version of the encoder did not write.
    """

    def __init__(self, folder: Path, plan: Plan, reading: Update) -> None:
        manifest = read_manifest(folder)
        if manifest.settings.get("job") != plan.job:
            raise UserError(f"output folder {folder} holds another compressed model: give a new or empty folder, or "
                            "remove it first")
        self.found = examine(folder, manifest, reading=reading)
        Findings(changed=self.found.changed).refuse(folder)
        bad = [*self.found.missing, *self.found.damaged]
        lost = next((name for name in bad if name in manifest.shards), None)
        if lost and manifest.program != plan.program:
            raise UserError(f"{folder / lost} is damaged or missing, and another version of the encoder wrote it: "
                            f"copy it again, or remove {folder} and compress the model again")
        self.files = {name: digest for name, digest in manifest.files.items() if name not in bad}
        self.shards = {name: Finished(
            ShardEntry(self.found.rewritten.get(name, shard.digest), shard.tensors),
            {original: tensor for original, tensor in manifest.tensors.items() if original + SUFFIX in shard.tensors})
            for name, shard in manifest.shards.items() if name not in bad}

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.found.missing and not self.found.damaged

    def notices(self, folder: Path) -> list[str]:
        """Return a sentence for every shard that another tool has written, or that is made anew."""
        return [*self.found.notices(folder), *(f"{folder / name} is damaged ({fault}): it is made anew"
                                               for name, fault in self.found.damaged.items())]


def earlier_result(folder: Path, plan: Plan, reading: Update) -> Result | None:
    """Return what a finished run has left, or None when no run was finished; errors as :class:`Result`."""
    return Result(folder, plan, reading) if (folder / MANIFEST).is_file() else None

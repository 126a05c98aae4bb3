"""Saving a model that holds packed streams: as a copy of the folder that it was loaded from, if nothing has changed."""

import shutil
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from host.checkpoint.container import METHOD
from host.checkpoint.manifest import MANIFEST, read_manifest
from host.errors import UserError

__all__ = ["copy_folder"]

_CURE = "load the folder with quantization_config=SeedlmConfig(decode=\"on_load\") to save ordinary weights"
_IGNORED = ("is_main_process", "max_shard_size", "safe_serialization")
"""Arguments of ``save_pretrained`` that mean nothing for a copy."""


def _require_unchanged(model: PreTrainedModel, folder: Path) -> None:
    """Compare a model with its folder, which is loaded again. UserError when they differ."""
    fresh = type(model).from_pretrained(folder, variant=METHOD, dtype=model.dtype)
    now, wanted = model.state_dict(), fresh.state_dict()
    for name in now.keys() | wanted.keys():
        if name not in now or name not in wanted or not torch.equal(now[name].cpu(), wanted[name]):
            raise UserError(f"{name} is not as in {folder}: {_CURE}")
    for what in ("config", "generation_config"):
        settings = [getattr(one, what).to_diff_dict() if hasattr(one, what) else {} for one in (model, fresh)]
        if settings[0] != settings[1]:
            raise UserError(f"the {what} of the model is not as in {folder}: copy that folder, change the file, and "
                            "give `seedlm-fpga seal`")


def copy_folder(model: PreTrainedModel, folder: Path, save_directory: str | PathLike[str], **settings: Any) -> None:
    """Copy the folder that a model was loaded from; what ``save_pretrained`` does for a model with packed streams.

    Parameters
    ----------
    save_directory : path
        A folder that does not exist or is empty.
    settings
        Other arguments of ``save_pretrained``. ``variant`` may be "seedlm"; sizes of shards are not changed.

    Raises
    ------
    UserError
        When the model is no longer that of the folder, the new folder holds something else, or an argument asks for
        more than a copy.
    """
    asked = {name for name, value in settings.items() if value and name not in _IGNORED
             and (name, value) != ("variant", METHOD)}
    if asked:
        raise UserError(f"save_pretrained({min(asked)}=...) is not possible for a model with packed streams: {_CURE}")
    out = Path(save_directory)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty: choose another folder")
    _require_unchanged(model, folder)
    manifest = read_manifest(folder)
    for name in (*manifest.files, *manifest.shards, MANIFEST):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)

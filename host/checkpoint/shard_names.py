"""Names of the files of weights in a folder, as transformers gives them.

A compressed folder's files are named as those of transformers' variant ``seedlm`` (``_add_variant`` in
src/transformers/modeling_utils.py). A loader that does not ask for this variant finds no weights and stops, where it
would otherwise take packed streams for weights that are missing.
"""

import re

__all__ = ["INDEX", "PLAIN_INDEX", "VARIANT", "is_shard_name", "plain_names", "shard_names"]

VARIANT = "seedlm"
"""The ``variant`` by which transformers finds the shards of a compressed folder."""
PLAIN_INDEX = "model.safetensors.index.json"
"""Name of the file that says which shard of an ordinary folder holds a tensor, where there are several shards."""
INDEX = f"model.safetensors.index.{VARIANT}.json"
"""Name of the same file in a compressed folder."""


def _names(stem: str, count: int) -> list[str]:
    """Return the names of ``count`` shards."""
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def plain_names(count: int) -> list[str]:
    """Return the names of the shards of an ordinary folder that has ``count`` of them, in order."""
    return _names("model", count)


def shard_names(count: int) -> list[str]:
    """Return the names of the shards of a compressed folder that has ``count`` of them, in order."""
    return _names(f"model.{VARIANT}", count)


def is_shard_name(name: str) -> bool:
    """Whether a name is that of a shard of a compressed folder, of any number of shards."""
    return bool(re.fullmatch(rf"model\.{VARIANT}(-[0-9]{{5,}}-of-[0-9]{{5,}})?\.safetensors", name))

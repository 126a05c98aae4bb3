"""Decompression: a compressed folder is turned back into a plain Hugging Face folder."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from host.checkpoint.container import CompressedFiles, CompressedTensor, open_compressed
from host.checkpoint.shards import Content, durable, storing, write_file, write_shard
from host.errors import UserError
from host.packing import decode
from host.packing.stream import lanes

__all__ = ["DTYPES", "decompress"]

DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
"""Types that weights can be written in, by their names in safetensors."""

_PIECE = 1 << 21  # weights decoded at a time
_INDEX = "model.safetensors.index.json"


def _content(files: CompressedFiles, name: str, tensor: CompressedTensor, kind: str,
             progress: Callable[[str, int], None]) -> Content:
    """Return a tensor as it will be written: decoded some groups of rows at a time, in the type ``kind``."""
    side, (rows, cols) = lanes(tensor.fmt), tensor.shape
    step = max(_PIECE // (cols * side), 1) * side

    def pieces() -> Iterator[bytes]:
        for start in range(0, rows, step):
            matrix = files.matrix(name, slice(start, start + step))
            with np.errstate(over="ignore"):
                values = decode.weights(matrix).astype(DTYPES[kind])
            if not np.isfinite(values).all():
                raise UserError(f"{name} has weights beyond the range of {kind}: decompress with --dtype f32")
            progress(name, matrix.seeds.size)
            yield values.tobytes()

    return Content(name, kind, tensor.shape, math.prod(tensor.shape) * np.dtype(DTYPES[kind]).itemsize, pieces)


def _finish(files: CompressedFiles, folder: Path, out: Path, shard_of: dict[str, str]) -> None:
    """Write what makes a Hugging Face folder of the shards: the index, the other files of ``folder``, and the config.

    The config comes last, so that a folder with one is complete.
    """
    with storing(out):
        if len(files.files) > 1:
            index = json.dumps({"metadata": {}, "weight_map": shard_of}, indent=1)
            write_file(out / _INDEX, out / f"{_INDEX}.part", index + "\n")
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".safetensors" and path.name not in ("config.json", _INDEX):
                durable(out / path.name, out / f"{path.name}.part", iter([path.read_bytes()]))
        config = {key: value for key, value in files.config().items() if key != "quantization_config"}
        write_file(out / "config.json", out / "config.json.part", json.dumps(config, indent=1) + "\n")


def decompress(folder: Path, out: Path, dtype: str | None = None,
               progress: Callable[[str, int, int], None] = lambda tensor, done, total: None) -> None:
    """Write the weights that a compressed folder stands for as plain safetensors.

    Parameters
    ----------
    out : Path
        A folder that does not exist or is empty.
    dtype : str, optional
        A key of :data:`DTYPES`. Default: the type that each tensor had before compression, or F32 where that is none
        of these.
    progress : callable
        Called with the name of the tensor at hand, the number of blocks done and that of all blocks.

    Raises
    ------
    UserError
        When a stream is damaged, ``out`` holds something or cannot be written, or a weight is beyond ``dtype``.
    """
    files = open_compressed(folder)
    if dtype not in (None, *DTYPES):
        raise UserError(f"no type {dtype}: choose one of {', '.join(DTYPES).lower()}")
    with storing(out):
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise UserError(f"output folder {out} is not empty: give a new one, or remove it first")
    total = sum(tensor.shape[0] * -(-tensor.shape[1] // tensor.fmt.c) for tensor in files.compressed.values())
    done = 0

    def count(name: str, blocks: int) -> None:
        nonlocal done
        done += blocks
        progress(name, done, total)

    shard_of: dict[str, str] = {}
    for path in files.files:
        contents = []
        for name in files.held(path):
            shard_of[name] = path.name
            if name in files.compressed:
                files.verify(name)
                tensor = files.compressed[name]
                kind = dtype or (tensor.dtype if tensor.dtype in DTYPES else "F32")
                contents.append(_content(files, name, tensor, kind, count))
            else:
                contents.append(files.raw(name))
        with storing(out):
            write_shard(out / path.name, out / f"{path.name}.part", contents, {"format": "pt"})
    _finish(files, folder, out, shard_of)

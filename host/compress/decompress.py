"""Turn a compressed folder back into a plain Hugging Face folder."""

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

_PIECE = 1 << 21  # weights decoded at a time
_INDEX = "model.safetensors.index.json"


def _content(files: CompressedFiles, name: str, tensor: CompressedTensor, kind: str,
             progress: Callable[[str, int], None]) -> Content:
    """A tensor as it will be written, decoded row by row."""
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


def decompress(folder: Path, out: Path, dtype: str | None = None,
               progress: Callable[[str, int, int], None] = lambda tensor, done, total: None) -> None:
    """Write the weights that a compressed folder stands for as plain safetensors.

    Parameters
    ----------
    out : Path
        A folder that is not there or empty.
    dtype : str, optional
        A key of :data:`DTYPES`. Default: what each tensor had before, F32 when that was no such type.
    progress : callable
        Told the tensor at hand, blocks done and blocks in all.

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
    with storing(out):
        if len(files.files) > 1:
            write_file(out / _INDEX, out / f"{_INDEX}.part", json.dumps({"metadata": {}, "weight_map": shard_of},
                                                                        indent=1) + "\n")
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".safetensors" and path.name not in ("config.json", _INDEX):
                durable(out / path.name, out / f"{path.name}.part", iter([path.read_bytes()]))
        config = {key: value for key, value in files.config().items() if key != "quantization_config"}
        write_file(out / "config.json", out / "config.json.part", json.dumps(config, indent=1) + "\n")

"""A model of a few kilobytes that is compressed in milliseconds, and what its tests share."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from host.compress.here import run_here
from host.compress.plan import Options, Slice
from host.compress.slices import Encoded, Work

__all__ = ["FFN", "SMALL", "WIDTH", "Stop", "content", "flip", "folder", "laid", "stopping", "tensors"]

WIDTH, FFN = 48, 80
PARTS_OF_LAYER = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.k_proj": (16, WIDTH), "mlp.down_proj": (WIDTH, FFN)}
SMALL = Options("8,3,8", slice_weights=16 * WIDTH)


def tensors(layers: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    named = {f"model.layers.{i}.{part}.weight": rng.normal(0, 0.02, shape).astype(ml_dtypes.bfloat16)
             for i in range(layers) for part, shape in PARTS_OF_LAYER.items()}
    named["model.embed_tokens.weight"] = rng.normal(size=(40, WIDTH)).astype(np.float16)
    named["model.norm.weight"] = np.ones(WIDTH, np.float32)
    named["model.positions"] = np.arange(7, dtype=np.int64)
    return named


def folder(path: Path, layers: int = 2, **more: np.ndarray) -> Path:
    """A Hugging Face folder of two shards."""
    path.mkdir()
    named = tensors(layers) | more
    shard_of = {name: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, name in enumerate(named)}
    for shard in set(shard_of.values()):
        save_file({n: v for n, v in named.items() if shard_of[n] == shard}, path / shard)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shard_of}))
    (path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": WIDTH}))
    (path / "tokenizer.json").write_text("{}")
    return path


def content(path: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def laid(path: Path, files: dict[str, bytes]) -> None:
    """Make a folder with these files."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


class Stop(Exception):
    pass


def stopping(after: int) -> Callable[..., Iterator[tuple[Slice, Encoded]]]:
    """A runner that dies before its slice number ``after``."""
    def run(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        for n, done in enumerate(run_here(work, partial)):
            if n == after:
                raise Stop
            yield done

    return run

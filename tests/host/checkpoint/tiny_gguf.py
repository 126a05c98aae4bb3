"""A complete GGUF file of a llama of one layer, written without PyTorch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, FFN, WORDS = 32, 64, 40
SHAPES = {"token_embd": (WORDS, WIDTH), "output_norm": (WIDTH,), "blk.0.attn_norm": (WIDTH,),
          "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH // 2, WIDTH), "blk.0.attn_v": (WIDTH // 2, WIDTH),
          "blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_norm": (WIDTH,), "blk.0.ffn_gate": (FFN, WIDTH),
          "blk.0.ffn_up": (FFN, WIDTH), "blk.0.ffn_down": (WIDTH, FFN)}


def tensors() -> dict[str, np.ndarray]:
    """The weights, by the names in the file."""
    rng = np.random.default_rng(5)
    return {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def write_tiny(path: Path, kinds: Mapping[str, str] | None = None, more: Callable[[gguf.GGUFWriter], Any] | None = None,
               architecture: str = "llama", without: tuple[str, ...] = (), **split: int) -> Path:
    """Write the file.

    Parameters
    ----------
    kinds : mapping, optional
        Types of tensors that are not F32, by name.
    more : callable, optional
        Adds what else the file says, or other tensors.
    without : tuple of str
        Settings, without the architecture, and tensors that are left out.
    split : int
        Parameters of GGUFWriter for split files.
    """
    writer = gguf.GGUFWriter(path, architecture, **split)  # type: ignore[arg-type]
    settings = {"block_count": 1, "context_length": 128, "embedding_length": WIDTH, "feed_forward_length": FFN,
                "attention.head_count": 4, "attention.head_count_kv": 2}
    for key, value in settings.items():
        if key not in without:
            writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_layer_norm_rms_eps(1e-5)
    if more:
        more(writer)
    for name, values in tensors().items():
        if name not in without:
            kind = gguf.GGMLQuantizationType[(kinds or {}).get(name, "F32")]
            data = values if kind == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(values, kind)
            writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

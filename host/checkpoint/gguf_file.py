"""Weights of a GGUF file (llama.cpp), under their Hugging Face names and in Hugging Face's row order."""

import math
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import gguf
import ml_dtypes
import numpy as np

from host.checkpoint.shards import Content
from host.errors import UserError

__all__ = ["GgufFile", "canonical"]

_HEADS = re.compile(r".*\.(?P<part>q|k)_proj\.(weight|bias)")
_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
_KEYS = ("split.count", "general.architecture", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id")
_CONFIG = {
    "hidden_size": "embedding_length", "intermediate_size": "feed_forward_length", "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count", "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length", "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon", "rope_theta": "rope.freq_base",
}
_KEPT = {"F16": ("F16", np.float16), "BF16": ("BF16", ml_dtypes.bfloat16)}
_PIECE = 1 << 22  # elements copied at a time
_TENSOR = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<kind>weight|bias)")


class _Reader(gguf.GGUFReader):
    """The library's reader with another access to the file's bytes.

    The library accepts a short read at the end of a file; here that is an error. Its access through ``np.memmap`` also
    takes seconds for a large vocabulary.
    """

    def _get(self, offset: int, dtype: Any, count: int = 1,
             override_order: Literal["I", "S", "<"] | None = None) -> np.ndarray:
        kind = np.dtype(dtype).newbyteorder(override_order or self.byte_order)
        if offset + kind.itemsize * int(count) > len(self.data):
            raise ValueError("the file ends too early")
        return np.frombuffer(self.data, kind, int(count), offset)


def canonical(name: str) -> str:
    """Return the Hugging Face name of a GGUF tensor of a Llama-like model. Other names stay as they are."""
    match = _TENSOR.fullmatch(name)
    if match is None or match["part"] not in _NAMES:
        return name
    layer = f"model.layers.{match['layer']}." if match["layer"] else ""
    return f"{layer}{_NAMES[match['part']]}.{match['kind']}"


class GgufFile:
    """One GGUF file.

    ``tensors`` maps canonical names to (shape, storage type), and ``files`` holds the path of the file.

    Raises
    ------
    UserError
        When the file is not a complete GGUF file, or one part of several.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.files = [self.path]
        try:
            reader = _Reader(self.path)
            found = {key: reader.get_field(key) for key in _KEYS}
            self._metadata = {key: field.contents() if field else None for key, field in found.items()}
            prefix = f"{self._metadata['general.architecture']}."
            self._settings = {key.removeprefix(prefix): field.contents() for key, field in reader.fields.items()
                              if key.startswith(prefix)}
            self._tensors = {canonical(tensor.name): tensor for tensor in reader.tensors}
        except Exception as error:  # whatever NumPy makes of random bytes
            reason = "" if isinstance(error, MemoryError) else f" ({error})"
            raise UserError(f"{self.path} is not a complete GGUF file{reason}: download it again") from error
        if self._metadata["split.count"] not in (None, 0, 1):
            raise UserError(f"{self.path} is one part of a split GGUF: join the parts with llama-gguf-split --merge")
        self.tensors = {name: (tuple(int(n) for n in reversed(tensor.shape)), tensor.tensor_type.name)
                        for name, tensor in self._tensors.items()}

    def _row_order(self, name: str) -> np.ndarray | None:
        """Return for each row of the Hugging Face tensor its place in the file, or None where the order is the same.

        llama.cpp's converter interleaves the two halves of every head in q and k of the ``llama`` architecture, because
        its rotary embedding takes neighbours where Hugging Face's takes halves.
        """
        match, rows = _HEADS.fullmatch(name), self.tensors[name][0][0]
        if match is None or self._metadata["general.architecture"] != "llama":
            return None
        heads = self._settings.get("attention.head_count")
        if match["part"] == "k":
            heads = self._settings.get("attention.head_count_kv") or heads
        if not isinstance(heads, int) or heads <= 0 or rows % (2 * heads):
            raise UserError(f"tensor {name} in {self.path} has {rows} rows, which do not make {heads} heads: "
                            "the file is corrupt, download it again")
        return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).ravel()

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor, dequantised: float32.

        Raises
        ------
        UserError
            When the tensor holds integers, or is quantised in a way that the library does not know.
        """
        tensor = self._tensors[name]
        kind = tensor.tensor_type.name
        order = self._row_order(name)
        data = tensor.data[rows if order is None else order[rows]]
        if kind in ("F64", "F32", "F16"):
            return data.astype(np.float32)
        try:
            return gguf.dequantize(data, tensor.tensor_type)
        except NotImplementedError as error:
            raise UserError(f"tensor {name} in {self.path} is stored as {kind}, which cannot be turned into floats: "
                            "convert the file with llama-quantize to F16 or Q8_0") from error

    def config(self) -> dict[str, Any]:
        """Make the settings of a Hugging Face ``config.json`` from the file's metadata."""
        architecture = self._metadata["general.architecture"]
        config: dict[str, Any] = {"architectures": ["LlamaForCausalLM"]} if architecture == "llama" else {}
        config |= {"model_type": architecture, "hidden_act": "silu"}
        config |= {key: self._settings[ours] for key, ours in _CONFIG.items() if ours in self._settings}
        if "model.embed_tokens.weight" in self.tensors:
            config["vocab_size"] = self.tensors["model.embed_tokens.weight"][0][0]
            config["tie_word_embeddings"] = "lm_head.weight" not in self.tensors
        for key in ("bos_token_id", "eos_token_id"):
            if (value := self._metadata[f"tokenizer.ggml.{key}"]) is not None:
                config[key] = value
        return config

    def raw(self, name: str) -> Content:
        """Return a tensor to be copied: in its own type, or in F32 when safetensors does not have that type.

        Its pieces raise errors as :meth:`read` does.
        """
        shape, kind = self.tensors[name]
        stored, dtype = _KEPT.get(kind, ("F32", np.float32))
        step = max(_PIECE // max(math.prod(shape[1:]), 1), 1)

        def pieces() -> Iterator[bytes]:
            for start in range(0, shape[0], step):
                yield self.read(name, slice(start, start + step)).astype(dtype).tobytes()

        return Content(name, stored, shape, math.prod(shape) * np.dtype(dtype).itemsize, pieces)

"""Weights of a GGUF file (llama.cpp), under their Hugging Face names and in Hugging Face's row order."""

import math
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np

from host.checkpoint.gguf_header import CURE, GgufTensor, read_header
from host.checkpoint.shards import Content
from host.errors import UserError
from host.regular_file import read_range

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
_FRACTIONS = ("rms_norm_eps", "rope_theta")
"""Settings that need not be whole."""
_PLAIN: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_KEPT = {"F16": ("F16", np.float16), "BF16": ("BF16", ml_dtypes.bfloat16)}
_PIECE = 1 << 22  # elements copied at a time
_TENSOR = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.(?P<kind>weight|bias)")


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
        When the file is not a complete GGUF file, is one part of several, or two of its tensors have one canonical
        name.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.files = [self.path]
        header = read_header(self.path, (*_KEYS, *(f"ARCHITECTURE.{key}" for key in _CONFIG.values())))
        self._values = header.values
        if self._values.get("split.count") not in (None, 0, 1):
            raise UserError(f"{self.path} is one part of a split GGUF: join the parts with llama-gguf-split --merge")
        self._architecture = self._values.get("general.architecture")
        if not isinstance(self._architecture, str):
            raise UserError(f"{self.path} does not say in general.architecture which model it is: {CURE}")
        self._tensors: dict[str, GgufTensor] = {}
        for name, tensor in header.tensors.items():
            if name == "__metadata__":  # in safetensors, the name of what is no tensor
                raise UserError(f"{self.path} has a tensor called {name}, which no model has: {CURE}")
            if canonical(name) in self._tensors:
                raise UserError(f"{self.path} has two tensors that are both {canonical(name)}, one of them called "
                                f"{name}: {CURE}")
            self._tensors[canonical(name)] = tensor
        self.tensors = {name: (tensor.shape, tensor.kind.name) for name, tensor in self._tensors.items()}

    def _setting(self, key: str) -> Any:
        """Return a setting of the architecture, which is None where there is none."""
        return self._values.get(f"{self._architecture}.{key}")

    def _stored_rows(self, name: str, rows: range) -> np.ndarray | None:
        """Return the places in the file of rows of the Hugging Face tensor, or None where the order is the same.

        llama.cpp's converter interleaves the two halves of every head in q and k of the ``llama`` architecture, because
        its rotary embedding takes neighbours where Hugging Face's takes halves.
        """
        match, shape = _HEADS.fullmatch(name), self._tensors[name].shape
        if match is None or self._architecture != "llama" or not shape:
            return None
        heads = self._setting("attention.head_count")
        if match["part"] == "k":
            heads = self._setting("attention.head_count_kv") or heads
        if type(heads) is not int or heads <= 0 or shape[0] % (2 * heads):
            raise UserError(f"tensor {name} in {self.path} has {shape[0]} rows, which do not make {heads} heads: "
                            "the file is corrupt, download it again")
        width = shape[0] // heads
        head, place = np.divmod(np.asarray(rows), max(width, 1))
        half, pair = np.divmod(place, max(width // 2, 1))
        return head * width + 2 * pair + half

    def _floats(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows of a tensor, in the file's order, dequantised: float32. Of one dimension, a row is an element."""
        tensor = self._tensors[name]
        if not tensor.size:
            return np.zeros((stop - start, *tensor.shape[1:]), np.float32)
        # A vector is read as a matrix of one row, as its blocks have several elements.
        vector = len(tensor.shape) < 2
        shape, first, last = ((1, *tensor.shape), 0, 1) if vector else (tensor.shape, start, stop)
        row = tensor.size // shape[0]
        content = read_range(self.path, tensor.start + first * row, (last - first) * row, CURE)
        if plain := _PLAIN.get(tensor.kind.name):
            values = np.frombuffer(content, plain).astype(np.float32)
        else:
            blocks = np.frombuffer(content, np.uint8).reshape((last - first) * math.prod(shape[1:-1]), -1)
            values = gguf.dequantize(blocks, tensor.kind)
        return values.reshape(-1)[start:stop] if vector else values.reshape(stop - start, *shape[1:])

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Read rows of a tensor, dequantised: float32.

        Raises
        ------
        UserError
            When the tensor holds integers, or is quantised in a way that the library does not know, or the file can no
            longer be read.
        """
        tensor = self._tensors[name]
        wanted = range(*rows.indices(tensor.shape[0] if tensor.shape else 1))
        if not wanted:
            return np.zeros((0, *tensor.shape[1:]), np.float32)
        stored = self._stored_rows(name, wanted)
        places = np.asarray(wanted) if stored is None else stored
        start, stop = int(places.min()), int(places.max()) + 1
        try:
            values = self._floats(name, start, stop)
        except NotImplementedError as error:
            raise UserError(f"tensor {name} in {self.path} is stored as {tensor.kind.name}, which cannot be turned "
                            "into floats: convert the file with llama-quantize to F16 or Q8_0") from error
        return values[places - start].reshape(len(wanted), *tensor.shape[1:]) if tensor.shape else values.reshape(())

    def _number(self, key: str, whole: bool) -> Any:
        """Return a setting that has to be a number or, for each layer, one; None where there is none.

        Raises
        ------
        UserError
            When it is something else.
        """
        value = self._values.get(key)
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            if type(each) is not int and (whole or type(each) is not float or not math.isfinite(each)):
                raise UserError(f"{key} in {self.path} must be a {'whole' if whole else 'finite'} number, not "
                                f"{each!r}: {CURE}")
        return value

    def config(self) -> dict[str, Any]:
        """Make the settings of a Hugging Face ``config.json`` from the file's metadata.

        Raises
        ------
        UserError
            When one of them has not the type that it must have.
        """
        config: dict[str, Any] = {"architectures": ["LlamaForCausalLM"]} if self._architecture == "llama" else {}
        config |= {"model_type": self._architecture, "hidden_act": "silu"}
        found = {key: self._number(f"{self._architecture}.{ours}", key not in _FRACTIONS)
                 for key, ours in _CONFIG.items()}
        if (embedding := self.tensors.get("model.embed_tokens.weight")) and embedding[0]:
            found["vocab_size"] = embedding[0][0]
            config["tie_word_embeddings"] = "lm_head.weight" not in self.tensors
        found |= {key: self._number(f"tokenizer.ggml.{key}", True) for key in ("bos_token_id", "eos_token_id")}
        return config | {key: value for key, value in found.items() if value is not None}

    def raw(self, name: str) -> Content:
        """Return a tensor to be copied: in its own type, or in F32 when safetensors does not have that type.

        Its pieces raise errors as :meth:`read` does, and when a number is beyond the range of F32.
        """
        shape, kind = self.tensors[name]
        stored, dtype = _KEPT.get(kind, ("F32", np.float32))
        size = math.prod(shape) * np.dtype(dtype).itemsize
        step = max(_PIECE // max(math.prod(shape[1:]), 1), 1)

        def pieces() -> Iterator[bytes]:
            for start in range(0, (shape[0] if shape else 1) if size else 0, step):
                try:
                    with np.errstate(over="raise", invalid="ignore"):
                        content = self.read(name, slice(start, start + step)).astype(dtype).tobytes()
                except FloatingPointError as error:
                    raise UserError(f"tensor {name} in {self.path} holds numbers beyond the range of float32: mend the "
                                    "checkpoint or leave the tensor out") from error
                yield content

        return Content(name, stored, shape, size, pieces)

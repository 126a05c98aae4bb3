"""Shapes of models: which matrices a decoder layer has, how many layers there are, and what else a token reads.

Presets are models of the Llama family; the shape of any other one is read from a Hugging Face ``config.json`` or from a
checkpoint.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.errors import UserError
from host.json_reader import read_json

__all__ = ["INPUTS", "MATRICES", "PRESETS", "ModelShape", "find_model"]

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Matrices of a decoder layer, in the order in which they are run."""
INPUTS = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""By matrix that shares its input vector with another one, which runs before it: the name of that one."""
_HALF_BYTES = 2
_MOST = 1 << 24
"""Greatest dimension that a file may give: a hundred times the largest vocabulary."""


@dataclass(frozen=True)
class ModelShape:
    """Dimensions of a Llama-like model.

    Parameters
    ----------
    name : str
    hidden, ffn : int
        Width of the residual stream and of the feed-forward layer.
    layers : int
        Decoder layers.
    heads, kv_heads, head_dim : int
        Heads of queries, heads of keys and values, and the width of a head.
    vocab : int
        Tokens of the vocabulary, which are the rows of lm_head.
    source : str
        Where the numbers come from.
    path : Path or None
        The checkpoint that they come from, which has the weights too.
    """

    name: str
    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    source: str
    path: Path | None = None

    def shape(self, matrix: str) -> tuple[int, int]:
        """Return rows and columns of a matrix of :data:`MATRICES`, or of ``lm_head``, whether it is tied or not."""
        hidden, ffn, q, kv = self.hidden, self.ffn, self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {"q_proj": (q, hidden), "k_proj": (kv, hidden), "v_proj": (kv, hidden), "o_proj": (hidden, q),
                "gate_proj": (ffn, hidden), "up_proj": (ffn, hidden), "down_proj": (hidden, ffn),
                "lm_head": (self.vocab, hidden)}[matrix]

    @property
    def layer_weights(self) -> int:
        """Number of weights of a decoder layer's matrices."""
        return sum(rows * cols for rows, cols in map(self.shape, MATRICES))

    @property
    def streamed_weights(self) -> int:
        """Number of weights that a token reads: those of all layers and of lm_head."""
        return self.layers * self.layer_weights + self.vocab * self.hidden

    def kv_cache_bytes(self, context: int) -> int:
        """Return the bytes of keys and values, in FP16, that a token reads after ``context`` others."""
        return 2 * self.layers * self.kv_heads * self.head_dim * _HALF_BYTES * context


_CHECKED = "; checked against the published number of parameters"
_META = f"Meta's config.json as published on Hugging Face{_CHECKED}"

PRESETS = {model.name: model for model in (
    ModelShape("TinyLlama-1.1B", 2048, 5632, 22, 32, 4, 64, 32000,
               f"TinyLlama-1.1B-Chat-v1.0's config.json as published on Hugging Face{_CHECKED}, 1,100,048,384"),
    ModelShape("Llama-3.2-1B", 2048, 8192, 16, 32, 8, 64, 128256, f"{_META}, 1,235,814,400, lm_head is tied"),
    ModelShape("Llama-3.2-3B", 3072, 8192, 28, 24, 8, 128, 128256, f"{_META}, 3,212,749,824, lm_head is tied"),
    ModelShape("Llama-2-7B", 4096, 11008, 32, 32, 32, 128, 32000, f"{_META}, 6,738,415,616"),
    ModelShape("Llama-3-8B", 4096, 14336, 32, 32, 8, 128, 128256, f"{_META}, 8,030,261,248; Llama-3.1-8B is alike"),
    ModelShape("Llama-2-13B", 5120, 13824, 40, 40, 40, 128, 32000, f"{_META}, 13,015,864,320"),
    ModelShape("Llama-2-70B", 8192, 28672, 80, 64, 8, 128, 32000, f"{_META}, 68,976,648,192"),
    ModelShape("Llama-3-70B", 8192, 28672, 80, 64, 8, 128, 128256, f"{_META}, 70,553,706,496; Llama-3.1-70B is alike"),
    ModelShape("Llama-3.1-405B", 16384, 53248, 126, 128, 8, 128, 128256,
               f"Meta's llama-models, models/llama3_1/api/sku_list.py{_CHECKED}, 405,853,388,800"),
)}
"""By name, small to large. Sizes alone: a layer's cycles do not depend on the weights."""


def _from_file(path: Path) -> ModelShape:
    """Return the shape in a ``config.json``, where kv heads and the width of a head may be missing.

    The model is named after the folder, or after a file of another name.
    """
    settings = read_json(path, "give the config.json of a Llama model as on Hugging Face")

    def number(key: str, default: int | None = None) -> int:
        value = settings[key] if default is None else settings.get(key)
        return default or 0 if value is None else value.whole(1, _MOST)

    hidden, heads = number("hidden_size"), number("num_attention_heads")
    return ModelShape(path.parent.name if path.name == "config.json" else path.stem, hidden,
                      number("intermediate_size"), number("num_hidden_layers"), heads,
                      number("num_key_value_heads", heads), number("head_dim", max(hidden // heads, 1)),
                      number("vocab_size"), str(path))


def _from_checkpoint(checkpoint: Checkpoint) -> ModelShape:
    """Return a shape from a checkpoint's tensors.

    They do not say how wide a head is. A width of 1 gives the same matrices and the same KV cache.
    """
    names = dict(checkpoint.layer_matrices(0))
    (q, hidden), (kv, _), (ffn, _) = (checkpoint.matrix_shape(names[name]) for name in ("q_proj", "k_proj",
                                                                                        "gate_proj"))
    vocab, path = checkpoint.matrix_shape(checkpoint.lm_head)[0], checkpoint.path
    return ModelShape(path.name, hidden, ffn, checkpoint.layers, q, kv, 1, vocab, str(path), path)


def find_model(text: str) -> ModelShape:
    """Return the model called ``text``: a preset, a shape file (``.json``) or a checkpoint.

    Raises
    ------
    UserError
        When there is none, or the file is not what it should be.
    """
    if found := next((model for name, model in PRESETS.items() if name.lower() == text.lower()), None):
        return found
    path = Path(text)
    if path.suffix.lower() == ".json":
        return _from_file(path)
    if path.exists():
        return _from_checkpoint(open_checkpoint(path))
    near = get_close_matches(text, PRESETS, n=1, cutoff=0.7)
    raise UserError(f"unknown model {text!r}: {f'did you mean {near[0]}? ' if near else ''}MODELS are of "
                    f"{', '.join(PRESETS)}, or paths of a config.json or of a checkpoint")

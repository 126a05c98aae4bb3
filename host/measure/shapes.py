"""Shapes of models: which matrices a token reads in each decoder layer, in which order, and how long its KV cache is.

Nothing here reads a file, so that what is measured on random weights does not depend on how files are read.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

from host.errors import UserError
from host.measure.roles import LAYER, inputs

__all__ = ["HEAD", "PRESETS", "KvCache", "LayerShape", "MatrixShape", "ModelShape", "dense", "matrices_of"]

HEAD = "lm_head"
"""Name of the matrix that gives the logits."""
_HALF_BYTES = 2


@dataclass(frozen=True)
class MatrixShape:
    """A matrix of a layer, or one of each expert.

    Parameters
    ----------
    name : str
        Its short name, as :func:`host.measure.roles.short_names` gives it. That of experts, ``experts.down_proj``,
        stands for all of them.
    rows, cols : int
        Outputs and inputs.
    input : str
        Name of the first matrix of the layer that has the same input vector.
    used, held : int
        How many of its kind a token reads, and how many there are: more than 1 for experts only.
    """

    name: str
    rows: int
    cols: int
    input: str
    used: int = 1
    held: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.cols

    @property
    def weights(self) -> int:
        """Number of weights of one of its kind."""
        return self.rows * self.cols


@dataclass(frozen=True)
class LayerShape:
    """Layers of a model that have the same matrices.

    Parameters
    ----------
    name : str
        :data:`~host.measure.roles.LAYER`; or ``layer 0``, after the first of them, where the model has more
        layers of another kind.
    numbers : tuple of int
        Which layers of the model they are.
    matrices : tuple of MatrixShape
        In the order in which a token uses them. Those of routed experts follow one another.
    """

    name: str
    numbers: tuple[int, ...]
    matrices: tuple[MatrixShape, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.numbers)

    @property
    def chain(self) -> tuple[MatrixShape, ...]:
        """All matrices that a token reads, one by one: those of the first experts, expert by expert."""
        found: list[MatrixShape] = []
        for _, group in groupby(self.matrices, lambda matrix: (matrix.used, matrix.held)):
            parts = list(group)
            for expert in range(parts[0].used):
                found += [replace(part, name=part.name.replace("experts.", f"experts.{expert}.", 1), used=1, held=1)
                          if part.name.startswith("experts.") else part for part in parts]
        shared = inputs(matrix.name for matrix in found)
        return tuple(replace(matrix, input=shared[matrix.name]) for matrix in found)

    @property
    def weights(self) -> int:
        """Number of weights that a token reads in such a layer."""
        return sum(matrix.used * matrix.weights for matrix in self.matrices)


@dataclass(frozen=True)
class KvCache:
    """What layers keep of the tokens before.

    Parameters
    ----------
    layers : int
        How many of them there are.
    values : int
        Numbers, in FP16, that a layer keeps of a token: keys and values, or the latent vector that gives both.
    window : int or None
        Tokens that a layer looks back, itself included; None for all.
    """

    layers: int
    values: int
    window: int | None = None

    def bytes(self, context: int) -> int:
        """Return the bytes that a token reads after ``context`` others. Its own keys and values are not read."""
        others = context if self.window is None else min(context, self.window - 1)
        return self.layers * self.values * _HALF_BYTES * others


@dataclass(frozen=True)
class ModelShape:
    """Which matrices a model has.

    Parameters
    ----------
    name : str
    hidden : int
        Width of the residual stream.
    kinds : tuple of LayerShape
        Its decoder layers, by kind, the commonest first.
    vocab : int
        Tokens of the vocabulary, which are the rows of lm_head.
    caches : tuple of KvCache
    source : str
        Where the numbers come from.
    path : Path or None
        The checkpoint that they come from, which has the weights too.
    """

    name: str
    hidden: int
    kinds: tuple[LayerShape, ...]
    vocab: int
    caches: tuple[KvCache, ...]
    source: str
    path: Path | None = None

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return sum(kind.count for kind in self.kinds)

    @property
    def head(self) -> MatrixShape:
        """The matrix that gives the logits, whether it is tied or not."""
        return MatrixShape(HEAD, self.vocab, self.hidden, HEAD)

    def chain(self, name: str) -> tuple[MatrixShape, ...]:
        """Return what is streamed for a name, matrix by matrix: a kind of layers, one matrix of the commonest kind,
        or ``lm_head``.

        Raises
        ------
        UserError
            When the model has nothing of this name.
        """
        if kind := next((kind for kind in self.kinds if kind.name == name), None):
            return kind.chain
        known = {matrix.name: matrix for matrix in (*self.kinds[0].chain, self.head)}
        if name not in known:
            raise UserError(f"unknown matrix {name!r}: MATRICES are of "
                            f"{', '.join((*(kind.name for kind in self.kinds), *known))}, or all, in {self.name}")
        return (known[name],)

    def shape(self, name: str) -> tuple[int, int]:
        """Return rows and columns of a matrix of the commonest layer, or of ``lm_head``. UserError as :meth:`chain`."""
        return self.chain(name)[0].shape

    @property
    def description(self) -> dict[str, object]:
        """The shape in words and numbers, as a report has it."""
        return {"name": self.name, "source": self.source, "path": str(self.path), "layers": self.layers,
                "weights of a token": self.streamed_weights, "weights": self.held_weights,
                "kinds": [{"name": kind.name, "layers": kind.count, "matrices": [
                    f"{matrix.name} {matrix.rows} x {matrix.cols}"
                    + (f", {matrix.used} of {matrix.held} experts" if matrix.held > 1 else "")
                    for matrix in kind.matrices]} for kind in self.kinds],
                "kv_caches": [asdict(cache) for cache in self.caches]}

    @property
    def layer_weights(self) -> int:
        """Number of weights that a token reads in a layer of the commonest kind."""
        return self.kinds[0].weights

    @property
    def streamed_weights(self) -> int:
        """Number of weights that a token reads: those of all layers, of the experts that it uses, and of lm_head."""
        return sum(kind.count * kind.weights for kind in self.kinds) + self.head.weights

    @property
    def held_weights(self) -> int:
        """Number of weights that memory holds for it: as :attr:`streamed_weights`, with all experts."""
        return self.head.weights + sum(kind.count * matrix.held * matrix.weights
                                       for kind in self.kinds for matrix in kind.matrices)

    def kv_cache_bytes(self, context: int) -> int:
        """Return the bytes of keys and values, in FP16, that a token reads after ``context`` others."""
        return sum(cache.bytes(context) for cache in self.caches)


def matrices_of(shapes: Iterable[tuple[str, int, int] | tuple[str, int, int, int, int]]) -> tuple[MatrixShape, ...]:
    """Return the matrices of a layer in the order of their use.

    Parameters
    ----------
    shapes : iterable of tuples
        Name, rows and columns of each matrix; of experts, how many a token uses and how many there are, too.
    """
    shapes = list(shapes)
    shared = inputs(name for name, *_ in shapes)
    return tuple(MatrixShape(name, rows, cols, shared[name], *counts) for name, rows, cols, *counts in shapes)


def dense(name: str, hidden: int, ffn: int, layers: int, heads: int, kv_heads: int, head_dim: int, vocab: int,
          source: str) -> ModelShape:
    """Return the shape of a Llama.

    Parameters
    ----------
    hidden, ffn : int
        Width of the residual stream and of the feed-forward layer.
    layers : int
        Decoder layers.
    heads, kv_heads, head_dim : int
        Heads of queries, heads of keys and values, and the width of a head.
    name, vocab, source
        As in :class:`ModelShape`.
    """
    q, kv = heads * head_dim, kv_heads * head_dim
    matrices = matrices_of([("q_proj", q, hidden), ("k_proj", kv, hidden), ("v_proj", kv, hidden),
                            ("o_proj", hidden, q), ("gate_proj", ffn, hidden), ("up_proj", ffn, hidden),
                            ("down_proj", hidden, ffn)])
    kinds = (LayerShape(LAYER, tuple(range(layers)), matrices),)
    return ModelShape(name, hidden, kinds, vocab, (KvCache(layers, 2 * kv),), source)


_CHECKED = "; checked against the published number of parameters"
_META = f"Meta's config.json as published on Hugging Face{_CHECKED}"

PRESETS = {model.name: model for model in (
    dense("TinyLlama-1.1B", 2048, 5632, 22, 32, 4, 64, 32000,
          f"TinyLlama-1.1B-Chat-v1.0's config.json as published on Hugging Face{_CHECKED}, 1,100,048,384"),
    dense("Llama-3.2-1B", 2048, 8192, 16, 32, 8, 64, 128256, f"{_META}, 1,235,814,400, lm_head is tied"),
    dense("Llama-3.2-3B", 3072, 8192, 28, 24, 8, 128, 128256, f"{_META}, 3,212,749,824, lm_head is tied"),
    dense("Llama-2-7B", 4096, 11008, 32, 32, 32, 128, 32000, f"{_META}, 6,738,415,616"),
    dense("Llama-3-8B", 4096, 14336, 32, 32, 8, 128, 128256, f"{_META}, 8,030,261,248; Llama-3.1-8B is alike"),
    dense("Llama-2-13B", 5120, 13824, 40, 40, 40, 128, 32000, f"{_META}, 13,015,864,320"),
    dense("Llama-2-70B", 8192, 28672, 80, 64, 8, 128, 32000, f"{_META}, 68,976,648,192"),
    dense("Llama-3-70B", 8192, 28672, 80, 64, 8, 128, 128256, f"{_META}, 70,553,706,496; Llama-3.1-70B is alike"),
    dense("Llama-3.1-405B", 16384, 53248, 126, 128, 8, 128, 128256,
          f"Meta's llama-models, models/llama3_1/api/sku_list.py{_CHECKED}, 405,853,388,800"),
)}
"""By name, small to large. Sizes alone: a layer's cycles do not depend on the weights."""

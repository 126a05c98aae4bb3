"""Where the matrices of a decoder layer lie in a checkpoint of any family, and which of them a token uses.

A layer's matrices are those that are compressed by default, and the routers of experts; where the model's family is not
known, all of two dimensions. Experts lie in tensors of
their own or in one tensor of three dimensions, (experts, ...), which :meth:`Checkpoint.matrix` gives as one matrix,
expert below expert. A token uses some of the experts. Because all are of one size, the first ones stand for them.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.json_reader import Json
from host.measure.config_shape import (
    FAMILIES,
    layer_kinds,
    layer_of,
    layer_windows,
    token_caches,
    used_experts,
)
from host.measure.matrices import Matrix
from host.measure.roles import expert_of, has_role, ordered, short_names
from host.measure.shapes import KvCache, MatrixShape, ModelShape, matrices_of

__all__ = ["Place", "StoredLayer", "head_of", "shape_of_checkpoint", "stored_layer"]

_LAYER = re.compile(r"(.*?\.)??(?:layers|layer|h|blocks|block)\.([0-9]{1,6})\.(.+?)(?:\.weight)?$")
_HEADS = ("lm_head.weight", "embed_out.weight", "embed_tokens.weight", "wte.weight", "word_embeddings.weight")
"""Ends of names of the matrix that gives the logits; those of an embedding that is tied to it come last."""


@dataclass(frozen=True)
class Place:
    """Where a matrix lies: the name of its tensor, and the first of its rows in that tensor."""

    tensor: str
    start: int = 0


@dataclass(frozen=True)
class StoredLayer:
    """A decoder layer of a checkpoint.

    Parameters
    ----------
    matrices : tuple of MatrixShape
        As in :class:`~host.measure.shapes.LayerShape`.
    places : dict
        By name of a matrix, as in :attr:`~host.measure.shapes.LayerShape.chain`: where it lies.
    experts : str
        What a report says of a layer's experts; empty when it has none.
    """

    matrices: tuple[MatrixShape, ...]
    places: dict[str, Place]
    experts: str

    def read(self, checkpoint: Checkpoint, matrix: MatrixShape, rows: int | None = None) -> Matrix:
        """Return the weights of a matrix of the chain, or its first ``rows`` rows.

        Raises
        ------
        UserError
            When the checkpoint has no such expert, or its tensor cannot be read.
        """
        if matrix.name not in self.places:
            raise UserError(f"{checkpoint.path} has no {matrix.name}, which a token uses: download the model again")
        place = self.places[matrix.name]
        part = slice(place.start, place.start + min(rows or matrix.rows, matrix.rows))
        return Matrix(matrix.name, checkpoint.matrix(place.tensor, part), checkpoint.stored(place.tensor, part),
                      matrix.input)


def _compressed(checkpoint: Checkpoint, matches: dict[str, re.Match[str]]) -> set[str]:
    """Return the matrices that are compressed by default, of those whose names were matched.

    Raises
    ------
    UserError
        When the family is not known, and a layer has stacks of matrices, of which nobody knows how they lie.
    """
    try:
        return {name for name in checkpoint.compressible() if name in matches}
    except UserError:
        weights = {name for name in matches if name.endswith(".weight") and len(checkpoint.shape(name)) > 1}
        if stack := next((name for name in sorted(matches) if len(checkpoint.shape(name)) > 2), None):
            raise UserError(f"{checkpoint.path} is of no known family, and {stack} has more than two dimensions: give "
                            "a model of a known family") from None
        return weights


def _layers(checkpoint: Checkpoint) -> dict[int, dict[str, str]]:
    """Return the matrices of every layer by its number: names of tensors by what follows the layer's number in them.

    Raises
    ------
    UserError
        When the model has more than one stack of layers.
    """
    matches = {name: match for name in checkpoint.names() if (match := _LAYER.match(name))}
    compressed = _compressed(checkpoint, matches)
    prefixes = list(dict.fromkeys(matches[name][1] for name in matches if name in compressed))
    if len(prefixes) > 1:
        raise UserError(f"{checkpoint.path} has layers below {' and '.join(map(str, prefixes))}: give a model with one "
                        "stack of decoder layers")
    found: dict[int, dict[str, str]] = {}
    for name, match in matches.items():
        if name in compressed or (match[1] in prefixes and name.endswith(".weight") and has_role(match[3])):
            found.setdefault(int(match[2]), {})[match[3]] = name
    return found


def _settings(checkpoint: Checkpoint) -> Json:
    """Return the settings of the language model."""
    json = Json(checkpoint.config(), f"the settings of {checkpoint.path}", "put the model's own config.json beside its "
                "tensors")
    return json.get("text_config") or json


def _layer(checkpoint: Checkpoint, tensors: dict[str, str]) -> StoredLayer:
    """Return a layer, whose tensors are given by what follows the layer's number in their names."""
    short, shapes = short_names(tensors), dict[str, tuple[int, int]]()
    numbers, places = dict[str, list[int]](), dict[str, Place]()
    for part in ordered(tensors):
        name, tensor, expert = short[part], tensors[part], expert_of(part)
        rows, cols = checkpoint.matrix_shape(tensor)
        group = name
        if expert is not None and expert >= 0:
            group = name.replace(f"experts.{expert}.", "experts.", 1)
            numbers.setdefault(group, []).append(expert)
        if len(checkpoint.shape(tensor)) > 2:
            stacked = math.prod(checkpoint.shape(tensor)[:-2])
            rows //= stacked
            group = name if expert is not None else f"experts.{name}"
            numbers[group] = list(range(stacked))
            places |= {group.replace("experts.", f"experts.{each}.", 1): Place(tensor, each * rows)
                       for each in range(stacked)}
        else:
            places[name] = Place(tensor)
        if shapes.setdefault(group, (rows, cols)) != (rows, cols):
            raise UserError(f"tensor {tensor} in {checkpoint.path} has another shape than the same of other experts: "
                            "download the model again")
    counts = {tuple(sorted(each)) for each in numbers.values()}
    if len(counts) > 1 or any(each != tuple(range(len(each))) for each in counts):
        raise UserError(f"the experts of a layer of {checkpoint.path} are not complete: download the model again")
    total = len(counts.pop()) if counts else 0
    used = used_experts(_settings(checkpoint), total) if total else 0
    matrices = matrices_of([(name, *shape, used, total) if name in numbers else (name, *shape)
                            for name, shape in shapes.items()])
    which = "expert 0" if used == 1 else f"experts 0 to {used - 1}"
    return StoredLayer(matrices, places, f"{which} of {total}, for the {used} that a token uses" if total else "")


def _whole_layer(checkpoint: Checkpoint, layer: int, tensors: dict[str, str]) -> StoredLayer:
    """Return a layer. It is refused where the model's settings say what a layer has and it lacks one of these."""
    found, settings = _layer(checkpoint, tensors), _settings(checkpoint)
    if (kind := settings.get("model_type")) and kind.text() in FAMILIES:
        names = {matrix.name for matrix in found.matrices}
        for matrix in layer_of(settings, layer):
            if matrix.name not in names:
                raise UserError(f"layer {layer} of {checkpoint.path} has no {matrix.name}: download the model again")
    return found


def stored_layer(checkpoint: Checkpoint, layer: int) -> StoredLayer:
    """Return a decoder layer.

    Raises
    ------
    UserError
        When there is no such layer, it lacks a matrix, its experts are not complete, or nothing says how many of them a
        token uses.
    """
    layers = _layers(checkpoint)
    if layer not in layers:
        have = f"has layers up to {max(layers)}" if layers else "has no decoder layers"
        raise UserError(f"no layer {layer} in {checkpoint.path}, which {have}: choose another")
    return _whole_layer(checkpoint, layer, layers[layer])


def head_of(checkpoint: Checkpoint) -> str:
    """Return the name of the matrix that gives the logits: the embedding where the two are tied.

    Raises
    ------
    UserError
        When there is neither.
    """
    for end in _HEADS:
        if name := next((name for name in checkpoint.names() if f".{name}".endswith(f".{end}")), None):
            return name
    raise UserError(f"{checkpoint.path} has neither lm_head.weight nor embed_tokens.weight: give a whole model")


def _caches(checkpoint: Checkpoint, layers: list[tuple[MatrixShape, ...]]) -> tuple[KvCache, ...]:
    """Return what the layers keep of the tokens before: as the settings say, or else as wide as keys and values are.

    Raises
    ------
    UserError
        When neither says it.
    """
    settings = _settings(checkpoint)
    if (kind := settings.get("model_type")) and kind.text() in FAMILIES:
        caches = token_caches(settings)
        if sum(cache.layers for cache in caches) != len(layers):
            settings.refuse(f"is of {sum(cache.layers for cache in caches)} layers, and the tensors are of "
                            f"{len(layers)}")
        return caches
    widths = [sum(matrix.rows for matrix in layer if matrix.name in ("k_proj", "v_proj")) for layer in layers]
    if 0 in widths:
        settings["model_type"].refuse(f"is none of {', '.join(sorted(FAMILIES))}, and there are no k_proj and v_proj")
    kinds = Counter(zip(widths, layer_windows(settings, len(layers)), strict=True))
    return tuple(KvCache(count, width, window) for (width, window), count in kinds.items())


def shape_of_checkpoint(checkpoint: Checkpoint) -> ModelShape:
    """Return the shape of a checkpoint.

    Raises
    ------
    UserError
        As :func:`stored_layer`, and when it has no lm_head, or how much it keeps of a token is not known.
    """
    found = _layers(checkpoint)
    if not found:
        stored_layer(checkpoint, 0)
    layers = {number: _whole_layer(checkpoint, number, tensors).matrices for number, tensors in found.items()}
    vocab, hidden = checkpoint.matrix_shape(head_of(checkpoint))
    path = checkpoint.path
    caches = _caches(checkpoint, list(layers.values()))
    return ModelShape(path.name, hidden, layer_kinds(layers), vocab, caches, str(path), path)

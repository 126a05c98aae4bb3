"""Where the tensors of a compressed folder go in a model of transformers, and how they get there.

transformers gives a model's tensors other names and other forms than its checkpoint has: weights of experts are
stacked, some are split or joined. These steps are a list of ``WeightRenaming`` and ``WeightConverter``. Here, three
kinds of steps are put between them:

1. Before all others, a stream takes the name of the tensor that it stands for. All steps of the model then see the
   names that they would see in the decompressed folder.
2. After the last renaming, streams that are decoded on the fly take the name of their buffer.
3. Every converter decodes what is still a stream before it does its own work; a last one decodes the streams that the
   model takes as they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.core_model_loading import (
    ConversionOps,
    WeightConverter,
    WeightRenaming,
    WeightTransform,
    apply_renamings,
    build_glob_alternation,
    dot_natural_key,
    rename_source_key,
)
from transformers.pytorch_utils import Conv1D

from host.checkpoint.manifest import SUFFIX, CompressedTensor
from host.errors import UserError
from host.hf.packed import STREAM, decoded, pack_module, stream_fault

__all__ = ["Placing"]

_PLAIN = "seedlm stream"
"""Source pattern of the converter for tensors without another one. No name matches it as a regular expression."""


class _Names(WeightRenaming):
    """A renaming of whole names, by a table."""

    __slots__ = ("table",)

    def __init__(self, table: Mapping[str, str]) -> None:
        super().__init__(_PLAIN, _PLAIN)
        self.table = table

    def rename_source_key(self, source_key: str) -> tuple[str, str | None]:
        if source_key not in self.table:
            return source_key, None
        return self.table[source_key], _PLAIN


class _Decoding(ConversionOps):
    """The step that turns streams into weights.

    Parameters
    ----------
    tensors : mapping
        The compressed tensors by their original names.
    dtypes : mapping
        The type of every tensor of the model, by its name there.

    Members
    -------
    sources : dict
        The original names of the tensors that become a target, in the order in which the loader gives them, by the
        target's name and the converter's source pattern.
    plain : set of str
        Names, as they are after all renamings, of the streams that the model takes as they are, but decoded.
    faults : list of str
        What is wrong with streams. The loader would only log an exception.
    """

    def __init__(self, tensors: Mapping[str, CompressedTensor], dtypes: Mapping[str, torch.dtype]) -> None:
        self.tensors, self.dtypes = tensors, dtypes
        self.sources: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.plain: set[str] = set()
        self.faults: list[str] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Decoding":
        return self  # the loader copies the steps of every target

    def _decoded(self, name: str, value: Tensor, dtype: torch.dtype) -> Tensor:
        tensor = self.tensors.get(name)
        if tensor is None:
            return value
        if fault := stream_fault(name, tensor, value, dtype):
            self.faults.append(fault)
        return decoded(tensor, value, dtype)

    def convert(self, input_dict: dict[str, Any], source_patterns: list[str], target_patterns: list[str], *,
                full_layer_name: str = "", **kwargs: Any) -> dict[str, Any]:
        """Return the input with weights in place of streams; the only one of :class:`_Plain` has the target's name."""
        values = {pattern: [self._decoded(name, value, self.dtypes[full_layer_name]) for name, value
                            in zip(self.sources[full_layer_name, pattern], streams, strict=True)]
                  for pattern, streams in input_dict.items()}
        return {full_layer_name: values[_PLAIN]} if _PLAIN in values else values


class _Plain(WeightConverter):
    """The converter of streams that no converter of the model takes."""

    __slots__ = ("decoding",)

    def __init__(self, decoding: _Decoding) -> None:
        super().__init__([_PLAIN], [_PLAIN], [decoding])
        self.decoding = decoding

    def rename_source_key(self, source_key: str) -> tuple[str, str | None]:
        return source_key, _PLAIN if source_key in self.decoding.plain else None


def _linear(model: nn.Module, target: str) -> nn.Module | None:
    """Return the linear layer whose weight a target is, if it is one."""
    path, _, name = target.rpartition(".")
    module = model.get_submodule(path)
    return module if name == "weight" and isinstance(module, nn.Linear | Conv1D) else None


def _dtypes(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Return the type that the loader gives to each tensor of a model."""
    found = {name: value.dtype for name, value in model.state_dict().items()}
    if plan := model._get_dtype_plan(dtype):
        special, by_group, _ = build_glob_alternation(list(plan))
        found |= {name: plan[by_group[match.lastgroup]] for name in found if (match := special.search(name))}
    return found


class Placing:
    """How the tensors of a folder get into a model.

    Parameters
    ----------
    steps : list of WeightTransform
        What the model does with the tensors of an ordinary folder.
    model : PreTrainedModel
        The model without weights. Where streams are decoded on the fly, its linear layers are changed.
    tensors : mapping
        The compressed tensors of the folder by their original names.
    names : iterable of str
        The original names of all tensors of the folder.
    dtype : torch.dtype
        The type of the model.
    on_the_fly : bool
        Whether linear layers keep their streams. All else is decoded while it is loaded.

    Members
    -------
    steps : list of WeightTransform
        The model's steps of loading together with those for streams.
    packed : dict
        The layers that keep their streams, by the original name of the tensor.
    decoded : list of str
        Original names of the tensors that are decoded while they are loaded.

    Raises
    ------
    UserError
        When a tensor is of another shape than the model's.
    """

    def __init__(self, steps: list[WeightTransform], model: PreTrainedModel, tensors: Mapping[str, CompressedTensor],
                 names: Iterable[str], dtype: torch.dtype, on_the_fly: bool) -> None:
        self._model, self._state = model, model.state_dict()
        self._renamings = [step for step in steps if isinstance(step, WeightRenaming)]
        self._converters = [step for step in steps if isinstance(step, WeightConverter)]
        self._tied = {*model.all_tied_weights_keys, *model.all_tied_weights_keys.values()}
        self._decoding = _Decoding(tensors, _dtypes(model, dtype))
        self._buffers: dict[str, str] = {}
        self.packed: dict[str, nn.Module] = {}
        self.decoded: list[str] = []
        targets = {name: self._place(name, tensors.get(name), on_the_fly)
                   for name in sorted(names, key=dot_natural_key)}
        for name, module in self.packed.items():
            # Without the mark, transformers would decode the weight, and fill it with random numbers.
            bias = targets[name].removesuffix("weight") + "bias"
            module._is_hf_initialized = bias not in self._state or bias in targets.values()
            pack_module(module, tensors[name], self._decoding.dtypes[targets[name]])
        self.steps = [_Names({name + SUFFIX: name for name in tensors}), *map(self._with_decoding, steps),
                      _Names(self._buffers), _Plain(self._decoding)]

    @property
    def faults(self) -> list[str]:
        """What is wrong with the streams that were decoded while they were loaded."""
        return self._decoding.faults

    def _place(self, name: str, tensor: CompressedTensor | None, on_the_fly: bool) -> str:
        """Decide what becomes of a tensor of the folder, and return its name in the model."""
        target, pattern = rename_source_key(name, self._renamings, self._converters, self._model.base_model_prefix,
                                            self._state)
        if tensor is not None:
            if target not in self._state and name in self._state:
                raise UserError(f"{name} has two names in {type(self._model).__name__}: decompress the folder first")
            if target in self._state and pattern is None:
                self._require_shape(name, tensor, target)
                module = _linear(self._model, target) if on_the_fly and target not in self._tied else None
                before = apply_renamings(name, self._renamings)
                if module is not None:
                    self.packed[name] = module
                    self._buffers[before] = before.removesuffix("weight") + STREAM
                    return target
                self._decoding.plain.add(before)
                pattern = _PLAIN
            self.decoded.append(name)
        if pattern is not None:
            self._decoding.sources[target, pattern].append(name)
        return target

    def _require_shape(self, name: str, tensor: CompressedTensor, target: str) -> None:
        """Refuse a tensor of another shape than the model's. UserError."""
        wanted = tuple(self._state[target].shape)
        if wanted != tensor.shape:
            raise UserError(f"{name} of the folder has shape {tensor.shape}, and {target} of "
                            f"{type(self._model).__name__} has {wanted}: load the folder with its own config.json")

    def _with_decoding(self, step: WeightTransform) -> WeightTransform:
        """Return a step that decodes before it does its own work, where that is a conversion of streams."""
        if not isinstance(step, WeightConverter):
            return step
        patterns = set(step.source_patterns)
        if not any(pattern in patterns and any(name in self._decoding.tensors for name in names)
                   for (_, pattern), names in self._decoding.sources.items()):
            return step
        return step.copy(list(step._original_source_patterns), list(step._original_target_patterns),
                         operations=[self._decoding, *step.operations])

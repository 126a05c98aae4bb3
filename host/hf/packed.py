"""Modules that hold a packed stream in place of a weight, and decode it each time the weight is asked for."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from host.checkpoint.manifest import CompressedTensor
from host.hf.decode import decode, greatest, zero_seeds

__all__ = ["STREAM", "decoded", "pack_module", "stream_fault"]

STREAM = "weight_seedlm"
"""Name of the buffer with the stream, beside the parameters of a module."""


def decoded(tensor: CompressedTensor, stream: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weights of a compressed tensor, of the tensor's shape and on the stream's device."""
    return decode(stream, tensor.fmt, tensor.shape, tensor.exponent_bias, dtype, tensor.transposed)


def stream_fault(name: str, tensor: CompressedTensor, stream: Tensor, dtype: torch.dtype) -> str:
    """Return why a stream does not stand for weights of a type; empty when it does."""
    if zero_seeds(stream, tensor.fmt, tensor.shape, tensor.transposed):
        return f"the stream of {name} is damaged (it has the seed 0): compress the model again"
    if (greatest(tensor.fmt, tensor.exponent_bias) > torch.finfo(dtype).max
            and not decoded(tensor, stream, dtype).isfinite().all()):
        return f"{name} has weights beyond the range of {dtype}: load the folder with dtype=torch.float32"
    return ""


_CLASSES: dict[type, type] = {}
"""The class of modules with a stream, by the class without."""


def _packed(kind: type[nn.Module]) -> type[nn.Module]:
    """Return the class of modules that are like those of another class, but whose ``weight`` is decoded."""
    def weight(self: nn.Module) -> Tensor:
        """The decoded weight, a new tensor each time."""
        first, *others = self._seedlm_dtypes
        value = decoded(self._seedlm_tensor, self._buffers[STREAM], first)
        for dtype in others:
            value = value.to(dtype)
        return value

    def apply(self: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """What ``to(dtype)`` and the like call: the weight takes all types that an ordinary one would have had, one
        after the other, because each rounds it."""
        dtype = fn(torch.empty(0, dtype=self._seedlm_dtypes[-1], device=self._buffers[STREAM].device)).dtype
        if dtype != self._seedlm_dtypes[-1]:
            self._seedlm_dtypes = (*self._seedlm_dtypes, dtype)
        return kind._apply(self, fn, recurse)

    def extra_repr(self: nn.Module) -> str:
        return f"{kind.extra_repr(self)}, format={self._seedlm_tensor.format}"

    members = {"weight": property(weight), "_apply": apply, "extra_repr": extra_repr, "__module__": __name__}
    return _CLASSES.setdefault(kind, type(f"Seedlm{kind.__name__}", (kind,), members))


def pack_module(module: nn.Module, tensor: CompressedTensor, dtype: torch.dtype) -> None:
    """Take the parameter ``weight`` from a module, and give it the buffer :data:`STREAM` of the tensor's size.

    Afterwards, ``module.weight`` is decoded from the buffer to ``dtype`` each time it is read, and then turned into the
    types that the module was moved to.
    """
    device = module._parameters.pop("weight").device
    module.__class__ = _packed(type(module))
    module.register_buffer(STREAM, torch.empty(tensor.stream_bytes, dtype=torch.uint8, device=device))
    module._seedlm_tensor, module._seedlm_dtypes = tensor, (dtype,)

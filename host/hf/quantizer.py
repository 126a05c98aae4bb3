"""The loader of compressed folders, as transformers calls it."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.core_model_loading import WeightTransform
from transformers.quantizers.auto import register_quantizer
from transformers.quantizers.base import HfQuantizer

from host.checkpoint.container import METHOD, NOTE_KEY, CompressedFiles, open_compressed
from host.checkpoint.manifest import MANIFEST
from host.errors import UserError
from host.hf.config import SeedlmConfig
from host.hf.decode import BIAS_MOST
from host.hf.packed import STREAM, stream_fault
from host.hf.placing import Placing
from host.hf.saving import copy_folder

__all__ = ["SeedlmQuantizer"]

_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def _folder(checkpoint_files: list[str], model: PreTrainedModel) -> CompressedFiles:
    """Open the folder that transformers has found its files in, and compare every shard with the manifest.

    Raises
    ------
    UserError
        When a file is missing, changed or damaged.
    """
    folder = Path(checkpoint_files[0]).parent
    if folder.parent.name == "snapshots" and not (folder / MANIFEST).is_file():
        raise UserError(f"{MANIFEST} of {model.config.name_or_path} is not in the hub's cache: give "
                        f"`hf download {model.config.name_or_path}`")
    files = open_compressed(folder)
    if {Path(name).name for name in checkpoint_files} != set(files.manifest.shards):
        raise UserError(f"{folder} has other files of weights than {MANIFEST} lists: give variant=\"{METHOD}\"")
    files.check(["config.json", *files.manifest.shards])
    for name, tensor in files.compressed.items():
        if abs(tensor.exponent_bias) > BIAS_MOST:
            raise UserError(f"{name} has an exponent bias of {tensor.exponent_bias}, beyond {BIAS_MOST}: use "
                            "`seedlm-fpga decompress`")
    return files


@register_quantizer(METHOD)
class SeedlmQuantizer(HfQuantizer):
    """Puts the tensors of a compressed folder into a model; see :class:`host.hf.config.SeedlmConfig`.

    Raises
    ------
    UserError
        When the model is not from a folder that ``seedlm-fpga compress`` made.
    """

    quantization_config: SeedlmConfig

    def __init__(self, quantization_config: SeedlmConfig, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        if not self.pre_quantized:
            raise UserError("SeedlmConfig is for compressed folders, and this model is none: make one with "
                            "`seedlm-fpga compress`")
        self._files: CompressedFiles | None = None
        self._dtype = torch.float32
        self._placing: Placing | None = None

    def validate_environment(self, *args: Any, **kwargs: Any) -> None:
        """Refuse what would be wrong. UserError."""
        device_map = kwargs.get("device_map")
        if isinstance(device_map, dict) and "disk" in device_map.values():
            raise UserError("layers of a compressed folder cannot be left on the disk: give another device_map")

    def update_attn_implementation(self, config: PreTrainedConfig) -> PreTrainedConfig:
        """Take the note to other loaders out of the model's settings.

        This is the only one of a quantiser's functions that sees the settings before transformers looks for files.
        """
        if hasattr(config, NOTE_KEY):
            delattr(config, NOTE_KEY)
        return config

    def _process_model_before_weight_loading(self, model: PreTrainedModel, *, checkpoint_files: list[str] | None = None,
                                             dtype: torch.dtype | None = None, **kwargs: Any) -> PreTrainedModel:
        """Open the folder. UserError when it is damaged, or the model cannot take it."""
        if not checkpoint_files:
            raise UserError("a compressed model is loaded from its folder, not from a state_dict: give the folder")
        if getattr(model.config, "distributed_config", None) is not None:
            raise UserError("a compressed folder cannot be spread over devices by distributed_config or tp_plan: "
                            "decompress it with `seedlm-fpga decompress`")
        self._dtype = dtype or torch.get_default_dtype()
        if self._dtype not in _TYPES:
            raise UserError(f"weights cannot be decoded to {self._dtype}: choose one of "
                            f"{', '.join(map(str, _TYPES))}")
        self._files = _folder(checkpoint_files, model)
        return model

    def update_weight_conversions(self, weight_conversions: list[WeightTransform],
                                  model: PreTrainedModel) -> list[WeightTransform]:
        """Return the steps of loading together with those for streams; linear layers that keep their streams are
        changed."""
        if self._files is None:
            return weight_conversions
        self._placing = Placing(weight_conversions, model, self._files.compressed, self._files.tensors, self._dtype,
                                not self.quantization_config.dequantize)
        return self._placing.steps

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
        """Check what was loaded. UserError when a stream stands for no weights of the model's type."""
        assert self._placing is not None
        assert self._files is not None
        faults = [*self._placing.faults, *(self._fault(name, module) for name, module in self._placing.packed.items())]
        for fault in filter(None, faults):
            raise UserError(fault)
        if self._placing.packed:
            model.save_pretrained = partial(copy_folder, model, self._files.path)
        self._placing = None
        return model

    def _fault(self, name: str, module: nn.Module) -> str:
        """Return what is wrong with the stream of a layer; empty when nothing is."""
        assert self._files is not None
        stream = module._buffers[STREAM]
        assert stream is not None
        if stream.is_meta:
            return f"the stream of {name} was not loaded: decompress the folder with `seedlm-fpga decompress`"
        return stream_fault(name, self._files.compressed[name], stream, self._dtype)

    def is_serializable(self) -> bool:
        """Whether transformers may write the weights itself: no, it would leave out what they mean."""
        return False

    @property
    def is_trainable(self) -> bool:
        """Whether adapters such as LoRA's can be trained. Packed streams themselves cannot."""
        return True

    @property
    def is_compileable(self) -> bool:
        """The decoder is an operator that torch.compile takes as a whole."""
        return True

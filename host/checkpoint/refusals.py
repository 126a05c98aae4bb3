"""What people have in place of a checkpoint in floats: each is refused by a sentence with its cure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from host.checkpoint.hub import download
from host.errors import UserError
from host.regular_file import open_regular

__all__ = ["refuse_file", "refuse_pointers", "refuse_quantised", "refuse_without_weights"]

_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES = 1024  # a pointer is smaller: docs/spec.md of git-lfs
_ORIGINAL = "give the original checkpoint, in BF16, F16 or F32"
_SAVED = f"{_ORIGINAL}, or what transformers saves after it has loaded this one with "
_CONVERT = ("load it with transformers, as with AutoModelForCausalLM.from_pretrained, and write it with "
            "save_pretrained, which makes safetensors")
_MERGE = "merge it into its base model with merge_and_unload() of PEFT, save that, and give its folder"
_PUBLISHED = "give the folder of the transformers checkpoint, which has .safetensors files"

_CURES = {"fp8": f"{_SAVED}FineGrainedFP8Config(dequantize=True)", "mxfp4": f"{_SAVED}Mxfp4Config(dequantize=True)"}
"""Cures for methods whose floats transformers can give, by ``quant_method``; the classes are transformers'."""
_KEYS = ("quantization_config", "compression_config", "quantization")
"""Fields of config.json that describe a quantisation: of transformers, of old compressed-tensors, and of MLX."""
_FILES = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ", "hf_quant_config.json": "NVIDIA ModelOpt",
          "quanto_qmap.json": "quanto"}
"""Files beside the weights that describe a quantisation, and its method."""
_PACKED = {".qweight": "GPTQ or AWQ", ".weight_packed": "compressed-tensors", ".absmax": "bitsandbytes",
           ".SCB": "bitsandbytes", ".weight_scale": "scaled integers or FP8",
           ".weight_scale_inv": "FP8 with block scales"}
"""Ends of the names of tensors that are no weights themselves, and what writes them."""

_KINDS = {
    "consolidated*.pth": ("the format of the model's makers", _PUBLISHED),
    "openvino_*.bin": ("OpenVINO", _PUBLISHED),
    "*.bin": ("PyTorch", _CONVERT), "*.pt": ("PyTorch", _CONVERT), "*.pth": ("PyTorch", _CONVERT),
    "*.ckpt": ("PyTorch", _CONVERT), "*.h5": ("TensorFlow", _PUBLISHED), "*.msgpack": ("Flax", _PUBLISHED),
    "*.onnx": ("ONNX", _PUBLISHED), "*.npz": ("NumPy", _PUBLISHED),
}
"""Files of weights that are not read, by glob: who writes them, and the cure."""


def refuse_file(path: Path, head: bytes) -> None:
    """Refuse a file that is no checkpoint by itself.

    Parameters
    ----------
    head : bytes
        The first bytes of the file.

    Raises
    ------
    UserError
        When it is a pointer of Git LFS, or of a known kind that is not read.
    """
    if head.startswith(_POINTER):
        raise UserError(f"{path} is a pointer of Git LFS and not the file itself: fetch the file with git lfs pull, or "
                        "download the model with hf download")
    if path.suffix == ".json":
        raise UserError(f"{path} holds no weights: give its folder, {path.parent}")
    for glob, (kind, cure) in _KINDS.items():
        if path.match(glob):
            raise UserError(f"{path} is neither a GGUF nor a .safetensors file but in {kind} format: {cure}")


def refuse_pointers(folder: Path) -> None:
    """Refuse a folder in which pointers of Git LFS lie in place of files. UserError."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size < _POINTER_BYTES:
            with open_regular(path, "make it readable") as file:
                head = file.read(len(_POINTER))
            if head == _POINTER:
                refuse_file(path, head)


def refuse_without_weights(folder: Path) -> None:
    """Refuse a folder without safetensors for what it holds in their place.

    Raises
    ------
    UserError
        Always.
    """
    names = {path.name for path in folder.iterdir()}
    if "model_index.json" in names:
        raise UserError(f"{folder} holds a pipeline of diffusers (model_index.json): give the folder of a language "
                        "model")
    if "adapter_config.json" in names:
        raise UserError(f"{folder} holds an adapter (adapter_config.json) and not a whole model: {_MERGE}")
    for glob, (kind, cure) in _KINDS.items():
        for file in sorted(folder.glob(glob)):
            if file.name != "training_args.bin":
                raise UserError(f"{folder} holds weights in {kind} format only, such as {file.name}: "
                                f"{cure}")
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        raise UserError(f"{folder} holds no weights, only other files of the model: download them with "
                        f"{download(folder.parent.parent, '')}")
    what = "holds no .safetensors file" if names else "is empty"
    raise UserError(f"folder {folder} {what}: give a GGUF file, a .safetensors file or a complete Hugging Face folder")


def _described(value: Any) -> tuple[str, str]:
    """Return the method that a field of config.json names, for a message, and the cure."""
    method = value.get("quant_method", "its config.json does not name the method") if isinstance(value, dict) else value
    return str(method), _CURES.get(str(method), _ORIGINAL)


def _quantisations(config: dict[str, Any]) -> Iterable[Any]:
    """Yield what a config and those in it, such as ``text_config``, say of a quantisation."""
    for key, value in config.items():
        if key in _KEYS and value:
            yield value
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and key not in _KEYS:
                yield from _quantisations(part)


def refuse_quantised(path: Path, config: dict[str, Any], names: Iterable[str]) -> None:
    """Refuse a checkpoint that is quantised already, by any method.

    Parameters
    ----------
    config : dict
        The content of ``config.json``.
    names : iterable of str
        The names of all tensors.

    Raises
    ------
    UserError
        When its config, a file beside its weights, or the name of a tensor says so.
    """
    for value in _quantisations(config):
        method, cure = _described(value)
        raise UserError(f"{path} is quantised already ({method}): {cure}")
    for file, method in _FILES.items():
        if (path / file).is_file():
            raise UserError(f"{path} is quantised already ({method}, as {file} says): {_ORIGINAL}")
    known = dict.fromkeys(names)
    for name in known:
        if ".lora_A." in name or name.startswith("base_model.model."):  # PEFT's prefix of all its adapters
            raise UserError(f"{path} holds an adapter (tensor {name}) and not a whole model: {_MERGE}")
        if name.endswith("_blocks") and f"{name.removesuffix('blocks')}scales" in known:
            raise UserError(f"{path} is quantised already (MXFP4, tensor {name}): {_CURES['mxfp4']}")
        for end, method in _PACKED.items():
            if name.endswith(end):
                raise UserError(f"{path} is quantised already ({method}, tensor {name}): {_ORIGINAL}")

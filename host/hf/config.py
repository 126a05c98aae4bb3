"""The settings of a compressed folder as transformers' ``quantization_config``."""

from typing import Any, Literal

from transformers.quantizers import auto
from transformers.utils.quantization_config import QuantizationConfigMixin

from host.checkpoint.container import METHOD
from host.errors import UserError

__all__ = ["Decode", "SeedlmConfig"]

Decode = Literal["on_the_fly", "on_load"]
"""When weights are decoded."""
_CHOICES: tuple[Decode, ...] = ("on_the_fly", "on_load")


@auto.register_quantization_config(METHOD)
class SeedlmConfig(QuantizationConfigMixin):
    """How a compressed folder is loaded, and how it was compressed.

    Parameters
    ----------
    decode : str
        ``on_the_fly`` keeps the packed streams of linear layers in memory, and decodes a layer each time it is used.
        ``on_load`` decodes all weights once, and gives an ordinary model.
    settings
        The other fields of ``quantization_config`` in ``config.json``; see :mod:`host.checkpoint.container`.

    Raises
    ------
    UserError
        When ``decode`` is none of these.
    """

    quant_method: Any

    def __init__(self, decode: Decode = "on_the_fly", **settings: Any) -> None:
        if decode not in _CHOICES:
            raise UserError(f"decode={decode!r} is unknown: choose {' or '.join(_CHOICES)}")
        for name, value in settings.items():
            setattr(self, name, value)
        self.quant_method = METHOD
        self.decode: Decode = decode

    @property
    def dequantize(self) -> bool:
        """Whether the model is an ordinary one after loading; transformers asks for this name."""
        return self.decode == "on_load"

    def get_loading_attributes(self) -> dict[str, Any]:
        """Return the settings that the caller chooses; transformers takes all others from the folder."""
        return {"decode": self.decode}


# There is no function that registers a configuration with settings for loading, as there is for the configuration.
auto.LOADING_ATTRIBUTES_CONFIG_TYPES = (*auto.LOADING_ATTRIBUTES_CONFIG_TYPES, SeedlmConfig)

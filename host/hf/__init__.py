"""A plug-in of transformers: importing it lets ``from_pretrained`` load compressed folders.

The folder stays as ``seedlm-fpga compress`` made it: ``from_pretrained(folder, variant="seedlm")`` gives a model whose
weights are, to the bit, those that ``seedlm-fpga decompress`` writes.
"""

from host.errors import UserError

try:
    from host.hf.config import SeedlmConfig
    from host.hf.quantizer import SeedlmQuantizer
except ImportError as error:
    raise UserError(f"host.hf needs PyTorch and transformers 5 ({error}): run `pip install '.[hf]'` in a checkout of "
                    "seedlm-fpga") from error

__all__ = ["SeedlmConfig", "SeedlmQuantizer"]

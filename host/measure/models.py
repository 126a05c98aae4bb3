"""Models by name: a preset, the shape in a ``config.json``, or a checkpoint, which has the weights too."""

from difflib import get_close_matches
from pathlib import Path

from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError
from host.measure.config_shape import shape_of_file
from host.measure.layer_matrices import shape_of_checkpoint
from host.measure.shapes import PRESETS, ModelShape

__all__ = ["find_model"]


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
        return shape_of_file(path)
    if path.exists() or "/" in text:  # or a model of the hub, org/name
        return shape_of_checkpoint(open_checkpoint(path))
    near = get_close_matches(text, PRESETS, n=1, cutoff=0.7)
    raise UserError(f"unknown model {text!r}: {f'did you mean {near[0]}? ' if near else ''}MODELS are of "
                    f"{', '.join(PRESETS)}, or paths of a config.json or of a checkpoint")

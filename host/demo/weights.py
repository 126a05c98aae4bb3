"""The matrices of a checkpoint as the engine takes them."""

from collections.abc import Mapping
from functools import partial

from golden.product import Weights
from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.measure.matrices import Matrix, prepared
from host.update import Update
from hw.config import EngineConfig

__all__ = ["EngineWeights"]


class EngineWeights:
    """Matrices in the formats of their engines, each compressed when it is first asked for, and kept.

    Parameters
    ----------
    checkpoint : Checkpoint
        A compressed folder's streams are taken as they are.
    engine_of : mapping
        The configuration of the engine of each matrix.
    update : Update
        Told about the compression of a matrix that is not in the cache of an earlier run.
    """

    def __init__(self, checkpoint: Checkpoint, engine_of: Mapping[str, EngineConfig], update: Update) -> None:
        self._checkpoint, self._engine_of, self._update = checkpoint, engine_of, update
        self._kept: dict[str, Weights] = {}

    def __call__(self, name: str) -> Weights:
        """Return a matrix by the name of its tensor.

        Raises
        ------
        UserError
            When there is no such matrix, it is compressed in another format, or the format cannot take its weights.
        """
        if name not in self._kept:
            config, stored = self._engine_of[name], self._checkpoint.stored(name)
            if stored and stored.fmt != config.fmt:
                raise UserError(f"{name} in {self._checkpoint.path} is compressed in {stored.fmt.name}, and the engine "
                                f"is for {config.name}: give --format {stored.fmt.name}, or the model as it was")
            self._kept[name] = stored or prepared(config, Matrix(name, self._checkpoint.matrix(name)),
                                                  partial(self._update, f"compress {name}"))
        return self._kept[name]

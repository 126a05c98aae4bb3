"""Which engine computes which matrix of a model, and linear layers on several engines.

An engine is built for one format. Where a compressed folder has several, each of its matrices is computed by the engine
of its own format, one engine after another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from golden.spec import BlockFormat
from host.checkpoint.checkpoint import Checkpoint
from host.device.driver import Counters
from host.errors import UserError
from host.model.device_linear import DeviceLinear
from hw.config import EngineConfig

__all__ = ["EnginesLinear", "engine_of"]


def engine_of(checkpoint: Checkpoint, names: Sequence[str], config: EngineConfig) -> dict[str, EngineConfig]:
    """Return the configuration of the engine for each matrix of a model.

    Parameters
    ----------
    names : sequence of str
        The matrices.
    config : EngineConfig
        The engine that is asked for. Where the matrices of a compressed folder have several formats, it is for those
        that are not compressed.

    Raises
    ------
    UserError
        When there are several formats, and it is for none of them.
    """
    stored: dict[str, BlockFormat] = {name: matrix.fmt for name in names
                                      if (matrix := checkpoint.stored(name, slice(0, 0)))}
    formats = {fmt.name: fmt for fmt in stored.values()}
    if len(formats) < 2:
        return dict.fromkeys(names, config)
    if config.name not in formats:
        raise UserError(f"the matrices of {checkpoint.path} are compressed in {' and '.join(formats)}, and the engine "
                        f"for all others is one of these: give --format {next(iter(formats))}, or the model as it was")
    return {name: replace(config, fmt=stored[name]) if name in stored else config for name in names}


class EnginesLinear:
    """Products by several engines.

    Parameters
    ----------
    linears : mapping
        Linear layers on each engine, by its configuration.
    engine_of : mapping
        The engine of each matrix.

    Attributes
    ----------
    runs : list of Counters
        The counters of all runs of all engines. Whoever reads them may clear the list.
    """

    def __init__(self, linears: Mapping[EngineConfig, DeviceLinear], engine_of: Mapping[str, EngineConfig]) -> None:
        self._linears, self._engine_of = linears, engine_of
        self.runs: list[Counters] = []

    def _parts(self, names: Sequence[str]) -> Iterator[tuple[DeviceLinear, list[str]]]:
        """Yield the engines that compute some matrices of one input, and which of them each computes."""
        for config in dict.fromkeys(self._engine_of[name] for name in names):
            yield self._linears[config], [name for name in names if self._engine_of[name] == config]

    def load(self, names: Sequence[str]) -> None:
        """Put matrices of one input into the memories of their engines. Errors as :meth:`DeviceLinear.load`."""
        for linear, own in self._parts(names):
            linear.load(own)

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products; see :class:`host.model.linear.Linear`. Errors as those of :class:`DeviceLinear`."""
        found: dict[str, Tensor] = {}
        for linear, own in self._parts(names):
            found |= zip(own, linear(own, x), strict=True)
            self.runs += linear.runs
            linear.runs.clear()
        return [found[name] for name in names]

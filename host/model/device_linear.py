"""Linear layers on a device: a simulated engine, or one on a board."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from golden.product import Weights
from host.device.arena import Loaded, memory_needed
from host.device.device import Device
from host.device.driver import Counters, Driver
from host.errors import UserError
from host.model.golden_linear import activations
from hw.config import EngineConfig

__all__ = ["DeviceLinear"]


class DeviceLinear:
    """Products by an engine.

    Matrices that have the same input are a chain, which the engine computes in one run. A chain is put into the
    device's memory when it is first asked for and stays there: from then on, only vectors are written.

    Parameters
    ----------
    device : Device
    config : EngineConfig
        What its engine was built from.
    read : callable
        Returns a matrix by its name, in the engine's format.

    Attributes
    ----------
    runs : list of Counters
        The counters of all runs, in their order. Whoever reads them may clear the list.

    Raises
    ------
    DeviceError
        When the device holds another engine; later, when a run fails.
    """

    def __init__(self, device: Device, config: EngineConfig, read: Callable[[str], Weights]) -> None:
        self._driver, self._config, self._read = Driver(device, config), config, read
        self._free, self._end = device.memory_base, device.memory_base + device.memory_bytes
        self._chains: dict[tuple[str, ...], Loaded] = {}
        self.runs: list[Counters] = []

    def load(self, names: Sequence[str]) -> Loaded:
        """Return a chain of matrices in the device's memory, where it is put unless it is there.

        Raises
        ------
        UserError
            When the device's memory has no room for it, or the engine cannot take a matrix.
        """
        if (key := tuple(names)) not in self._chains:
            matrices = [self._read(name) for name in names]
            size = memory_needed(self._config, [matrix.shape for matrix in matrices])
            if size > self._end - self._free:
                raise UserError(f"{names[0]} and what shares its input need {size} bytes of the device's memory, of "
                                f"which {self._end - self._free} are left: take a device with more memory")
            vector = activations(names, torch.zeros(matrices[0].shape[1]))
            self._chains[key] = self._driver.load(*((matrix, vector) for matrix in matrices), at=self._free)
            self._free += size
        return self._chains[key]

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        """Return the products, a run for each vector; see :class:`host.model.linear.Linear`.

        Raises
        ------
        UserError
            As :meth:`load`, and when an input is beyond the range of FP16.
        DeviceError
            When a run fails.
        """
        chain, results = self.load(names), []
        for vector in activations(names, x):
            self._driver.write_vector(chain, vector)
            product = self._driver.run(chain)
            self.runs.append(product.counters)
            results.append(product.results)
        return [torch.stack([torch.from_numpy(row.copy()) for row in rows]) for rows in zip(*results, strict=True)]

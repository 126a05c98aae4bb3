"""The encoder of the trellis code in PyTorch, for CUDA devices: it finds paths as short as those of
:mod:`host.trellis.encoder`, under scales that are searched in the same way.

Rows are the last dimension of all tensors, and so neighbours in memory. A step of the search does all windows of all
rows of a batch at once; Python only counts the steps. Each state keeps one byte for each step, its choice, which the
way back follows.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from golden.spec import TrellisFormat
from golden.trellis.matrix import TrellisMatrix
from host.encoder.torch_encoder import require_device
from host.errors import UserError
from host.trellis.encoder import searchable
from host.trellis.paths import Paths, mirrored, mirrored_values
from host.trellis.scales import searched

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TorchFinder", "encode_torch"]

_EVERY = 32
"""Steps after which the least sum is taken off: sums stay short, and so lose little in float32."""
_WORK = 16
"""Bytes of a step's tensors for each window of a row."""
_BATCH = 1 << 13
"""Rows of the largest batch: more would not be faster."""


class TorchFinder:
    """A :class:`host.trellis.paths.Finder` on a PyTorch device, of any number of rows."""

    def __init__(self, fmt: TrellisFormat, columns: np.ndarray, device: str) -> None:
        import torch

        self.fmt, self.columns, self.device = fmt, columns.astype(np.float32), device
        self._values = torch.from_numpy(mirrored_values(fmt)).to(device)
        self._codes, self._states = mirrored(fmt.bits).astype(np.uint8), mirrored(fmt.start_bits).astype(np.int32)

    def paths(self, x: np.ndarray, scales: np.ndarray) -> Paths:
        """Return the best codes of rows; see :class:`host.trellis.paths.Finder`."""
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(x.T)).to(self.device)
            steps = torch.from_numpy(scales.astype(np.float32)).to(self.device)
            windows, starts = self._back(*self._forward(rows, steps))
            values = self._values[windows].double()
            values *= torch.from_numpy(self.columns).to(self.device).double()[:, None]
            wide = rows.double()
            sums = [(wide - steps.double() * values).square_().sum(0), (wide * values).sum(0), values.square().sum(0)]
            error, product, square = (each.cpu().numpy() for each in sums)
            codes = (windows & ((1 << self.fmt.bits) - 1)).to(torch.uint8).T.cpu().numpy()
        fitted = np.divide(product, square, out=np.zeros(len(x)), where=square > 0)
        return Paths(self._codes[codes], self._states[starts.cpu().numpy()], error, fitted)

    def _forward(self, x: "Tensor", scales: "Tensor") -> tuple["Tensor", "Tensor"]:
        """Return the choice of each state behind each column, uint8, (columns, states, rows), and the best last state
        of each row, (rows,). ``x`` is (columns, rows), times what the columns weigh."""
        import torch

        cols, rows = x.shape
        states, choices = 1 << self.fmt.start_bits, 1 << self.fmt.bits
        least, taken = x.new_zeros(states, rows), torch.empty(cols, states, rows, dtype=torch.uint8, device=x.device)
        stepped = self._values[:, None] * scales
        sums = torch.empty_like(stepped)
        chosen = torch.empty(states, rows, dtype=torch.int64, device=x.device)
        for i, column in enumerate(self.columns.tolist()):
            torch.sub(x[i], stepped, alpha=column, out=sums)
            sums.square_()
            sums.view(states, choices, rows).add_(least[:, None])  # windows that follow a state are neighbours
            torch.min(sums.view(choices, states, rows), 0, out=(least, chosen))
            taken[i] = chosen
            if i % _EVERY == _EVERY - 1:
                least -= least.amin(0)
        return taken, least.argmin(0)

    def _back(self, taken: "Tensor", state: "Tensor") -> tuple["Tensor", "Tensor"]:
        """Return the windows of the best paths, int64, (columns, rows), and the states that they start from, (rows,),
        from the choices and the last states."""
        import torch

        cols, states, rows = taken.shape
        windows = torch.empty(cols, rows, dtype=torch.int64, device=state.device)
        for i in range(cols - 1, -1, -1):
            torch.add(state, taken[i].gather(0, state[None])[0].long(), alpha=states, out=windows[i])
            state = windows[i] >> self.fmt.bits
        return windows, state


def _batch(fmt: TrellisFormat, cols: int, memory: int) -> int:
    """Return how many rows of so many columns are searched at a time in so many bytes."""
    of_row = cols * ((1 << fmt.start_bits) + 5 * 8) + (_WORK << fmt.window)
    return min(max(memory // of_row, 1), _BATCH)


def encode_torch(weights: np.ndarray, fmt: TrellisFormat, *, channel_weights: np.ndarray | None = None,
                 device: str = "cuda", memory: int = 7_000_000_000,
                 progress: Callable[[int, int], None] | None = None) -> TrellisMatrix:
    """Compress a matrix as :func:`host.trellis.encoder.encode` does, on a PyTorch device.

    Under a scale, a row's error is the one that the encoder for processors finds. Where several paths have this error,
    or where float32 cannot tell two of them apart, this one may choose another.

    Parameters
    ----------
    device : str
        ``cuda``, ``cuda:1``, ``cpu``.
    memory : int
        Bytes of the device's memory that a batch of rows may take, about.
    channel_weights, progress
        As for :func:`host.trellis.encoder.encode`.

    Raises
    ------
    UserError
        As :func:`host.trellis.encoder.encode`, when PyTorch or the device is not there, and when the device has less
        memory than that.
    """
    require_device(device)
    import torch

    weights, bias, columns = searchable(weights, channel_weights)
    (rows, cols), finder = weights.shape, TorchFinder(fmt, columns, device)
    codes, starts, scales = np.empty((rows, cols), np.uint8), np.empty(rows, np.uint16), np.empty(rows, np.float16)
    step = _batch(fmt, cols, memory)
    try:
        for start in range(0, rows, step):
            part = slice(start, start + step)
            scales[part], found = searched(finder, np.ldexp(weights[part].astype(np.float64), -bias))
            codes[part], starts[part] = found.codes, found.starts
            if progress:
                progress(min(start + step, rows), rows)
    except torch.OutOfMemoryError:
        raise UserError(f"{device} has not enough memory left for a search in {memory / 1e9:.3g} GB: give less of "
                        "it") from None
    return TrellisMatrix(fmt, codes, starts, scales, bias)

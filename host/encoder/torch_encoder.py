"""The seed search in PyTorch, for CUDA devices: it finds the same minimum as :mod:`host.encoder.encoder`.

For a batch of blocks, lower bounds of what every seed leaves come from one matrix product
(:mod:`host.encoder.torch_tables`). A few good seeds of each block are tried first. Only seeds whose bound is below the
least error so far can be better, some two of 65,535 for a block: these are tried exactly, in float64
(:mod:`host.encoder.torch_codes`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import EXP_MIN, BlockFormat
from host.encoder.encoder import Mode, bias_of, require_codes, require_exponents, say_if_lost, searchable
from host.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from host.encoder.torch_codes import Codes
    from host.encoder.torch_tables import Tables

__all__ = ["encode_torch", "product_type", "require_device", "search_torch"]

_FIRST = 4
"""Seeds of each block that are tried first: the best of as many parts of the cycle."""
_MANY = 64
"""Tiles of a block with seeds that can still be better, beyond which more of them are tried first."""
_PAIRS = 1 << 18
"""Pairs of a block and a seed that are tried at a time."""
_OPENED = 1 << 25
"""Bounds of seeds in opened tiles that are looked at, at a time."""
_WORK = 2.3
"""Bytes of memory that a batch takes in all, for each byte of its bounds."""
_BATCH = 1 << 15
"""Blocks of the largest batch: more would not be faster."""
_HELD = 1 << 20
"""Blocks that are searched in one segment of the cycle before the next, whose tables take longer to make than a batch
takes to search: their codes and the like take 0.2 GB."""


class _Search:
    """The best codes found so far for n blocks.

    ``w`` holds the blocks, (n, c) float64, each divided by ``2**scale`` so that its greatest magnitude is in [0.5, 1).
    ``norm`` and ``error`` are the squared norm and the least squared error of these scaled blocks.
    """

    def __init__(self, weights: "Tensor", fmt: BlockFormat, mode: Mode) -> None:
        import torch

        from host.encoder.torch_codes import times_power

        self.fmt, self.mode = fmt, mode
        greatest = weights.abs().amax(dim=1)
        self.scale = torch.where(greatest > 0, torch.frexp(greatest)[1], 0).long()
        self.w = times_power(weights, -self.scale[:, None])
        self.norm = self.w.square().sum(dim=1)
        # An exact search can always choose zero codes, whose error is the norm. Rounding makes zero codes of zero
        # blocks alone.
        self.error = torch.where((self.norm == 0) | (mode == "exact"), self.norm, torch.inf)
        self.seed = torch.ones_like(self.scale)
        self.exponent = torch.full_like(self.seed, EXP_MIN)
        self.codes = torch.zeros((len(weights), fmt.p), dtype=torch.float64, device=weights.device)

    def run(self, tables: "Tables") -> None:
        """Improve on the best codes with the seeds of the tables."""
        import torch

        from host.encoder.torch_tables import TILE

        least = tables.least(self.w)
        tiles = least.amin(dim=1)
        count = min(_FIRST, tiles.shape[1])
        parts = tiles[:, :tiles.shape[1] // count * count].reshape(len(tiles), count, -1)
        tile = parts.argmin(dim=2) + torch.arange(count, device=parts.device) * parts.shape[2]
        within = least.gather(2, tile[:, None].expand(-1, TILE, -1)).argmin(dim=1)
        block = (self.norm > 0).nonzero().flatten()
        seed = (within * tiles.shape[1] + tile)[block]
        self._try(tables, block.repeat_interleave(count), seed.flatten(), first=True)
        if self.mode == "exact":
            self._try_harder(tables, least, tiles)
        self._try_rest(tables, least, tiles)

    def _try_harder(self, tables: "Tables", least: "Tensor", tiles: "Tensor") -> None:
        """Try the best seed of every tile, for blocks for which many are left.

        The best seeds of such a block have nearly dependent columns, and no code of theirs comes near it. While the
        least error is that great, nearly all codes of all seeds are possible, and trying these would take minutes.
        """
        import torch

        block = ((tiles <= self._highest(tables)[:, None]).sum(dim=1) > _MANY).nonzero().flatten()
        count = tiles.shape[1]
        for of in block.split(max(_PAIRS // count, 1)):
            within = least[of].argmin(dim=1)
            seed = within * count + torch.arange(count, device=of.device)
            self._try(tables, of.repeat_interleave(count), seed.flatten(), first=True)

    def _try_rest(self, tables: "Tables", least: "Tensor", tiles: "Tensor") -> None:
        """Try all seeds that can still be better than the best so far."""
        from host.encoder.torch_tables import TILE

        block, tile = (tiles <= self._highest(tables)[:, None]).nonzero(as_tuple=True)
        for start in range(0, len(block), _OPENED // TILE):
            part = slice(start, start + _OPENED // TILE)
            of, at = block[part], tile[part]
            pair, within = (least[of, :, at] <= self._highest(tables)[of, None]).nonzero(as_tuple=True)
            self._try(tables, of[pair], within * tiles.shape[1] + at[pair])

    def _highest(self, tables: "Tables") -> "Tensor":
        """Up to which bound a seed can still be better: (n,); below zero for blocks of zeros."""
        import torch

        return torch.where(self.norm > 0, tables.highest(self.error / self.norm.clamp_min(1e-300)), -1)

    def _try(self, tables: "Tables", block: "Tensor", at: "Tensor", first: bool = False) -> None:
        """Try pairs of a block and a seed, which is an index into the tables; the ``first`` ones not for all codes."""
        from host.encoder import torch_codes

        for start in range(0, len(block), _PAIRS):
            of, seed = block[start:start + _PAIRS], at[start:start + _PAIRS]
            w, scale = self.w[of], self.scale[of]
            found: Iterator[Codes]
            if self.mode != "exact":
                found = iter([torch_codes.rounded(tables, seed, w, scale, self.fmt, self.mode)])
            elif first:
                found = iter([torch_codes.likely(tables, seed, w, scale, self.fmt)])
            else:
                limit = self.error[of] * (1 + 1e-9) + 1e-14 * self.norm[of]  # the slack is for this search's rounding
                found = torch_codes.possible(tables, seed, w, scale, self.fmt, limit)
            for codes in found:
                self._keep_best(tables, of[codes.pair], seed[codes.pair], codes)

    def _keep_best(self, tables: "Tables", block: "Tensor", at: "Tensor", found: "Codes") -> None:
        """Keep of k choices the best of each block, if it is better than what there is. Of equal ones, the first."""
        import torch

        from host.encoder.torch_codes import times_power

        scaled = times_power(found.codes, (found.exponent - self.scale[block])[:, None])
        restored = (tables.u.index_select(0, at) * scaled[:, None]).sum(dim=2)
        error = (self.w.index_select(0, block) - restored).square().sum(dim=1)
        least = self.error.scatter_reduce(0, block, error, "amin")
        better = ((error == least[block]) & (error < self.error[block])).nonzero().flatten()
        of = block[better]
        winner = torch.full_like(self.seed, len(block)).scatter_reduce(0, of, better, "amin")
        self.error = least
        won = (winner < len(block)).nonzero().flatten()
        winner = winner[won]
        self.seed[won], self.exponent[won] = at[winner] + tables.first, found.exponent[winner]
        self.codes[won] = found.codes[winner]


class _Precision:
    """Settings of half-precision products that the bounds count on; no setting changes those of float64. They are the
    process's: the first of several threads that search pins them, and the last one puts back what they were."""

    _NAMES = ("allow_fp16_reduced_precision_reduction", "allow_fp16_accumulation")

    def __init__(self) -> None:
        self._lock, self._threads, self._before = Lock(), 0, dict[str, bool]()

    def __enter__(self) -> None:
        import torch

        matmul = torch.backends.cuda.matmul
        with self._lock:
            self._threads += 1
            if self._threads == 1:
                self._before = {name: getattr(matmul, name) for name in self._NAMES if hasattr(matmul, name)}
                for name in self._before:
                    setattr(matmul, name, False)

    def __exit__(self, *error: object) -> None:
        import torch

        with self._lock:
            self._threads -= 1
            if not self._threads:
                for name, value in self._before.items():
                    setattr(torch.backends.cuda.matmul, name, value)


_precision = _Precision()


@contextmanager
def _pinned() -> Iterator[None]:
    """Multiply with the precision that the bounds count on, whatever the caller has set; nothing is recorded for
    gradients."""
    import torch

    with (_precision, torch.inference_mode(), torch.autocast("cuda", enabled=False),
          torch.autocast("cpu", enabled=False)):
        yield


def require_device(device: str) -> None:
    """Refuse a device that PyTorch cannot search on.

    Raises
    ------
    UserError
    """
    try:
        import torch
    except ImportError:
        raise UserError("this needs PyTorch: run `pip install '.[torch]'` in a checkout of seedlm-fpga") from None
    try:
        if torch.device(device).type not in ("cuda", "cpu"):
            raise RuntimeError("the search is for CUDA devices")
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UserError(f"PyTorch cannot use the device {device!r} ({reason}): give cuda, or one of several as cuda:1, "
                        "or leave out --device, and the processors search") from None


def product_type(device: str) -> "torch.dtype":
    """Return the type of the numbers that are multiplied for bounds: float16, the fastest one of CUDA devices, or
    float64 on processors, whose products of float32 may be shorter where the caller has set so."""
    import torch

    return torch.float16 if device.startswith("cuda") else torch.float64


def _greatest(weights: "Tensor") -> float:
    """Return the greatest magnitude of weights."""
    return float(weights.detach().abs().amax()) if weights.numel() else 0.0


def _on_device(weights: "np.ndarray | Tensor", fmt: BlockFormat, exponent_bias: int | Literal["auto"],
               device: str) -> tuple["Tensor", int]:
    """Return weights on the device, and the exponent bias. UserError as :func:`~host.encoder.encoder.searchable`."""
    import torch

    if not isinstance(weights, torch.Tensor):
        weights, bias = searchable(weights, fmt, exponent_bias)
        # A copy, as PyTorch takes no arrays of another byte order, and complains of those that cannot be written.
        return torch.tensor(weights.astype(weights.dtype.newbyteorder("="), copy=False), device=device), bias
    if weights.ndim != 2 or not weights.is_floating_point():
        raise UserError(f"only matrices of floats can be compressed, not {weights.dtype} of shape "
                        f"{tuple(weights.shape)}")
    return weights.detach().to(device), bias_of(_greatest(weights), fmt, exponent_bias)


def encode_torch(weights: "np.ndarray | Tensor", fmt: BlockFormat, mode: Mode = "exact", *,
                 exponent_bias: int | Literal["auto"] = "auto", device: str = "cuda", memory: int = 7_000_000_000,
                 progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """Compress a matrix as :func:`host.encoder.encoder.encode` does, on a PyTorch device.

    Errors are equal to those of the encoder for processors. Where several seeds have the same error, this one may
    choose another. There are no channel weights and no feedback here: both need tables of their own for each block
    column, and these take longer to make than the blocks take to search.

    Parameters
    ----------
    weights : float array or tensor, (rows, columns)
        A tensor may be on the device already.
    device : str
        ``cuda``, ``cuda:1``, ``cpu``.
    memory : int
        Bytes of the device's memory that batches may take, about. Tables and the like take 0.6 GB beside.
    progress : callable, optional
        Called with (blocks done, blocks in all) after every batch. For k above 16 the seeds are searched in several
        segments, and each segment counts all blocks once.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`, when PyTorch or the device is not there, and when the device has less
        memory than that.
    UserWarning
        As a warning, when no weight is large enough for the format, so that all become zero.
    """
    matrix = search_torch(weights, fmt, mode, exponent_bias=exponent_bias, device=device, memory=memory,
                          progress=progress)
    return say_if_lost(weights if isinstance(weights, np.ndarray) else np.array(_greatest(weights)), matrix)


def search_torch(weights: "np.ndarray | Tensor", fmt: BlockFormat, mode: Mode = "exact", *,
                 exponent_bias: int | Literal["auto"] = "auto", device: str = "cuda", memory: int = 7_000_000_000,
                 progress: Callable[[int, int], None] | None = None) -> CompressedMatrix:
    """Compress a matrix as :func:`encode_torch` does, without warnings, so that several threads can, each on a device
    of its own."""
    require_device(device)
    require_exponents(fmt, "the search in PyTorch")
    require_codes(fmt, mode)
    import torch

    try:
        with _pinned():
            return _search(weights, fmt, mode, exponent_bias, device, memory, progress)
    except torch.OutOfMemoryError:
        raise UserError(f"{device} has not enough memory left for a search in {memory / 1e9:.3g} GB: give less of it "
                        "with --device-memory") from None


def _search(weights: "np.ndarray | Tensor", fmt: BlockFormat, mode: Mode, exponent_bias: int | Literal["auto"],
            device: str, memory: int, progress: Callable[[int, int], None] | None) -> CompressedMatrix:
    """As :func:`search_torch`, for what can be encoded, where precision is pinned."""
    import torch
    from torch import Tensor

    from host.encoder.torch_codes import times_power
    from host.encoder.torch_tables import firsts, tables

    dtype, segments = product_type(device), firsts(fmt)
    resident, bias = _on_device(weights, fmt, exponent_bias, device)
    rows, cols = resident.shape
    per_row = -(-cols // fmt.c)
    padding = per_row * fmt.c - cols
    padded = torch.nn.functional.pad(resident, (0, padding)) if padding else resident
    blocks = padded.reshape(-1, fmt.c)
    power = torch.tensor(-bias, device=resident.device)
    batch = min(max(int(memory / (_WORK * min(fmt.seeds, segments.step) * dtype.itemsize)), 1), _BATCH)
    held = batch if len(segments) == 1 else max(batch, _HELD)
    seeds, exponents, codes, done = list[Tensor](), list[Tensor](), list[Tensor](), 0
    for start in range(0, len(blocks), held):
        searches = [_Search(times_power(part.double(), power), fmt, mode)
                    for part in blocks[start:start + held].split(batch)]
        for first in segments:
            known = tables(fmt, first, device, dtype)
            for search in searches:
                search.run(known)
                done += len(search.w)
                if progress:
                    progress(done, len(segments) * len(blocks))
        seeds += [search.seed.to(torch.int32) for search in searches]
        exponents += [search.exponent.to(torch.int8) for search in searches]
        codes += [search.codes.to(torch.int8) for search in searches]

    def joined(parts: list[Tensor], dtype: type) -> np.ndarray:
        values = torch.cat(parts) if parts else resident.new_empty(0)
        return values.cpu().numpy().astype(dtype).reshape(rows, per_row, *values.shape[1:])

    return CompressedMatrix(fmt, (rows, cols), joined(seeds, np.uint32), joined(exponents, np.int8),
                            joined(codes, np.int8), bias)

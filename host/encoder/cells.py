"""The search by cells, which looks only at seeds near a block's direction: ``search_cells.h`` says how, and why it is
exact.

Its lists of seeds are a product of :mod:`golden.products` in the kernels' folder: some hundred megabytes, made
once for a format, and mapped by every process that searches.
"""

import ctypes
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from golden.products import FolderProduct
from golden.spec import BlockFormat
from golden.tree import source_digest
from host.encoder.blocks import Blocks, Mode, Tables, segments
from host.encoder.kernel import cache_folder, load
from host.encoder.metric import plain_metric
from host.errors import UserError

__all__ = ["Cells", "cells_for", "plain_tables"]

_ROOM, _LEAST_ROOM = 16, 512  # a list has a share of all seeds, which nearly all blocks can do with, or so many
_MAKE = 256  # cells whose lists a thread makes at a time
_TRAINING, _ROUNDS = 8, 5  # directions for each cell, from which centres are made in so many rounds
_CHUNK = 4096  # blocks handed to a thread at a time: some 20 ms
_SAMPLE = 256  # blocks that tell how great errors are
_REST = 128  # blocks handed to a thread at a time that are searched as a whole
_LEAST_SEEDS, _LEAST_BLOCKS = 32767, 4096  # with fewer, the search over all seeds takes no longer
_WIDEST = 8  # weights in a block: in more dimensions cells are so wide that it takes no longer either
_MAKING_BLOCKS = 40_000  # in a matrix for whose sake the lists are made
_USUAL, _NEARLY_ALL = 0.35, 0.99  # of the sample have less than the errors that a block is searched with
_GREATEST_SHARE = 0.25  # of a block's squared norm: with greater errors, nearly all seeds are near enough


@lru_cache(maxsize=8)
def plain_tables(fmt: BlockFormat, mode: Mode) -> Tables:
    """Return the tables of a format whose cycle is one segment, for the plain squared error. They are kept: a megabyte
    or two each."""
    return Tables(fmt, 1, mode, plain_metric(fmt))


def _aligned(values: np.ndarray) -> np.ndarray:
    """Return a copy that begins at a multiple of 64 bytes, as the kernel's vectors have to."""
    room = np.empty(values.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start:start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def _folder(fmt: BlockFormat) -> Path:
    """Return the folder of a format's lists."""
    digest = hashlib.sha256(f"{fmt}{source_digest(__name__)}".encode()).hexdigest()[:16]
    return cache_folder() / f"cells-{fmt.c}-{fmt.p}-{fmt.k}-{fmt.coef_bits}-{fmt.exp_bits}-{digest}"


class Cells:
    """The cells of a format, and the search of blocks by them.

    Parameters
    ----------
    fmt : BlockFormat
        A format whose cycle is one segment.
    folder : Path, optional
        Where the lists are kept. Default: one in the kernels' folder, where older ones of the format are removed. When
        they have not been made before, all processors of this process make them, for up to 20 seconds.

    Raises
    ------
    MemoryError
    UserError
        As :func:`host.encoder.kernel.load`.
    """

    def __init__(self, fmt: BlockFormat, mode: Mode, folder: Path | None = None) -> None:
        self.fmt, self.mode, self.kernel = fmt, mode, load(fmt)
        self.tables = plain_tables(fmt, mode)
        if not self.kernel.segment_keep_bases(self.tables):
            raise MemoryError("encoder tables")
        self._as_parameter_ = ctypes.c_void_p(self.kernel.cells_integers(self.tables))
        if not self._as_parameter_:
            raise MemoryError("encoder tables")
        self.side, self.bins, self.ahead = (int(self.kernel.cells_shape(i)) for i in range(3))
        self.room = min(max((fmt.seeds + 1) // _ROOM, _LEAST_ROOM), fmt.seeds + 1)
        product = FolderProduct(folder or _folder(fmt), ("*.npy",))
        self.folder = product.folder
        try:
            product.provide(self._make)
            for old in self.folder.parent.glob(f"{self.folder.name.rpartition('-')[0]}-*"):
                if old != self.folder:  # of other sources; what another process has mapped, it keeps
                    shutil.rmtree(old, ignore_errors=True)
            self.coarse, self.fine, self.lists, self.ends = (
                np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("coarse", "fine", "lists", "ends"))
        except OSError as error:
            raise UserError(f"cannot keep the encoder's tables in {self.folder} ({error.strerror or error}): make the "
                            "folder writable, or name another in the environment variable SEEDLM_CACHE") from error

    def __del__(self) -> None:
        if integers := getattr(self, "_as_parameter_", None):
            self.kernel.cells_free(integers)

    def _nearest(self, centres: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Return the indices of the centres that are nearest to directions without a sign."""
        nearest, aligned = np.empty(len(samples), np.int32), _aligned(centres.T)
        self.kernel.cells_nearest(aligned.ctypes, samples.ctypes, ctypes.c_long(len(samples)), nearest.ctypes)
        return nearest

    def _centres(self, samples: np.ndarray) -> np.ndarray:
        """Return centres of unit length for directions without a sign, (samples, c): Lloyd's algorithm."""
        centres = samples[:self.side].copy()
        for _ in range(_ROUNDS):
            nearest = self._nearest(centres, samples)
            turned = samples * np.sign((samples * centres[nearest]).sum(axis=1, keepdims=True))
            sums = np.stack([np.bincount(nearest, column, self.side) for column in turned.T], axis=1)
            lengths = np.linalg.norm(sums, axis=1)
            centres[lengths > 0] = sums[lengths > 0] / lengths[lengths > 0, None]
        return centres

    def _make(self) -> None:
        """Make the centres and the lists in the product's folder."""
        side, cells = self.side, self.side ** 2
        samples = np.random.default_rng(0).normal(size=(cells * _TRAINING, self.fmt.c)).astype(np.float32)
        samples /= np.linalg.norm(samples, axis=1, keepdims=True)
        coarse = self._centres(samples[:side * side])
        nearest = self._nearest(coarse, samples)
        fine = np.stack([self._centres(np.concatenate([samples[nearest == i], samples[:side]])) for i in range(side)])
        np.save(self.folder / "coarse.npy", np.ascontiguousarray(coarse.T))
        np.save(self.folder / "fine.npy", np.ascontiguousarray(fine.swapaxes(1, 2)))
        centres = np.ascontiguousarray(fine.reshape(cells, -1))
        lists, ends = (np.lib.format.open_memmap(self.folder / name, "w+", np.uint16, shape) for name, shape in (
            ("lists.npy", (cells, self.room + self.ahead)), ("ends.npy", (cells, self.bins))))

        def make(start: int) -> int:
            return int(self.kernel.cells_make(
                self, centres[start:].ctypes, ctypes.c_long(min(_MAKE, cells - start)), ctypes.c_long(self.room),
                lists[start:].ctypes, ends[start:].ctypes))

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            if not all(pool.map(make, range(0, cells, _MAKE))):
                raise MemoryError("encoder tables")
        lists.flush()
        ends.flush()

    def search(self, weights: np.ndarray, factor: float, best: Blocks, pool: ThreadPoolExecutor) -> Iterator[int]:
        """Improve on the best codes of all blocks; yield how many were finished.

        Parameters
        ----------
        weights : float array, (blocks, c)
        factor : float
            A power of two by which they are multiplied first.
        """
        def scaled(index: np.ndarray | slice) -> np.ndarray:
            return weights[index].astype(np.float64) * factor

        def assign(start: int) -> None:
            part = scaled(slice(start, start + _CHUNK))
            self.kernel.cells_assign(self.tables, self.coarse.ctypes, self.fine.ctypes, part.ctypes,
                                     ctypes.c_long(len(part)), keys[start:].ctypes)

        def search(start: int) -> tuple[int, np.ndarray]:
            index = order[start:start + _CHUNK]
            part, found, certain = scaled(index), best.part(index), np.empty(len(index), np.bool_)
            if not self.kernel.cells_search(
                    self.tables, self, ctypes.c_long(self.room), self.lists.ctypes, self.ends.ctypes,
                    keys[index].ctypes, part.ctypes, ctypes.c_long(len(part)), self.tables.mode_number,
                    ctypes.c_double(usual), ctypes.c_double(share), *found.pointers(), certain.ctypes):
                raise MemoryError("encoder tables")
            best.put(index, found)
            return int(certain.sum()), index[~certain]

        def search_all(index: np.ndarray) -> int:
            found = best.part(index)
            found.improve(self.tables, scaled(index), slice(None))
            best.put(index, found)
            return len(index)

        keys, starts = np.empty(len(weights), np.uint32), range(0, len(weights), _CHUNK)
        list(pool.map(assign, starts))
        order, uncertain = np.argsort(keys), []
        usual, share = self._shares(scaled(order[::max(len(order) // _SAMPLE, 1)]), pool)
        for count, index in pool.map(search, starts):
            uncertain.append(index)
            yield count
        rest = np.concatenate(uncertain)
        yield from pool.map(search_all, [rest[start:start + _REST] for start in range(0, len(rest), _REST)])

    def _shares(self, weights: np.ndarray, pool: ThreadPoolExecutor) -> tuple[float, float]:
        """Return what the best errors of many of some blocks are below, and those of nearly all, relative to their
        squared norms. Blocks are searched as a whole, 16 at a time, as the kernel does."""
        best = Blocks(len(weights), self.fmt)
        list(pool.map(lambda start: best.improve(self.tables, weights[start:start + 16], slice(start, start + 16)),
                      range(0, len(weights), 16)))
        norms = np.square(np.ldexp(weights, -np.frexp(np.abs(weights).max(axis=1))[1][:, None])).sum(axis=1)
        shares = best.errors[norms > 0] / norms[norms > 0]
        usual, nearly_all = np.quantile(shares, [_USUAL, _NEARLY_ALL]) if shares.size else (0, 0)
        return min(usual, _GREATEST_SHARE), min(nearly_all, 4 * usual, _GREATEST_SHARE)


@lru_cache(maxsize=4)
def _cells(fmt: BlockFormat, mode: Mode) -> Cells:
    return Cells(fmt, mode)


def cells_for(fmt: BlockFormat, mode: Mode, blocks: int) -> Cells | None:
    """Return the cells of a format, or None where the search over all seeds is as fast: for few blocks, for short
    cycles, for wide blocks such as those of seedlm3, and on processors whose vectors lack products of small integers
    (AVX-512 VNNI). The lists are made for large matrices, and then used for
    smaller ones, too.

    Raises
    ------
    MemoryError
    UserError
        As :class:`Cells`.
    """
    if (blocks < _LEAST_BLOCKS or fmt.seeds < _LEAST_SEEDS or fmt.c > _WIDEST or segments(fmt) > 1
            or not load(fmt).cells_shape(0) or (blocks < _MAKING_BLOCKS and not _folder(fmt).exists())):
        return None
    return _cells(fmt, mode)

"""The speed of the search in PyTorch on a device, beside that of the processors of the same machine; of a whole
compression with it; and of the decoder."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import BlockFormat
from host.compress.compress import compress
from host.compress.plan import Options
from host.encoder.encoder import Mode, encode
from host.encoder.torch_encoder import encode_torch
from host.errors import CheckError
from host.packing.stream import group_bytes, lanes
from host.quality.quality import SIGMA
from host.tables.device import DeviceEncoderRow

__all__ = ["bench_device"]

_ROW_BLOCKS = 256
_HEAVY = 4
"""One in so many rows has heavy tails: Student's t of three degrees of freedom."""
_COPIES = 8
"""Tensors of a checkpoint, of which each has all the weights."""
_DECODED = {"cuda": 1 << 28, "cpu": 1 << 21}
"""Weights that are decoded at a time, by the type of the device: a GPU needs many to show its rate."""
_DECODED_COLS = 6144  # whole blocks of all named formats but one
_DECODINGS = 8  # of them, without a wait in between, as a model's loading has it


def _weights(blocks: int, fmt: BlockFormat) -> np.ndarray:
    """Weights of N(0, SIGMA**2), and rows with heavy tails among them: float32, in rows of _ROW_BLOCKS blocks."""
    random = np.random.default_rng(0)
    weights = random.normal(0, SIGMA, (-(-blocks // _ROW_BLOCKS), _ROW_BLOCKS * fmt.c))
    weights[::_HEAVY] = random.standard_t(3, weights[::_HEAVY].shape) * SIGMA
    return weights.astype(np.float32)


def _errors(matrix: CompressedMatrix, weights: np.ndarray) -> np.ndarray:
    """Squared errors of blocks."""
    return np.square(matrix.weights() - weights).reshape(-1, matrix.fmt.c).sum(axis=1)


def _seconds(work: Callable[[], object], device: str) -> float:
    """Time of the faster one of two runs, when all work on the device has ended."""
    import torch

    def once() -> float:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    once()  # makes tables, and loads the device's code
    return min(once(), once())


def _product_rate(fmt: BlockFormat, device: str, blocks: int) -> float:
    """Blocks a second of the matrix product alone that gives the bounds."""
    import torch

    from host.encoder.torch_encoder import product_type
    from host.encoder.torch_tables import tables

    w = torch.randn(blocks, fmt.c, device=device, dtype=torch.float64)
    known = tables(fmt, 1, device, product_type(device))
    return blocks / _seconds(lambda: known.least(w), device)


def _compress_rate(weights: np.ndarray, fmt: BlockFormat, mode: Mode, device: str) -> float:
    """Blocks a second of a compression, from a safetensors file of bfloat16 to a finished folder."""
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        shorter = torch.from_numpy(weights).bfloat16()
        save_file({f"layers.{n}.weight": shorter.clone() for n in range(_COPIES)}, model)
        options = Options(fmt.name, mode, include=("*",), device=device)
        start = time.perf_counter()
        compress(model, Path(folder) / "compressed", options)
        return _COPIES * weights.size / fmt.c / (time.perf_counter() - start)


def _decode_rate(fmt: BlockFormat, device: str) -> float:
    """Bytes of float16 weights a second of the decoder, from a stream of random bytes that is on the device."""
    import torch

    from host.hf.decode import decode

    rows = _DECODED[torch.device(device).type] // _DECODED_COLS // lanes(fmt) * lanes(fmt)
    size = rows // lanes(fmt) * group_bytes(fmt, _DECODED_COLS)
    stream = torch.randint(256, (size,), dtype=torch.uint8, device=device)

    def decoded() -> None:
        for _ in range(_DECODINGS):
            decode(stream, fmt, (rows, _DECODED_COLS), 0, torch.float16)

    return 2 * rows * _DECODED_COLS * _DECODINGS / _seconds(decoded, device)


def bench_device(formats: list[BlockFormat], modes: list[Mode], blocks: int, checked: int, device: str,
                 memory: int) -> list[DeviceEncoderRow]:
    """Measure every format in every mode, on weights that are on the device already and on weights that are not.

    Parameters
    ----------
    blocks, checked : int
        Blocks for the device, and how many of them the processors search too: their errors are compared.
    memory : int
        As for :func:`~host.encoder.torch_encoder.encode_torch`.

    Raises
    ------
    CheckError
        When an error differs from that of the search on processors by more than its rounding.
    UserError
        As :func:`~host.encoder.torch_encoder.encode_torch`.
    """
    rows = []
    for fmt in formats:
        weights = _weights(blocks, fmt)
        few = weights[:max(checked // _ROW_BLOCKS, 1)]
        encode(few[:1], fmt)  # builds the kernel
        encode_torch(few[:1], fmt, device=device)
        product, decoded = _product_rate(fmt, device, min(blocks, 1 << 14)), _decode_rate(fmt, device)
        rows += [_row(fmt, mode, weights, few, product, decoded, partial(encode_torch, device=device, memory=memory),
                      device) for mode in modes]
    return rows


def _row(fmt: BlockFormat, mode: Mode, weights: np.ndarray, few: np.ndarray, product: float,
         decoded: float, search: Callable[..., CompressedMatrix], device: str) -> DeviceEncoderRow:
    """Measure one format and mode; compare the errors of ``few`` with those of the search on processors."""
    import torch

    on_cuda, count = device.startswith("cuda"), weights.size // fmt.c
    resident = torch.from_numpy(weights).to(device)
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    rate = count / _seconds(partial(search, resident, fmt, mode), device)
    used = torch.cuda.max_memory_allocated(device) if on_cuda else 0
    from_host = count / _seconds(partial(search, weights, fmt, mode), device)
    start = time.perf_counter()
    matrix = encode(few, fmt, mode)
    cpu = matrix.seeds.size / (time.perf_counter() - start)
    wanted, found = _errors(matrix, few), _errors(search(few, fmt, mode), few)
    different = int((found != wanted).sum())
    if not np.allclose(found, wanted, rtol=1e-9, atol=0):
        raise CheckError(f"{fmt.name}, {mode}: {different} of {found.size} blocks have another error than on the "
                         "processors")
    return DeviceEncoderRow(
        format=fmt.name, mode=mode, device=torch.cuda.get_device_name(device) if on_cuda else device,
        blocks_per_s=rate, host_blocks_per_s=from_host,
        compress_blocks_per_s=_compress_rate(weights, fmt, mode, device), cpu_blocks_per_s=cpu, cpu_ratio=rate / cpu,
        product_fraction=rate / product, memory_gb=used / 1e9,
        decode_gb_per_s=decoded / 1e9, checked=wanted.size, different=different)

"""One slice of a compression: rows go in, and their part of the packed stream comes out, on this or any machine."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from golden.block import CompressedMatrix
from golden.spec import parse_seedlm
from host.checkpoint.manifest import BIASES
from host.compress.plan import Options, Slice
from host.encoder.encoder import Mode, encode
from host.encoder.torch_encoder import search_torch
from host.errors import CheckError, UserError
from host.feedback.aim import Aim
from host.feedback.feedback import encode_feedback
from host.json_reader import Json
from host.packing import decode
from host.packing.stream import pack_rows, unpack_rows

__all__ = ["Encoded", "Runner", "Work", "block_errors", "encode_slice", "pack_slice", "search_slice"]


@dataclass(frozen=True)
class Work:
    """All that a worker must know about a slice, so that it needs no files.

    Parameters
    ----------
    weights : float32 array, (rows, columns)
    tensor : str
        Name of the tensor, for messages.
    format : str
        Name of the block format.
    mode : Mode
    exponent_bias : int
        That of the whole tensor.
    check : bool
        Whether to decode the slice again and compare with golden.
    channel_weights : float64 array, (columns,), optional
    device : str
        A PyTorch device, or empty for the processors.
    device_memory : float
        GB of its memory for the search, about.
    aim : Aim, optional
        What calibration says of the input of these weights.
    """

    weights: np.ndarray
    tensor: str
    format: str
    mode: Mode
    exponent_bias: int
    check: bool
    channel_weights: np.ndarray | None = None
    device: str = ""
    device_memory: float = Options.device_memory
    aim: Aim | None = None

    def counted(self) -> np.ndarray | None:
        """Return what a squared error in each column counts, (columns,), or None where all count alike."""
        return self.channel_weights if self.aim is None else self.aim.factor.sizes


@dataclass(frozen=True)
class Encoded:
    """A finished slice.

    ``stream`` holds its bytes of the packed stream, ``error`` and ``norm`` are the squared error and the squared norm
    of its weights, and ``exponent_bias`` is the one that it was encoded with. ``block_errors`` is the sum of the
    relative squared errors of its blocks, and ``blocks`` is the number of those that are not all zeros before.
    """

    stream: bytes
    error: float
    norm: float
    exponent_bias: int
    block_errors: float
    blocks: int

    def fields(self) -> dict[str, object]:
        """Return what the slice's file says beside the stream; :meth:`from_fields` reads it."""
        return {key: value for key, value in asdict(self).items() if key != "stream"}

    @classmethod
    def from_fields(cls, fields: Json, stream: bytes) -> "Encoded":
        """Return a slice of what its file holds. UserError when a field is missing or of another type."""
        return cls(stream, fields["error"].number(), fields["norm"].number(), fields["exponent_bias"].whole(*BIASES),
                   fields["block_errors"].number(), fields["blocks"].whole(0))


def block_errors(exact: np.ndarray, matrix: CompressedMatrix, channels: np.ndarray | None = None) -> tuple[float, int]:
    """Return the sum of the relative squared errors of a matrix's blocks, and the number of the blocks that it is over:
    those that are not all zeros.

    Parameters
    ----------
    exact : float64 array, (rows, columns)
        The weights before compression.
    channels : float array, (columns,), optional
        What an error in each column counts. Default: all alike.
    """
    return _block_errors(exact, decode.weights(matrix) - exact, matrix.fmt.c, channels)


def _block_errors(exact: np.ndarray, errors: np.ndarray, width: int, channels: np.ndarray | None) -> tuple[float, int]:
    """As :func:`block_errors`, of errors that are known, in blocks of so many columns."""
    padding = -exact.shape[1] % width

    def squares(values: np.ndarray) -> np.ndarray:
        counted = np.square(values) if channels is None else np.square(values) * channels
        return np.pad(counted, ((0, 0), (0, padding))).reshape(-1, width).sum(axis=1)

    norms = squares(exact)
    some = norms > 0
    return float((squares(errors)[some] / norms[some]).sum()), int(some.sum())


Fraction = Callable[[int, int], None]
"""Called with how much of a slice is searched, and with all of it."""


def search_slice(work: Work, threads: int | None = None, progress: Fraction | None = None) -> CompressedMatrix:
    """Find the codes of a slice.

    Parameters
    ----------
    threads, progress
        As for :func:`host.encoder.encoder.encode`.

    Raises
    ------
    UserError
        As :func:`host.encoder.encoder.encode`.
    """
    fmt, weights, bias = parse_seedlm(work.format), work.weights, work.exponent_bias
    try:
        if work.device:
            return search_torch(weights, fmt, work.mode, exponent_bias=bias, device=work.device,
                                memory=int(work.device_memory * 1e9), progress=progress)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a tensor of zeros is told from its error, by whoever asks
            if not work.aim:
                return encode(weights, fmt, work.mode, exponent_bias=bias, channel_weights=work.channel_weights,
                              threads=threads, progress=progress)
            matrix, = encode_feedback([work.aim.of(weights)], fmt, work.aim.factor, work.mode,
                                      exponent_biases=[bias], threads=threads, progress=progress)
            return matrix
    except UserError as refusal:
        raise UserError(f"{work.tensor} cannot be compressed: {refusal}") from refusal


def pack_slice(work: Work, matrix: CompressedMatrix) -> Encoded:
    """Pack the codes of a slice, check them where that is asked for, and account for their errors.

    Raises
    ------
    CheckError
        When the check fails: the bytes do not decode to golden's numerators, or not to what was encoded.
    """
    stream = pack_rows(matrix)
    if work.check:
        stored = unpack_rows(np.frombuffer(stream, np.uint8), matrix.fmt, matrix.shape, work.exponent_bias)
        # The packed bytes go through the table decoder, what was encoded through golden's stepping of the register: a
        # fault of packing or of either decoder cannot pass.
        golden = matrix.numerators()
        if not (np.array_equal(decode.numerators(stored), golden)
                and np.array_equal(stored.exponents, matrix.exponents)):
            raise CheckError(f"{work.tensor} does not decode to what golden makes of it")
    exact = work.weights.astype(np.float64)
    errors = decode.weights(matrix) - exact
    return Encoded(stream, float(np.square(errors).sum()), float(np.square(exact).sum()), work.exponent_bias,
                   *_block_errors(exact, errors, matrix.fmt.c, work.counted()))


def encode_slice(work: Work, threads: int | None = None) -> Encoded:
    """Compress one slice. Parameters and errors are those of :func:`search_slice` and :func:`pack_slice`."""
    return pack_slice(work, search_slice(work, threads))


Runner = Callable[[Iterable[tuple[Slice, Work]], Callable[[Slice, float], None]], Iterator[tuple[Slice, Encoded]]]
"""Encodes slices, here or elsewhere, and yields them in any order. It may call its second argument with a slice and the
fraction of it that is done."""

"""A compressed tensor that is put together from its slices while it is written."""

from collections.abc import Iterator
from dataclasses import replace

from host.checkpoint.manifest import SUFFIX, CompressedTensor
from host.checkpoint.shards import Content
from host.compress.journal import Journal, Kept
from host.compress.plan import Target

__all__ = ["Assembly"]


def _root(error: float, norm: float) -> float:
    """Return a relative error of squares."""
    # Sums of floats differ in their last digits from processor to processor; six digits make them the same text.
    return float(f"{(error / norm) ** 0.5 if norm else 0.0:.6g}")


class Assembly:
    """A compressed tensor that is put together from its slices while its bytes are written, so that memory holds only
    one of them. The sums of its errors, and ``kept``, its slices by the names of their files, are complete when all
    pieces were taken."""

    def __init__(self, journal: Journal, target: Target) -> None:
        self._journal, self._target = journal, target
        self._error, self._norm, self._bias, self._block_errors, self._blocks = 0.0, 0.0, 0, 0.0, 0
        self.kept: dict[str, Kept] = {}
        self._size = target.stream_bytes

    def pieces(self) -> Iterator[bytes]:
        """Yield the stream, slice by slice, and the zeros at its end."""
        left = self._size
        for part in self._target.slices:
            encoded = self._journal.required(part, self._target.slice_bytes(part))
            self._error, self._norm = self._error + encoded.error, self._norm + encoded.norm
            self._block_errors, self._blocks = self._block_errors + encoded.block_errors, self._blocks + encoded.blocks
            self.kept[part.name] = Kept(self._target.name + SUFFIX, self._size - left, replace(encoded, stream=b""))
            self._bias, left = encoded.exponent_bias, left - len(encoded.stream)
            yield encoded.stream
        yield bytes(left)

    @property
    def content(self) -> Content:
        """The tensor as it is written."""
        return Content(self._target.name + SUFFIX, "U8", (self._size,), self._size, self.pieces)

    @property
    def tensor(self) -> CompressedTensor:
        """What the tensor means."""
        return CompressedTensor(self._target.fmt.name, self._target.shape, self._target.transposed, self._bias,
                                self._target.dtype, _root(self._error, self._norm),
                                _root(self._block_errors, self._blocks))

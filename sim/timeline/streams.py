"""Where the cycles of a run go at each of the engine's streams, by its handshake."""

from dataclasses import dataclass

import numpy as np

__all__ = ["STREAMS", "WAYS", "Stream", "ways"]


@dataclass(frozen=True)
class Stream:
    """A stream of the engine.

    Parameters
    ----------
    name : str
    producer, consumer : str
        What its words come from, and what takes them.
    word : str
        What a word of it is, in the plural.
    """

    name: str
    producer: str
    consumer: str
    word: str


STREAMS = (
    Stream("read", "memory", "read DMA", "beats read"),
    Stream("words", "unpacker", "lanes", "words of the matrix, which the lanes decode and multiply"),
    Stream("activations", "activations", "lanes", "words of activations, one for each word of the matrix"),
    Stream("sums", "lanes", "rounding", "sums of a group of rows, one for each lane"),
    Stream("results", "rounding", "write DMA", "results, or as many as leave the engine in a cycle"),
    Stream("write", "write DMA", "memory", "beats written"),
)
"""The streams in the order in which data pass them, which is that of the bits of :file:`probe.sv`."""
_REFRESHING, _READING = 2 * len(STREAMS), 2 * len(STREAMS) + 1
"""Numbers of the bits above those of the streams: memory refreshes itself; the last beat has not been read."""

WAYS = {
    "moved": "Cycles in which a word passed.",
    "producer": "Cycles in which there was no word: waiting for what comes before.",
    "refresh": "Cycles in which there was no word because memory refreshed itself; only known where memory is read.",
    "consumer": "Cycles in which a word was not taken: waiting for what comes after.",
    "over": "Cycles after the last word.",
}
"""What a cycle is at a stream; each is exactly one of these. Where memory is read, they are the classes of
:mod:`hw.registers.cycle_classes`: beats, starved, refresh, stalled, drain."""
_MOVED, _PRODUCER, _REFRESH, _CONSUMER, _OVER = range(len(WAYS))


def ways(signals: np.ndarray) -> np.ndarray:
    """Return what each cycle was at each stream.

    Parameters
    ----------
    signals : uint32, (cycles,)
        Of each cycle, the bits of :file:`probe.sv`.

    Returns
    -------
    uint8, (streams, cycles)
        Places in :data:`WAYS`.
    """
    def bit(place: int) -> np.ndarray:
        return (signals >> np.uint32(place) & 1).astype(bool)

    found = np.empty((len(STREAMS), signals.size), np.uint8)
    for number, way in enumerate(found):
        valid, ready = bit(2 * number), bit(2 * number + 1)
        way[:] = np.where(valid, np.where(ready, _MOVED, _CONSUMER), _PRODUCER)
        if number:
            moved = np.flatnonzero(valid & ready)
            way[moved[-1] + 1 if moved.size else 0:] = _OVER
        else:
            way[~valid & ~bit(_READING)] = _OVER
            way[~valid & bit(_READING) & bit(_REFRESHING)] = _REFRESH
    return found

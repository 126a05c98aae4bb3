"""What an engine takes beyond the time of its memory: sums of the latencies that its stages publish.

All functions return cycles, or words where they say so. They are what the cycle model adds to the memory's times.
"""

from hw.activations.activations import activations_latency
from hw.config import EngineConfig
from hw.dma.read import REQUEST_LATENCY, read_latency
from hw.dma.unpacker import unpacker_latency, unpacker_room
from hw.dma.write import WRITE_LATENCY
from hw.engine.sequencer import START_LATENCY
from hw.lanes.join import RETURN_LATENCY, join_interval, join_latency
from hw.lanes.lanes import lane_latency
from hw.parts.stream_slice import StreamSlice
from hw.rounding.rounding import rounding_latency

__all__ = ["FIRST_REQUEST", "group_interval", "groups_outstanding", "vector_latency", "weights_latency", "weights_room",
           "write_latency"]

FIRST_REQUEST = START_LATENCY - 1 + REQUEST_LATENCY
"""Cycles of a run before the one in which its first request is on the bus. The first cycle of a run is the one after
the start strobe."""


def weights_latency(config: EngineConfig) -> int:
    """Return the cycles from the beat that completes a word of weights on the bus to that word before the join."""
    return read_latency(config) + unpacker_latency(config.bus_bits, config.word_bits, config.pipelining.unpacker)


def weights_room(config: EngineConfig) -> int:
    """Return how many words of weights may wait at the join without holding up the beats of other regions behind
    them."""
    return unpacker_room(config.bus_bits, config.word_bits, config.pipelining.unpacker)


def vector_latency(config: EngineConfig) -> int:
    """Return the cycles from the last beat of a vector on the bus to its first word before the join."""
    return read_latency(config) + activations_latency(config)


def write_latency(config: EngineConfig) -> int:
    """Return the cycles from the last word of a group of rows at the join to the first result in a write burst on the
    bus, if that result completes a beat. The next results follow, ``results_per_cycle`` in each cycle."""
    return join_latency(config) + lane_latency(config) + rounding_latency(config) + WRITE_LATENCY


def group_interval(config: EngineConfig) -> int:
    """Return the least number of cycles from the last word of a group of rows to the last word of the next group.

    The join holds that word back, so that the sums of the group before have left the lanes when new ones are complete.
    With one result a cycle it does so until they have left; with more than one, it knows when they will have.
    """
    if config.results_per_cycle > 1:
        return join_interval(config)
    return join_latency(config) + lane_latency(config) + 1 + config.lanes


def groups_outstanding(config: EngineConfig) -> int:
    """Return the number of groups for whose results the engine has room: 1 with one result a cycle.

    With more, a group takes its room from when its last word leaves the join until the join knows that its results have
    left the queue. There is room for as many groups as may end within that time, and for one more that waits to be
    written.
    """
    if config.results_per_cycle == 1:
        return 1
    slices = config.pipelining.results * StreamSlice.latency
    cycles = (join_latency(config) + lane_latency(config) + rounding_latency(config) - slices
              + config.drain_cycles - 1 + RETURN_LATENCY)
    return -(-cycles // join_interval(config)) + 1

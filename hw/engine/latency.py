"""What an engine takes beyond the time of its memory: sums of the latencies that its stages publish."""

from hw.activations.activations import activations_latency
from hw.config import EngineConfig
from hw.dma.read import REQUEST_LATENCY, read_latency
from hw.dma.unpacker import unpacker_latency, unpacker_room
from hw.dma.write import WRITE_LATENCY
from hw.engine.sequencer import START_LATENCY
from hw.lanes.join import join_latency
from hw.lanes.lanes import lane_latency
from hw.results.results import results_latency

__all__ = ["first_request", "group_interval", "vector_latency", "weights_latency", "weights_room",
           "write_latency"]


def first_request(config: EngineConfig) -> int:
    """Cycles of a run before the one in which its first request is on the bus. A run's cycles are counted from the one
    after the start strobe on."""
    return START_LATENCY - 1 + REQUEST_LATENCY


def weights_latency(config: EngineConfig) -> int:
    """Cycles from the beat that completes a word of weights on the bus to that word before the join."""
    return read_latency(config) + unpacker_latency(config.bus_bits, config.word_bits, config.pipelining.unpacker)


def weights_room(config: EngineConfig) -> int:
    """Words of weights that may wait at the join without holding up the beats of other regions behind them."""
    return unpacker_room(config.bus_bits, config.word_bits, config.pipelining.unpacker)


def vector_latency(config: EngineConfig) -> int:
    """Cycles from the last beat of a vector on the bus to its first word before the join."""
    return read_latency(config) + activations_latency(config)


def write_latency(config: EngineConfig) -> int:
    """Cycles from the last word of a group of rows at the join to the first result in a write burst on the bus, if that
    result completes a beat; the next results follow a cycle apart."""
    return join_latency(config) + lane_latency(config) + results_latency(config) + WRITE_LATENCY


def group_interval(config: EngineConfig) -> int:
    """Least cycles from the last word of a group of rows to that of the next: the sums of one have to leave the lanes
    before those of the other come."""
    return join_latency(config) + lane_latency(config) + 1 + config.lanes

"""The kinds of lanes: which one decodes and multiplies the blocks of a format, and its latency.

All lanes have the same signature (:func:`~hw.payloads.lane_signature`).

Latency: :func:`lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; a lane never
stalls. The last blocks of two rows have to come at least :func:`lane_interval` cycles apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from golden.spec import BlockFormat, GroupFormat, HalfFormat, TrellisFormat
from hw.config import EngineConfig
from hw.lanes.fp16_lane import Fp16Lane, fp16_lane_latency
from hw.lanes.integer_lane import IntegerLane, integer_lane_interval, integer_lane_latency
from hw.lanes.seedlm_lane import SeedlmLane, seedlm_lane_latency
from hw.lanes.trellis_lane import TrellisLane, trellis_lane_latency

__all__ = ["lane", "lane_interval", "lane_latency"]


@dataclass(frozen=True)
class _Kind:
    """The component of a lane, its latency, and the least interval between the ends of rows, both in cycles; all for a
    configuration."""

    component: Callable[[EngineConfig], wiring.Component]
    latency: Callable[[EngineConfig], int]
    interval: Callable[[EngineConfig], int]


def _every_cycle(config: EngineConfig) -> int:
    """The interval of a lane that takes the end of a row in every cycle."""
    return 1


_KINDS = {
    BlockFormat: _Kind(SeedlmLane, seedlm_lane_latency, _every_cycle),
    GroupFormat: _Kind(IntegerLane, integer_lane_latency, integer_lane_interval),
    TrellisFormat: _Kind(TrellisLane, trellis_lane_latency, _every_cycle),
    HalfFormat: _Kind(Fp16Lane, fp16_lane_latency, _every_cycle),
}
"""The kind of lane by the type of the weight format."""


def lane(config: EngineConfig) -> wiring.Component:
    """A new lane for the engine's format."""
    return _KINDS[type(config.fmt)].component(config)


def lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum, for the engine's format."""
    return _KINDS[type(config.fmt)].latency(config)


def lane_interval(config: EngineConfig) -> int:
    """Cycles at least from the last block of a row to that of the next, for the engine's format."""
    return _KINDS[type(config.fmt)].interval(config)

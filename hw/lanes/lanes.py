"""The kinds of lanes: which one decodes and multiplies the blocks of a format, and its latency.

All lanes have the same signature (:func:`~hw.payloads.lane_signature`).

Latency: :func:`lane_latency` cycles from the last block of a row to its sum. Rate: one block a cycle; a lane never
stalls.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from golden.spec import BlockFormat, GroupFormat, HalfFormat
from hw.config import EngineConfig
from hw.lanes.fp16_lane import Fp16Lane, fp16_lane_latency
from hw.lanes.integer_lane import IntegerLane, integer_lane_latency
from hw.lanes.seedlm_lane import SeedlmLane, seedlm_lane_latency

__all__ = ["lane", "lane_latency"]


@dataclass(frozen=True)
class _Kind:
    """The component of a lane and its latency in cycles, both for a configuration."""

    component: Callable[[EngineConfig], wiring.Component]
    latency: Callable[[EngineConfig], int]


_KINDS = {
    BlockFormat: _Kind(SeedlmLane, seedlm_lane_latency),
    GroupFormat: _Kind(IntegerLane, integer_lane_latency),
    HalfFormat: _Kind(Fp16Lane, fp16_lane_latency),
}
"""The kind of lane by the type of the weight format."""


def lane(config: EngineConfig) -> wiring.Component:
    """A new lane for the engine's format."""
    return _KINDS[type(config.fmt)].component(config)


def lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum, for the engine's format."""
    return _KINDS[type(config.fmt)].latency(config)

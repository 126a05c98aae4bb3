"""The lanes: which kind of lane decodes and multiplies a format, and how long one takes.

All lanes look alike from outside (:func:`~hw.payloads.lane_signature`), never stall and take one block a cycle.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from golden.spec import BlockFormat, GroupFormat, HalfFormat
from hw.config import EngineConfig
from hw.lanes.fp16_lane import Fp16Lane, fp16_lane_latency
from hw.lanes.int4_lane import Int4Lane, int4_lane_latency
from hw.lanes.seedlm_lane import SeedlmLane, seedlm_lane_latency

__all__ = ["lane", "lane_latency"]


@dataclass(frozen=True)
class _Kind:
    component: Callable[[EngineConfig], wiring.Component]
    latency: Callable[[EngineConfig], int]


_KINDS = {
    BlockFormat: _Kind(SeedlmLane, seedlm_lane_latency),
    GroupFormat: _Kind(Int4Lane, int4_lane_latency),
    HalfFormat: _Kind(Fp16Lane, fp16_lane_latency),
}
"""By type of the weight format."""


def lane(config: EngineConfig) -> wiring.Component:
    """A lane for the engine's format."""
    return _KINDS[type(config.fmt)].component(config)


def lane_latency(config: EngineConfig) -> int:
    """Cycles from the last block of a row to its sum."""
    return _KINDS[type(config.fmt)].latency(config)

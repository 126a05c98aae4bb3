"""The stages of synthesis, placing and routing, as the tools' wrappers name them, with about what each takes on two
cores: shares of a board's design, which the clock corrects."""

from host.display.meter import Step

__all__ = ["BITSTREAM", "PLACE_AND_ROUTE"]

PLACE_AND_ROUTE = (
    Step(("synthesis",), 60), Step(("packing ",), 15), Step(("placing",), 250), Step(("refining",), 50),
    Step(("routing",), 250, counted="routing,"))
"""Stages of :func:`host.synth.place_and_route.place`."""
BITSTREAM = (Step(("elaboration",), 15), *PLACE_AND_ROUTE, Step(("packing the bitstream",), 5))
"""Stages of :func:`host.synth.bitstream.bitstream`."""

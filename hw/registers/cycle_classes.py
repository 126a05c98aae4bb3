"""Where the cycles of a run go: every cycle belongs to exactly one of five classes, each of which has a counter.

The counters, the registers, the driver, the reports and the charts take names and sentences from here. This module
imports nothing, because reports are also shown where no hardware tools are installed.
"""

__all__ = ["CYCLE_CLASSES", "WAITING"]

WAITING = {
    "starved": "Cycles in which the engine waited for memory.",
    "refresh": "Cycles in which the engine waited because memory refreshed itself; 0 where memory does not report it.",
    "stalled": "Cycles in which memory offered a beat and the engine was not ready for it.",
    "drain": "Cycles after the last beat, in which the pipeline empties and results are written.",
}
"""Classes of cycles without a beat: what each of them counts, by the counter's name."""
CYCLE_CLASSES = {"beats": "Cycles in which memory delivered a beat and the engine accepted it.", **WAITING}
"""All five classes. Their counts add up to the cycles of the run."""

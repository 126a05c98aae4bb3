"""Rows of ``host timeline``: where the cycles of a run, or of a part of it, go at one of the engine's streams."""

from host.tables.row import Row, column

__all__ = ["TimelineRow"]


class TimelineRow(Row):
    """A stream in some cycles. Each cycle is in one of the five classes, which add up to ``cycles``."""

    VIEW = ("stage", "moved", "producer", "refresh", "consumer", "over")
    LABEL = "{stage}, {view} from cycle {start}"

    view: str = column("view", doc="“run” is all of a run; the others are parts of the chart: “whole”, “change-over” "
                                   "from one matrix to the next, and “end”.")
    stage: str = column("stage", doc="What the words of a stream come from, and what takes them.")
    start: int = column("start", ",d", unit="cycles", doc="First of the cycles, counted from the start of the run.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="How many cycles they are.")
    moved: int = column("moved", ",d", unit="cycles", doc="Cycles in which a word passed.")
    producer: int = column("waits for producer", ",d", unit="cycles",
                           doc="Cycles without a word: the consumer waited for what comes before.")
    refresh: int = column("refresh", ",d", unit="cycles",
                          doc="Cycles without a word because memory refreshed itself; only known where it is read.")
    consumer: int = column("waits for consumer", ",d", unit="cycles",
                           doc="Cycles in which a word was not taken: the producer waited for what comes after.")
    over: int = column("over", ",d", unit="cycles", doc="Cycles after the last word of the run.")
    bit_exact: bool | None = column("exact", doc="Whether every result of the run equals golden's, bit for bit.",
                                    optional=True, default=None)
    source: str = column("source", doc="How the cycles were obtained.", default="rtl")

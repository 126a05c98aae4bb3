"""Progress of long work on the terminal: how much is done, how fast, and what time is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from host.printable import printable
from host.update import Update

__all__ = ["model_progress", "resumed_progress", "stage_progress", "work_progress"]

class _What(ProgressColumn):
    """What is at hand. It may be a name from outside, whose brackets are no markup."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


class _Rate(ProgressColumn):
    """Blocks a second over the last while, or megabytes a second where a task's field says that it counts bytes."""

    def render(self, task: Task) -> Text:
        unit, size = ("MB", 1e6) if task.fields.get("bytes") else ("blocks", 1)
        return Text(f"{task.speed / size:,.0f} {unit}/s" if task.speed else f"- {unit}/s")


@contextmanager
def model_progress() -> Iterator[tuple[Update, Update]]:
    """Show a bar for work on a model; it yields what to call for blocks, and what to call for bytes that are read.

    Either may be called at any time: the bar begins anew whenever another amount is counted.
    """
    columns = (_What(), BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, speed_estimate_period=60) as bar:
        task = bar.add_task("", total=None, bytes=False)

        def update(reading: bool, what: str, done: float, total: float) -> None:
            shown = bar.tasks[0]
            if (shown.total, shown.fields["bytes"]) != (total, reading):
                bar.reset(task, total=total, completed=round(done), bytes=reading)
            bar.update(task, description=f"read {what}" if reading else what, completed=done)

        yield partial(update, False), partial(update, True)


@contextmanager
def resumed_progress() -> Iterator[Update]:
    """Show a bar for work that takes up to days and goes on where it was; it yields what to call.

    Its rate leaves out what is done already at the first call, by an earlier run.
    """
    columns = (_What(), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, speed_estimate_period=3600) as bar:
        task = bar.add_task("", total=None)

        def update(what: str, done: float, total: float) -> None:
            if bar.tasks[0].total is None:
                bar.reset(task, total=total, completed=round(done))
            bar.update(task, description=what, completed=done)

        yield update


@contextmanager
def work_progress() -> Iterator[Update]:
    """Show a bar for anything that is counted, gone when it is done; it yields what to call."""
    columns = (_What(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


@contextmanager
def stage_progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show a line for a tool that reports its stage but not how much is left; it yields what to call."""
    columns = (SpinnerColumn(), _What(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as line:
        task = line.add_task(what)
        yield lambda stage: line.update(task, description=f"{what}: {stage}")

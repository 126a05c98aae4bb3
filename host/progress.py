"""The progress bar of long work: rate and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["block_progress", "stage_progress", "work_progress"]


Update = Callable[[str, int, int], None]
"""What is at hand, how much is done, how much there is."""


class _Rate(ProgressColumn):
    """Blocks a second over the last while."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} blocks/s" if task.speed else "- blocks/s")


@contextmanager
def block_progress() -> Iterator[Update]:
    """A bar on the terminal for blocks; yields what to call."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, speed_estimate_period=60) as bar:
        task = bar.add_task("", total=None)

        def update(what: str, done: int, total: int) -> None:
            if bar.tasks[0].total is None:  # what an earlier run finished does not count for the rate
                bar.reset(task, total=total, completed=done)
            bar.update(task, description=what, completed=done)

        yield update


@contextmanager
def work_progress() -> Iterator[Update]:
    """A bar on the terminal for anything counted, gone when done; yields what to call."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


@contextmanager
def stage_progress(what: str) -> Iterator[Callable[[str], None]]:
    """A line on the terminal for a tool that tells its stage but not how much is left; yields what to call."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as line:
        task = line.add_task(what)
        yield lambda stage: line.update(task, description=f"{what}: {stage}")

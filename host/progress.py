"""The progress bar of long work: rate and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["block_progress"]


class _Rate(ProgressColumn):
    """Blocks a second over the last while."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} blocks/s" if task.speed else "- blocks/s")


@contextmanager
def block_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on the terminal; yields what to call with (what is at hand, blocks done, blocks in all)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, speed_estimate_period=60) as bar:
        task = bar.add_task("", total=None)

        def update(what: str, done: int, total: int) -> None:
            if bar.tasks[0].total is None:  # what an earlier run finished does not count for the rate
                bar.reset(task, total=total, completed=done)
            bar.update(task, description=what, completed=done)

        yield update

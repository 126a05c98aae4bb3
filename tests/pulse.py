"""A line every half a minute that says how far the tests are, where there is no terminal."""

import pytest

from host.display.lines import Lines
from host.display.meter import Meter

__all__ = ["Pulse"]


class Pulse:
    """Prints how many of the tests are done, from the process that collects their results."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = config.get_terminal_writer()
        self._lines = Lines(Meter(unit="parts"), self)  # type: ignore[arg-type]  it writes, and that is all it takes
        self._done = self._total = 0

    def write(self, text: str) -> None:
        if text.strip():
            self._writer.write(f"\n{text}\n")

    def flush(self) -> None:
        self._writer.flush()

    def _tell(self) -> None:
        self._lines.update(f"{self._done} of {self._total} tests" if self._total else "collecting tests", self._done,
                           self._total)

    def pytest_sessionstart(self) -> None:
        self._lines.__enter__()
        self._tell()

    def pytest_sessionfinish(self) -> None:
        self._lines.__exit__()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = session.testscollected
        self._tell()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)
        self._tell()

    def pytest_runtest_logfinish(self) -> None:
        self._done += 1
        self._tell()

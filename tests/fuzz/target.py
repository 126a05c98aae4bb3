"""What a target of fuzzing is, and how one input is tried: it succeeds or is refused in one sentence, in time, and
within the memory that its size allows."""

import gc
import resource
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import ClassVar

from host.errors import UserError
from tests.fuzz.mutation import Mutator

__all__ = ["CORPUS", "HANG", "Finding", "Target", "Trial"]

CORPUS = Path(__file__).with_name("corpus")
"""A folder for each target, with inputs that were findings once."""
HANG = 2.0
"""Seconds of the processor that an input may take."""
_BASE, _TIMES = 64 << 20, 2  # bytes that an input may cost, and times its own bytes besides


class Hang(BaseException):
    """An input takes too long. No ordinary exception, so that no handler takes it for one."""


class Target(ABC):
    """Something that reads what others wrote.

    Parameters
    ----------
    folder : Path
        An empty folder for its files.
    """

    NAME: ClassVar[str]
    """Name of the target."""
    JSON: ClassVar[float] = 0.0
    """Share of the inputs whose JSON is changed by its values; the others are changed by their bytes."""
    REFUSALS: ClassVar[tuple[type[Exception], ...]] = (UserError,)
    """Exceptions by which an input is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Return inputs that are good, or good but for one thing, from which others are made."""

    @abstractmethod
    def run(self, data: bytes) -> None:
        """Read an input; exceptions of :attr:`REFUSALS` refuse it."""

    def mutated(self, mutator: Mutator, seeds: list[bytes]) -> bytes:
        """Return an input made of one or two others."""
        data = mutator.rng.choice(seeds)
        if mutator.rng.random() < self.JSON:
            data = mutator.json(data)
            if mutator.rng.random() < 0.8:
                return data
        return mutator.bytes(data, mutator.rng.choice(seeds))


@dataclass(frozen=True)
class Finding:
    """An input that is neither read nor refused as it should be, and what happened."""

    data: bytes
    what: str


@contextmanager
def _limited() -> Iterator[None]:
    """Raise Hang in the block when it takes too much of the processor, or ten times as long by the clock."""
    def expire(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = [(timer, number, signal.signal(number, expire)) for timer, number in (
        (signal.ITIMER_PROF, signal.SIGPROF), (signal.ITIMER_REAL, signal.SIGALRM))]
    signal.setitimer(signal.ITIMER_PROF, HANG)
    signal.setitimer(signal.ITIMER_REAL, 10 * HANG)
    try:
        yield
    finally:
        for timer, number, handler in before:
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _peak() -> int:
    """Return the most memory that this process has used, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass
class Trial:
    """Inputs of one target, tried one after another.

    Members
    -------
    tried, refused : int
        Inputs tried, and those of them that were refused.
    findings : list of Finding
    """

    target: Target
    tried: int = 0
    refused: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seeds = self.target.seeds()
        corpus = CORPUS / self.target.NAME
        self._kept = [path.read_bytes() for path in sorted(corpus.iterdir())] if corpus.is_dir() else []
        for data in (*self._seeds, *self._kept):
            self.run(data)
        gc.collect()
        with suppress(OSError):  # what other tests have used before does not hide what is used now
            Path("/proc/self/clear_refs").write_text("5")
        self._base = _peak()

    def mutate(self, seed: int) -> None:
        """Try the input of a seed."""
        self.run(self.target.mutated(Mutator(seed), [*self._seeds, *self._kept]))

    def run(self, data: bytes) -> None:
        """Try an input."""
        self.tried += 1
        what = ""
        try:
            with _limited():
                self.target.run(data)
        except self.target.REFUSALS as error:
            self.refused += 1
            if "\n" in str(error) or not str(error):
                what = f"a refusal that is no sentence: {str(error)[:80]!r}"
        except Hang:
            what = f"no end within {HANG} s"
        except Exception as error:
            at = error.__traceback__
            while at and at.tb_next:
                at = at.tb_next
            where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""
            what = f"{type(error).__name__} in {where}: {str(error)[:200]}"
        if hasattr(self, "_base") and _peak() > self._base + _BASE + _TIMES * len(data):
            what = what or f"{(_peak() - self._base) >> 20} MiB of memory for {len(data)} bytes"
            self._base = _peak()
        if what:
            self.findings.append(Finding(data, what))

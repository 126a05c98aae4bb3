"""A fixed sample of `make fuzz`: the inputs that were findings once, and 2,000 others of every target."""

import tempfile
from pathlib import Path

import pytest

from tests.fuzz import target
from tests.fuzz.target import CORPUS, Target, Trial
from tests.fuzz.targets import TARGETS, memory_folder, without_waiting

MUTATIONS = 2000


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_read_or_refused(name: str) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, without_waiting():
        trial = Trial(TARGETS[name](Path(folder)))
        for seed in range(MUTATIONS):
            trial.mutate(seed)
    assert [finding.what for finding in trial.findings] == []
    assert 0 < trial.refused < trial.tried


def test_the_corpus_is_of_targets_that_there_are() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} <= set(TARGETS)


class Broken(Target):
    """A reader with every fault that there is."""

    NAME = "broken"

    def seeds(self) -> list[bytes]:
        return [b""]

    def run(self, data: bytes) -> None:
        if data == b"hang":
            while True:
                pass
        if data == b"memory":
            bytearray(200 << 20)[::4096] = bytes(200 << 8)
        if data == b"line":
            raise self.REFUSALS[0]("")
        if data == b"error":
            raise KeyError("a key")


@pytest.mark.parametrize(("data", "what"), [(b"hang", "no end within"), (b"memory", "MiB of memory for 6 bytes"),
                                            (b"line", "no sentence"), (b"error", "KeyError in test_fuzz.py")])
def test_faults_are_found(data: bytes, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "HANG", 0.2)
    trial = Trial(Broken(tmp_path))
    trial.run(b"good")
    assert not trial.findings
    trial.run(data)
    (finding,) = trial.findings
    assert what in finding.what

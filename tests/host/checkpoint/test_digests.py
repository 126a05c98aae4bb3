"""Digests of files by threads."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from host.checkpoint import digests as module
from host.checkpoint.digests import Range, content_digest, digests, whole
from host.errors import UserError

MEGABYTES = 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(np.random.default_rng(0).bytes(MEGABYTES << 20))
    return path


def test_ranges_have_their_digests(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    data, calls = file.read_bytes(), []
    ranges = [whole(file), Range(file, 5, 1 << 20), whole(tmp_path / "empty"), Range(file, len(data) - 1, 1)]
    found = digests(ranges, lambda name, done, total: calls.append((done, total)))
    assert found == [hashlib.sha256(data[part.start:part.start + part.size]).hexdigest() if part.path == file else
                     hashlib.sha256().hexdigest() for part in ranges]
    assert calls[-1] == (len(data) + (1 << 20) + 1,) * 2
    assert digests([]) == []


def test_a_content_digest_is_of_all_bytes_and_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 100_003)
    seen, data = {content_digest([file])}, file.read_bytes()
    for at in (0, 100_002, 100_003, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        seen.add(content_digest([file]))
    file.write_bytes(data)
    seen.add(content_digest([file.rename(file.with_name("other"))]))
    assert len(seen) == 7


@pytest.mark.parametrize("size", [MEGABYTES << 20, 100])
def test_a_file_that_becomes_shorter(size: int, file: Path) -> None:
    part = Range(file, 0, size)
    file.write_bytes(bytes(size - 1))
    with pytest.raises(UserError, match=r"cannot read .*large .it has become shorter.: make it readable or download"):
        digests([part])
    file.unlink()
    with pytest.raises(UserError, match=r"cannot read .*large .No such file"):
        digests([part])
    with pytest.raises(UserError, match=r"cannot read .*large .No such file"):
        whole(file)


def test_threads_end_with_the_call(file: Path) -> None:
    """Whatever the progress function raises, such as an interruption."""
    def interrupted(*counts: object) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        digests([Range(file, 0, MEGABYTES << 20)] * 50, interrupted)
    assert threading.active_count() == before

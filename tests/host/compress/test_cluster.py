"""Compression by a real cluster of worker processes, one of which dies."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from host.cli.main import main
from host.compress.cluster import cluster_runner, connected
from host.compress.compress import compress
from host.compress.plan import Options, Slice
from host.compress.slices import Encoded, Work
from host.errors import UserError

OPTIONS = Options("8,3,14", slice_weights=1)  # slices of one group, of some tenths of a second


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights = np.random.default_rng(0).normal(0, 0.02, (256, 1024)).astype(np.float32)
    save_file({"up_proj.weight": weights}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_a_killed_worker_costs_only_its_slice(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    killed: list[int] = []
    with connected(workers=2) as client:
        client.wait_for_workers(2)
        processes = client.run(os.getpid)
        assert len(set(processes.values())) == 2
        assert os.getpid() not in processes.values()
        inner = cluster_runner(client)

        def runner(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
                tuple[Slice, Encoded]]:
            for n, done in enumerate(inner(work, partial)):
                if n == 2:
                    killed.append(next(iter(processes.values())))
                    os.kill(killed[0], signal.SIGKILL)
                yield done

        compress(model, tmp_path / "out", OPTIONS, runner=runner)
        assert killed[0] not in client.run(os.getpid).values()
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_error_in_a_worker_reaches_the_user(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(workers=1) as client:
        client.run(lambda: os.environ.update(CC="no-such-cc", SEEDLM_CACHE=str(tmp_path / "empty")))
        with pytest.raises(UserError, match="no C compiler 'no-such-cc' found"):
            compress(model, tmp_path / "out", OPTIONS, runner=cluster_runner(client))


def test_a_scheduler_that_does_not_answer(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("host.compress.cluster._TIMEOUT", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        arguments = ["compress", str(model), str(tmp_path / "out"), "--scheduler", address]
        monkeypatch.setattr(sys, "argv", ["host", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert f"error: cannot reach the Dask scheduler {address}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r"pip install 'seedlm-fpga\[cluster\]'"), connected(workers=2):
        pass

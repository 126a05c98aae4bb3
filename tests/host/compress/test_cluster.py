"""Compression by other processes: of this machine, and of a real Dask cluster, some of which die."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster, Security
from safetensors.numpy import save_file

from golden.tree import ROOT
from host.cli.main import main
from host.compress.cluster import cluster_runner, process_runner
from host.compress.compress import compress
from host.compress.plan import Options, Slice
from host.compress.slices import Encoded, Runner, Work
from host.errors import UserError
from host.scheduler import Tls, connected
from host.workers import Workers

OPTIONS = Options("8,3,14", slice_weights=1)  # slices of one group, of some tenths of a second


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights = np.random.default_rng(0).normal(0, 0.02, (256, 1024)).astype(np.float32)
    save_file({"up_proj.weight": weights}, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def killing(inner: Runner, process: Callable[[], int]) -> Runner:
    """A runner that kills a process once some slices are there."""
    def runner(work: Iterable[tuple[Slice, Work]], partial: Callable[[Slice, float], None]) -> Iterator[
            tuple[Slice, Encoded]]:
        for n, done in enumerate(inner(work, partial)):
            if n == 2:
                os.kill(process(), signal.SIGKILL)
            yield done

    return runner


def same(one: Path, other: Path) -> bool:
    return all((one / path.name).read_bytes() == path.read_bytes() for path in other.iterdir())


def test_a_killed_process_costs_only_its_slices(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    with Workers(2) as workers:
        inner = process_runner(workers)
        compress(model, tmp_path / "out", OPTIONS, runner=killing(inner, lambda: workers.pids[0]))
    assert same(tmp_path / "out", tmp_path / "whole")


def dead(work: Work) -> Encoded:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_processes_that_are_killed_again_and_again(model: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.compress.cluster.encode_alone", dead)
    with (Workers(1) as workers,
          pytest.raises(UserError, match=r"the processes that encode up_proj.weight are killed: give fewer --workers")):
        compress(model, tmp_path / "out", OPTIONS, runner=process_runner(workers))


def test_a_killed_worker_of_a_cluster_costs_only_its_slices(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    with (LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local,
          connected(local.scheduler_address, Tls()) as client):
        client.wait_for_workers(2)
        processes = client.run(os.getpid)
        assert len(set(processes.values())) == 2
        assert os.getpid() not in processes.values()
        killed = next(iter(processes.values()))
        compress(model, tmp_path / "out", OPTIONS, runner=killing(cluster_runner(client), lambda: killed))
        assert killed not in client.run(os.getpid).values()
    assert same(tmp_path / "out", tmp_path / "whole")


CLUSTER = """
import time
from distributed import LocalCluster

if __name__ == "__main__":
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    print(cluster.scheduler_address, flush=True)
    time.sleep(1000)
"""


def test_a_killed_scheduler(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    (tmp_path / "cluster.py").write_text(CLUSTER)
    process = subprocess.Popen([sys.executable, tmp_path / "cluster.py"], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               start_new_session=True)
    try:
        assert process.stdout
        with connected(process.stdout.readline().strip(), Tls()) as client:
            runner = killing(cluster_runner(client), lambda: process.pid)
            with pytest.raises(UserError, match="the connection to the scheduler was lost: start it and its workers"):
                compress(model, tmp_path / "out", OPTIONS, runner=runner)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    compress(model, tmp_path / "out", OPTIONS)
    assert same(tmp_path / "out", tmp_path / "whole")


def test_a_scheduler_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host.scheduler._JOINING", 0.3)
    with (LocalCluster(n_workers=0, processes=False, dashboard_address=None, protocol="tcp") as local,
          pytest.raises(UserError, match=r"no worker has joined the scheduler tcp://.* for 0.3 seconds: start dask"),
          connected(local.scheduler_address, Tls())):
        pass


def test_an_error_in_a_process_reaches_the_user(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-cc")
    monkeypatch.setenv("SEEDLM_CACHE", str(tmp_path / "empty"))
    with Workers(1) as workers, pytest.raises(UserError, match="no C compiler 'no-such-cc' found"):
        compress(model, tmp_path / "out", OPTIONS, runner=process_runner(workers))


def test_a_scheduler_that_does_not_answer(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("host.scheduler._TIMEOUT", 0.5)
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
    with (pytest.raises(UserError, match=r"pip install '\.\[cluster\]'"),
          connected("tcp://127.0.0.1:9", Tls())):
        pass


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """An authority's certificate, and a certificate with its key that it vouches for."""
    if not shutil.which("openssl"):
        pytest.skip("certificates are made by openssl")
    folder = tmp_path_factory.mktemp("tls")
    for command in (
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
            "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=localhost",
            "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 2"):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return Tls(folder / "ca.pem", folder / "own.pem", folder / "own.key")


def test_a_cluster_with_tls(tls: Tls, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                            capsys: pytest.CaptureFixture[str]) -> None:
    compress(model, tmp_path / "whole", OPTIONS)
    monkeypatch.setattr("host.scheduler._TIMEOUT", 2)
    security = Security(tls_ca_file=str(tls.ca), tls_client_cert=str(tls.cert), tls_client_key=str(tls.key),
                        tls_scheduler_cert=str(tls.cert), tls_scheduler_key=str(tls.key),
                        tls_worker_cert=str(tls.cert), tls_worker_key=str(tls.key), require_encryption=True)
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, security=security,
                      protocol="tls") as local:
        address = local.scheduler_address
        with connected(address, tls) as client:
            compress(model, tmp_path / "out", OPTIONS, runner=cluster_runner(client))
        assert capsys.readouterr().err == ""
        # Who brings no certificate does not get in.
        with (pytest.raises(UserError, match="cannot reach the Dask scheduler"),
              connected(address.replace("tls", "tcp"), Tls())):
            pass
    assert "is neither encrypted nor authenticated" in capsys.readouterr().err
    assert same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(("given", "address", "message"), [
    ({"cert": None}, "tls://x:1", "TLS needs all of --tls-ca-file, --tls-cert, --tls-key: give --tls-cert too"),
    ({"key": Path("none.pem")}, "tls://x:1", r"cannot read none.pem of --tls-key \(No such file or directory\): name"),
    ({}, "tcp://x:1", "the scheduler 'tcp://x:1' is not one with TLS: give an address that begins with tls://"),
])
def test_unusable_files_for_tls(given: dict[str, Path | None], address: str, message: str, tls: Tls) -> None:
    with pytest.raises(UserError, match=message), connected(address, replace(tls, **given)):  # type: ignore[arg-type]
        pass

"""Models that are named as the Hugging Face hub and its cache name them, and never downloaded."""

from pathlib import Path

import pytest

from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.hub import find_model, hub_cache
from host.errors import UserError
from tests.host.checkpoint.test_checkpoint import write_safetensors

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two revisions of the model org/name, as huggingface_hub makes it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "cache" / "models--org--name"
    (model / "blobs").mkdir(parents=True)
    for commit in (OLD, NEW):
        write_safetensors(model / "blobs" / "weights.safetensors").rename(model / "blobs" / commit)
        (model / "snapshots" / commit).mkdir(parents=True)
        (model / "snapshots" / commit / "model.safetensors").symlink_to(f"../../blobs/{commit}")
    for name, commit in (("main", NEW), ("v1", OLD), ("refs/pr/1", OLD)):
        (model / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (model / "refs" / name).write_text(commit)
    return model


@pytest.mark.parametrize(("revision", "commit"), [("", NEW), ("main", NEW), ("v1", OLD), ("refs/pr/1", OLD),
                                                  (OLD, OLD)])
def test_all_names_of_a_model(revision: str, commit: str, cache: Path) -> None:
    snapshot = cache / "snapshots" / commit
    for name in ("org/name", "models--org--name", cache, "cache/models--org--name"):
        assert find_model(name, revision) == snapshot
        assert open_checkpoint(name, revision).names()
    assert open_checkpoint(snapshot).path == snapshot


def test_where_the_cache_is() -> None:
    home = Path("~").expanduser()
    for environment, wanted in (({}, home / ".cache/huggingface/hub"), ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
                                ({"HF_HOME": "/h"}, "/h/hub"), ({"HF_HOME": "~/h"}, home / "h/hub"),
                                ({"HF_HOME": "/h", "HF_HUB_CACHE": "/c"}, "/c")):
        assert hub_cache(environment) == Path(wanted)


def test_variables_within_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in huggingface_hub/constants.py."""
    monkeypatch.setenv("DISK", "/disk")
    assert hub_cache({"HF_HUB_CACHE": "$DISK/hub"}) == Path("/disk/hub")
    assert hub_cache({"HF_HOME": "${DISK}/hf"}) == Path("/disk/hf/hub")


@pytest.mark.parametrize("revision", ["", "main"])
def test_a_reference_without_its_snapshot(revision: str, cache: Path) -> None:
    """The other snapshot is another model, also where it is the only one."""
    (cache / "snapshots" / NEW / "model.safetensors").unlink()
    (cache / "snapshots" / NEW).rmdir()
    with pytest.raises(UserError, match=f"holds no snapshot {NEW}, which .*refs/main names: download it with hf down"):
        find_model("org/name", revision)
    assert find_model("org/name", "v1").name == OLD


def test_a_path_comes_before_a_name(cache: Path) -> None:
    folder = cache.parents[1] / "org" / "name"
    folder.mkdir(parents=True)
    assert find_model("org/name") == Path("org/name")
    with pytest.raises(UserError, match="org/name has no revisions: leave --revision v1 out"):
        find_model("org/name", "v1")


@pytest.mark.parametrize(("name", "revision", "message"), [
    ("org/other", "", r"no model of this name in the hub's cache .*cache: give a path, or download the model with hf "
                      "download org/other$"),
    ("other", "v2", "hf download other --revision v2$"),
    ("org/name", "v2", r"models--org--name holds no revision v2 of the model: download it with hf download org/name "
                       "--revision v2$"),
    ("org/name", "../../outside", "holds no revision"), ("org/name", "OUTSIDE", "holds no revision"),
    ("org/" + "x" * 300, "", "download the model with hf download"), ("org/name", "x" * 300, "holds no revision")])
def test_what_is_not_in_the_cache(name: str, revision: str, message: str, cache: Path) -> None:
    outside = cache.parent / "outside"
    outside.write_text(OLD)
    revision = revision.replace("OUTSIDE", str(outside))
    with pytest.raises(UserError, match=message):
        find_model(name, revision)


def test_snapshots_without_main(cache: Path) -> None:
    (cache / "refs" / "main").unlink()
    with pytest.raises(UserError, match=f"several snapshots and no main: choose one with --revision {OLD} or"):
        find_model("org/name")
    (cache / "snapshots" / NEW / "model.safetensors").unlink()
    (cache / "snapshots" / NEW).rmdir()
    assert find_model("org/name").name == OLD
    (cache / "refs" / "main").write_text("../../../..")
    with pytest.raises(UserError, match="holds no snapshot"):
        find_model("org/name")


def test_a_snapshot_without_weights(cache: Path) -> None:
    (cache / "snapshots" / NEW / "model.safetensors").rename(cache / "snapshots" / NEW / "config.json")
    with pytest.raises(UserError, match=r"holds no weights, only other files of the model: download them with hf "
                                        r"download org/name$"):
        open_checkpoint("org/name")

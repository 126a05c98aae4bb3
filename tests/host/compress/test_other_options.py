"""Runs that go on with what a run of other patterns or other shards has left, and runs that must not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from host.calibrate.calibration import Calibration
from host.checkpoint.unfinished import PARTS
from host.compress.compress import compress
from host.compress.here import run_here
from host.compress.plan import Options, Slice
from host.compress.slices import Encoded, Work
from host.errors import UserError
from tests.host.compress.toy import SMALL, Stop, content, flip, folder, stopping

NAN = "model.layers.1.self_attn.k_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder(tmp_path / "model")


class Counted:
    """A runner that keeps the names of the tensors whose slices it encodes."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, work: Iterable[tuple[Slice, Work]],
                 partial: Callable[[Slice, float], None]) -> Iterator[tuple[Slice, Encoded]]:
        for part, encoded in run_here(work, partial):
            self.names.append(part.tensor)
            yield part, encoded


def unfinished(model: Path, out: Path, options: Options, slices: int) -> None:
    with pytest.raises(Stop):
        compress(model, out, options, runner=stopping(slices))


@pytest.mark.parametrize("shard_bytes", [3000, 9000, 1 << 30])
def test_finished_slices_survive_the_exclusion_of_a_tensor_with_nan(shard_bytes: int, model: Path,
                                                                    tmp_path: Path) -> None:
    shard = next(path for path in model.glob("*.safetensors") if NAN in load_file(path))
    named = load_file(shard)
    named[NAN] = named[NAN].copy()
    named[NAN][9, 9] = np.nan
    save_file(named, shard)
    options, first, second = replace(SMALL, shard_bytes=shard_bytes), Counted(), Counted()
    with pytest.raises(UserError, match=f"tensor {NAN} .* NaN or infinity: .* leave the tensor out with --exclude '"):
        compress(model, tmp_path / "out", options, runner=first)
    assert len(first.names) > 5
    without = replace(options, exclude=(NAN,))
    compress(model, tmp_path / "out", without, runner=second)
    compress(model, tmp_path / "whole", without)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert set(first.names).isdisjoint(second.names)


@pytest.mark.parametrize("slices", [1, 5, 8])
@pytest.mark.parametrize("change", [
    {"exclude": ("*.1.mlp.*",)}, {"include": ("*.mlp.*", "*embed*")}, {"shard_bytes": 2000}, {"shard_bytes": 1 << 30},
    {"exclude": ("*.0.self_attn.q_proj*",), "shard_bytes": 6000}])
def test_other_patterns_and_other_shards_go_on(change: dict[str, tuple[str, ...]], slices: int, model: Path,
                                               tmp_path: Path) -> None:
    options = replace(SMALL, shard_bytes=4000)
    other, runner, whole = replace(options, **change), Counted(), Counted()
    unfinished(model, tmp_path / "out", options, slices)
    compress(model, tmp_path / "whole", other, runner=whole)
    compress(model, tmp_path / "out", other, runner=runner)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    kept = len(whole.names) - len(runner.names)
    assert kept == slices or ("clude" in str(change) and 0 <= kept < slices)


@pytest.mark.parametrize("change", [{"format": "8,3,7"}, {"mode": "paper"}, {"bias": "off"}, {"slice_weights": 1},
                                    {"device": "cpu"}])
def test_slices_of_another_kind_are_never_mixed(change: dict[str, str], model: Path, tmp_path: Path) -> None:
    unfinished(model, tmp_path / "out", SMALL, 3)
    before = content(tmp_path / "out")
    with pytest.raises(UserError, match="holds an unfinished run with another model or other options"):
        compress(model, tmp_path / "out", replace(SMALL, **change))
    assert content(tmp_path / "out") == before


def test_slices_of_another_model_or_weighting_are_never_mixed(model: Path, tmp_path: Path) -> None:
    unfinished(model, tmp_path / "out", SMALL, 3)
    (tmp_path / "w").mkdir()
    np.save(tmp_path / "w" / f"{NAN}.npy", np.ones(48))
    with pytest.raises(UserError, match="another model or other options"):
        compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "w")
    flip(next(model.glob("*.safetensors")), 3000)
    with pytest.raises(UserError, match="another model or other options"):
        compress(model, tmp_path / "out", SMALL)


def test_a_weighting_goes_on_with_other_patterns(model: Path, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    for name in (NAN, NAN.replace("layers.1", "layers.0")):
        np.save(tmp_path / "w" / f"{name}.npy", np.arange(48.0))
    other, second = replace(SMALL, exclude=(NAN,)), Counted()
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, weighting=tmp_path / "w", runner=stopping(5))
    compress(model, tmp_path / "out", other, weighting=tmp_path / "w", runner=second)
    compress(model, tmp_path / "whole", other, weighting=tmp_path / "w")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_damaged_shard_of_another_layout_is_not_used(model: Path, tmp_path: Path) -> None:
    options = replace(SMALL, shard_bytes=3000)
    unfinished(model, tmp_path / "out", options, 8)
    for path in sorted((tmp_path / "out").glob("*.safetensors")):
        flip(path, 4200)
    assert list((tmp_path / "out" / PARTS).glob("*.shard"))
    other = replace(options, shard_bytes=1 << 30)
    compress(model, tmp_path / "out", other)
    compress(model, tmp_path / "whole", other)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_finished_folder_of_other_patterns_is_refused(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    with pytest.raises(UserError, match="holds another compressed model"):
        compress(model, tmp_path / "out", replace(SMALL, exclude=(NAN,)))


def test_several_devices_share_the_work_and_others_of_their_kind_go_on(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    compress(model, tmp_path / "whole", replace(SMALL, device="cpu"))
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", replace(SMALL, device="cpu:0"), runner=stopping(3))
    second = Counted()
    compress(model, tmp_path / "out", replace(SMALL, device="cpu,cpu:0", device_memory=0.001), runner=second)
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert len(second.names) > 3
    with pytest.raises(UserError, match=r"cannot use the device 'cpu:x' \(.*\): give cuda, .* leave out --device"):
        compress(model, tmp_path / "no", replace(SMALL, device="cpu,cpu:x"), reading=lambda *told: pytest.fail("read"))
    with pytest.raises(UserError, match="devices must be names, each once, not 'cpu,cpu'"):
        replace(SMALL, device="cpu,cpu")
    with pytest.raises(UserError, match="by their numbers, and cuda in 'cuda:0,cuda' has none: give"):
        replace(SMALL, device="cuda:0,cuda")


@pytest.mark.parametrize(("option", "given"), [
    ("--weighting", {"weighting": Path("w")}), ("--calibrate", {"calibration": Calibration("self")}),
    ("--calibrate", {"calibration": Calibration("self"), "bits": 3.5})])
def test_what_a_device_does_not_do_is_refused_before_the_model_is_read(option: str, given: dict[str, Any],
                                                                       tmp_path: Path) -> None:
    options = Options(device="cuda", bits=given.pop("bits", None))
    with pytest.raises(UserError, match=f"{option} is for processors, .*: leave out {option} or --device$"):
        compress(tmp_path / "no model", tmp_path / "out", options, **given)

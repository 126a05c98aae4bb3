"""What the header of a safetensors file, and the index of a folder, may announce, and what they may cost."""

import json
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError


def file(path: Path, header: Any, data: int = 16) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def entry(dtype: object = "F32", shape: object = (2, 2), offsets: object = (0, 16)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(("header", "reason"), [
    ([], "it must be an object, not a list"), (b"[" * 9999, "nested more than"), (b"{", "Expecting property name"),
    (b'{"a": {}, "a": {}}', 'the key "a" stands twice'), ({"a": 3}, "field a must be an object"),
    ({"a": {}}, "field a.data_offsets is missing"), ({"a": entry(offsets=[0])}, "must be a first byte and the byte"),
    ({"a": entry(offsets=[16, 0])}, "must be a first byte and the byte"), ({"a": entry(shape=3)}, "must be a list"),
    ({"a": entry(offsets=[0, 1.5])}, "field a.data_offsets[1] must be a whole number of 0 or more, not 1.5"),
    ({"a": entry(shape=[-2, -2])}, "field a.shape[0] must be a whole number of 0 or more"),
    ({"a": entry(shape=[2, 3])}, "field a.data_offsets must span F32 of shape [2, 3]"),
    ({"a": entry(shape=[1 << 41, 0])}, "field a.shape must be at most 64 numbers up to"),
    ({"a": entry(shape=[1] * 65)}, "field a.shape must be at most 64 numbers"),
    ({"a": entry(dtype="F31")}, "field a.dtype must be a type of safetensors, not F31"),
    ({"a": entry(dtype=None)}, "field a.dtype must be a text, not null"),
    ({"a": entry(), "b": entry()}, "tensor b does not begin where the one before it ends"),
    ({"a": entry(), "b": entry(shape=[1], offsets=[12, 16])}, "tensor b does not begin where the one before it ends"),
    ({"a": entry(shape=[3], offsets=[4, 16])}, "tensor a does not begin where"),
    ({"a": entry(shape=[1 << 38], offsets=[0, 1 << 40])}, "its length is not what its header says"),
    ({"a": entry(shape=[3], offsets=[0, 12])}, "its length is not what its header says")])
def test_what_is_refused(header: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        open_checkpoint(file(tmp_path / "m.safetensors", header))
    assert reason in str(raised.value)
    assert str(raised.value).endswith("make or download it again")


def test_every_slice_is_that_of_the_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {f"{dtype.__name__}{shape}": rng.integers(-9, 9, shape).astype(dtype) for shape in ((), (5,), (5, 3),
              (2, 3, 4), (0, 3), (3, 0)) for dtype in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)}
    save_file(arrays, tmp_path / "m.safetensors", {"other": "metadata"})
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    for name, values in load_file(tmp_path / "m.safetensors").items():
        assert np.array_equal(checkpoint.read(name), values.astype(np.float32))
        for rows in (slice(1, 3), slice(-2, None), slice(9, 12), slice(3, 1), slice(None, None, 2),
                     slice(None, None, -2)):
            wanted = values[rows].astype(np.float32) if values.shape else values.astype(np.float32)
            assert np.array_equal(checkpoint.read(name, rows), wanted)
        assert b"".join(checkpoint.raw(name).pieces()) == values.tobytes()


def indexed(folder: Path, weight_map: Any, **shards: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, tensors in shards.items():
        save_file(tensors, folder / f"{name}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


ONE = np.ones((2, 2), np.float32)


@pytest.mark.parametrize(("weight_map", "reason"), [
    ({"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}, "tensor c is not in .*1.safetensors, though"),
    ({"a": "2.safetensors", "b": "1.safetensors"}, "tensor a is not in .*2.safetensors, though"),
    ({"a": "../1.safetensors"}, "field weight_map names ../1.safetensors, which is no file of the folder"),
    ({"a": ".."}, "named by .* is missing"), ({"a": ""}, "which is no file of the folder|is missing"),
    ({"a": "1\0.safetensors"}, "no file of the folder"), ({"a": ["1"]}, "field weight_map.a must be a text"),
    ([], "field weight_map must be an object"), ({"a": "folder"}, "shard folder named by .* is missing")])
def test_an_index_that_is_wrong(weight_map: Any, reason: str, tmp_path: Path) -> None:
    folder = indexed(tmp_path / "m", weight_map, **{"1": {"a": ONE}, "2": {"b": ONE}})
    (folder / "folder").mkdir()
    with pytest.raises(UserError, match=reason):
        open_checkpoint(folder)


def test_nothing_is_lost_of_shards(tmp_path: Path) -> None:
    """A tensor that the index leaves out is there; one that two shards have is refused."""
    weight_map = {"a": "1.safetensors", "b": "2.safetensors"}
    assert open_checkpoint(indexed(tmp_path / "more", weight_map, **{"1": {"a": ONE, "c": ONE}, "2": {"b": ONE}})
                           ).names() == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"tensor a is both in .*1\.safetensors and in .*2\.safetensors: download"):
        open_checkpoint(indexed(tmp_path / "twice", weight_map, **{"1": {"a": ONE}, "2": {"a": ONE, "b": ONE}}))


@pytest.mark.parametrize("kind", ["tensors", "brackets", "metadata", "dimensions"])
def test_cost_is_bounded_by_the_size(kind: str, tmp_path: Path) -> None:
    """At most a second for 10 MB, beside a constant, and 64 MiB and twice the file of memory."""
    header = {"tensors": {f"{number:x}": entry("U8", [0], [0, 0]) for number in range(45_000)},
              "brackets": b"[" + b"[]," * 2_000_000,
              "metadata": {"__metadata__": {f"{number:x}": "" for number in range(200_000)}},
              "dimensions": {"a": entry(shape=[1 << 40] * 100_000)}}[kind]
    path = file(tmp_path / "m.safetensors", header, 0)
    start = time.process_time()
    with suppress(UserError):
        open_checkpoint(path)
    assert time.process_time() - start < 0.5 + path.stat().st_size / 1e7
    tracemalloc.start()
    with suppress(UserError):
        open_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (64 << 20) + 2 * path.stat().st_size

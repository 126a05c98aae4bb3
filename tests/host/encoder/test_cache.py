"""The store of compressed matrices: found again, made anew when damaged or when anything it depends on changes."""

from pathlib import Path

import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.spec import SEEDLM4, BlockFormat
from host import folders
from host.encoder import cache as store
from host.encoder.cache import compressed
from host.encoder.encoder import Mode, encode
from host.errors import UserError

FMT = BlockFormat(4, 2, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(folders, "BUILD", tmp_path)
    return tmp_path / "compressed"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[BlockFormat]:
    """The formats of the calls to the encoder."""
    calls = []

    def counted(weights: np.ndarray, fmt: BlockFormat, mode: Mode, **options: object) -> CompressedMatrix:
        calls.append(fmt)
        return encode(weights, fmt, mode)

    monkeypatch.setattr(store, "encode", counted)
    return calls


def weights(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (6, 11)).astype(np.float32)


def same(one: CompressedMatrix, other: CompressedMatrix) -> bool:
    return (one.fmt, one.shape, one.exponent_bias) == (other.fmt, other.shape, other.exponent_bias) and all(
        getattr(one, name).dtype == getattr(other, name).dtype and np.array_equal(getattr(one, name),
                                                                                 getattr(other, name))
        for name in ("seeds", "exponents", "coefs"))


def test_a_matrix_is_compressed_once(folder: Path, encoded: list[BlockFormat]) -> None:
    fresh = compressed(weights(), FMT)
    assert same(fresh, encode(weights(), FMT))
    assert same(compressed(weights(), FMT), fresh)
    assert len(encoded) == 1
    assert len(list(folder.glob("*.npz"))) == 1
    assert not list(folder.glob("*.part"))


def test_other_weights_formats_and_types_are_others(folder: Path, encoded: list[BlockFormat]) -> None:
    zeros = np.zeros((2, 8), np.float32)
    cases = [(weights(), FMT), (weights(1), FMT), (weights(), BlockFormat(4, 2, 4)), (weights()[:, ::-1], FMT),
             (zeros, FMT), (zeros.reshape(4, 4), FMT), (np.zeros((2, 4)), FMT)]
    for case in cases * 2:
        assert same(compressed(*case), encode(*case))
    assert same(compressed(weights(), FMT, mode="printed"), encode(weights(), FMT, "printed"))
    assert not same(compressed(weights(), FMT, mode="printed"), compressed(weights(), FMT))
    assert len(encoded) == len(cases) + 1


def test_a_changed_encoder_is_noticed(folder: Path, encoded: list[BlockFormat],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    compressed(weights(), FMT)
    monkeypatch.setattr(store, "source_digest", lambda *modules: "another")
    compressed(weights(), FMT)
    assert len(encoded) == 2


def test_a_damaged_file_is_made_anew(folder: Path, encoded: list[BlockFormat]) -> None:
    fresh = compressed(weights(), FMT)
    (path,) = folder.glob("*.npz")
    content = path.read_bytes()
    damaged = [content[:size] for size in (0, 1, 3, 10, 200, len(content) // 2, len(content) - 1)]
    damaged += [b"not an archive at all", content[:60] + b"\xff" * 40 + content[100:]]
    for attempt, bad in enumerate(damaged, 2):
        path.write_bytes(bad)
        assert same(compressed(weights(), FMT), fresh)
        assert len(encoded) == attempt
        assert path.read_bytes() == content


def test_fields_that_cannot_be_are_made_anew(folder: Path, encoded: list[BlockFormat]) -> None:
    fresh = compressed(weights(), FMT)
    (path,) = folder.glob("*.npz")
    np.savez(path, seeds=fresh.seeds * 0, exponents=fresh.exponents, coefs=fresh.coefs, exponent_bias=0)
    assert same(compressed(weights(), FMT), fresh)
    np.savez(path, seeds=fresh.seeds)
    assert same(compressed(weights(), FMT), fresh)
    assert len(encoded) == 3


def test_an_unwritable_store(folder: Path) -> None:
    folder.touch()
    with pytest.raises(UserError, match=r"cannot write to .*compressed \(File exists\): make it writable"):
        compressed(weights(), SEEDLM4)

"""The fast encoder against golden's, and against every code there is."""

import itertools
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, get_args

import ml_dtypes
import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.encode import Rounding
from golden.encode import encode as golden_encode
from golden.projection import u_matrix
from golden.spec import EXP_MAX, EXP_MIN, SEEDLM3, SEEDLM4, BlockFormat
from golden.tree import ROOT
from host.encoder.blocks import Blocks
from host.encoder.cells import Cells, plain_tables
from host.encoder.encoder import Mode, encode, exponent_bias_for
from host.encoder.kernel import load
from host.encoder.torch_encoder import encode_torch
from host.errors import UserError

TIE = 1e-9  # golden compares sums of another order of rounding


def gaussian(rows: int, cols: int, sigma: float = 0.02, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, (rows, cols))


def block_errors(matrix: CompressedMatrix, weights: np.ndarray) -> np.ndarray:
    """Squared error of every block of a matrix whose width is a multiple of c."""
    return np.square(matrix.weights() - weights).reshape(-1, matrix.fmt.c).sum(axis=1)


def relative_error(matrix: CompressedMatrix, weights: np.ndarray) -> float:
    return float(np.linalg.norm(matrix.weights() - weights) / np.linalg.norm(weights))


def close(errors: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> bool:
    return np.allclose(errors, wanted, rtol=TIE, atol=1e-14 * float(np.square(weights).sum()))


def sample(kind: str, c: int) -> np.ndarray:
    """A few blocks of one kind."""
    rng = np.random.default_rng(1)
    return {"gaussian": lambda: gaussian(2, 4 * c), "heavy tails": lambda: 0.02 * rng.standard_t(1.5, (2, 3 * c)),
            "constant": lambda: np.full((1, 2 * c), 0.0371), "tiny": lambda: gaussian(1, 2 * c, 1e-6),
            "small": lambda: gaussian(1, 2 * c, 1e-3), "huge": lambda: gaussian(1, 2 * c, 1e5),
            "sparse": lambda: gaussian(2, 3 * c) * (rng.random((2, 3 * c)) < 0.15),
            "zero": lambda: np.zeros((1, 2 * c))}[kind]()


KINDS = ["gaussian", "heavy tails", "constant", "tiny", "small", "huge", "sparse", "zero"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3], ids=lambda fmt: fmt.name)
def test_paper_mode_reaches_goldens_errors_and_exact_mode_no_greater(fmt: BlockFormat, kind: str) -> None:
    weights = sample(kind, fmt.c)
    wanted = block_errors(golden_encode(weights, fmt), weights)
    paper = block_errors(encode(weights, fmt, "paper", exponent_bias=0), weights)
    exact = block_errors(encode(weights, fmt, "exact", exponent_bias=0), weights)
    assert close(paper, wanted, weights)
    assert (exact <= paper * (1 + TIE)).all()


ODD = [(4, 2, 3, 4), (12, 4, 4, 3), (5, 1, 6, 4), (7, 4, 6, 2), (6, 3, 8, 3), (17, 3, 7, 4)]


def every_code(block: np.ndarray, fmt: BlockFormat, seeds: np.ndarray) -> float:
    """The least squared error of one block over the given seeds and all exponents and codes, one by one."""
    codes = np.array(list(itertools.product(range(fmt.coef_min, fmt.coef_max + 1), repeat=fmt.p)), dtype=float)
    least = np.inf
    for u in u_matrix(seeds, fmt):
        for exponent in range(EXP_MIN, EXP_MAX + 1):
            restored = np.ldexp(codes @ u.T, exponent)
            least = min(least, float(np.square(restored - block).sum(axis=1).min()))
    return least


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("sigma", [0.3, 3e-3, 1e4])
def test_exact_mode_is_the_minimum_over_every_code(odd: tuple[int, int, int, int], sigma: float) -> None:
    fmt = BlockFormat(*odd)
    weights = gaussian(1, 3 * fmt.c, sigma)
    errors = block_errors(encode(weights, fmt, exponent_bias=0), weights)
    seeds = np.arange(1, fmt.seeds + 1)
    assert close(errors, np.array([every_code(block, fmt, seeds) for block in weights.reshape(-1, fmt.c)]), weights)


@pytest.mark.parametrize("kind", ["gaussian", "heavy tails"])
def test_exact_mode_is_the_minimum_over_all_seeds_of_seedlm4(kind: str) -> None:
    """Seeds whose least-squares fit, unrounded, is worse than the result cannot win; all others are tried."""
    weights = sample(kind, SEEDLM4.c)
    basis, _ = np.linalg.qr(u_matrix(np.arange(1, SEEDLM4.seeds + 1), SEEDLM4))
    errors = block_errors(encode(weights, SEEDLM4, exponent_bias=0), weights)
    for block, error in zip(weights.reshape(-1, SEEDLM4.c), errors, strict=True):
        fits = np.square(block).sum() - np.square(block @ basis).sum(axis=1)
        able = 1 + np.flatnonzero(fits <= error * (1 + TIE))
        assert error == pytest.approx(every_code(block, SEEDLM4, able), rel=TIE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:all weights are zero now")
def test_printed_mode_reaches_goldens_errors(kind: str) -> None:
    fmt = BlockFormat(8, 3, 10)
    weights = sample(kind, fmt.c)
    printed = encode(weights, fmt, "printed", exponent_bias=0)
    assert close(block_errors(printed, weights), block_errors(golden_encode(weights, fmt, "printed"), weights), weights)


@pytest.mark.parametrize("rounding", ["paper", "printed"])
@pytest.mark.parametrize("odd", [*ODD, (6, 5, 4, 2), (2, 3, 9, 4), (4, 2, 17, 4)], ids=str)
def test_rounding_modes_in_odd_formats(odd: tuple[int, int, int, int], rounding: Rounding) -> None:
    """Among them seeds whose columns are linearly dependent, and a cycle longer than one segment."""
    fmt = BlockFormat(*odd)
    weights = np.vstack([gaussian(1, 8 * fmt.c), gaussian(1, 8 * fmt.c, 3e-3)])
    rounded = encode(weights, fmt, rounding, exponent_bias=0)
    assert close(block_errors(rounded, weights), block_errors(golden_encode(weights, fmt, rounding), weights), weights)


@pytest.mark.parametrize(("fmt", "mode", "low", "high"), [
    (SEEDLM4, "exact", 0.115, 0.1198), (SEEDLM4, "paper", 0.119, 0.1235), (SEEDLM4, "printed", 0.1893, 0.1931),
    (SEEDLM3, "exact", 0.215, 0.2200), (SEEDLM3, "paper", 0.219, 0.2265), (SEEDLM3, "printed", 0.3000, 0.3060)])
def test_relative_error_on_gaussian_weights(fmt: BlockFormat, mode: Mode, low: float, high: float) -> None:
    weights = gaussian(64, 64 * fmt.c)
    assert low <= relative_error(encode(weights, fmt, mode), weights) <= high


@pytest.mark.parametrize("scale", [-20, -10, 0, 10])
def test_the_exponent_bias_makes_the_error_independent_of_scale(scale: int) -> None:
    weights = gaussian(4, 32 * 8, 1.0)
    base, scaled = encode(weights, SEEDLM4), encode(np.ldexp(weights, scale), SEEDLM4)
    assert scaled.exponent_bias == base.exponent_bias + scale
    for field in ("seeds", "exponents", "coefs"):
        assert np.array_equal(getattr(scaled, field), getattr(base, field))


def test_the_exponent_bias_of_odd_tensors() -> None:
    assert exponent_bias_for(0.0) == 0
    assert exponent_bias_for(1e-40) == -64
    assert encode(np.zeros((1, 8)), SEEDLM4).exponent_bias == 0


def test_a_ragged_last_block_is_padded_with_zeros() -> None:
    weights = gaussian(3, 29)
    ragged, padded = encode(weights, SEEDLM4), encode(np.pad(weights, ((0, 0), (0, 3))), SEEDLM4)
    assert ragged.shape == (3, 29)
    assert np.array_equal(ragged.packed(), padded.packed())
    assert ragged.weights().shape == (3, 29)


def test_the_result_depends_neither_on_threads_nor_on_neighbours() -> None:
    weights = gaussian(48, 64 * 8).astype(np.float32)
    weights[5] = 0.25  # ties in plenty
    one, two = (encode(weights, SEEDLM4, threads=n, exponent_bias=0).packed() for n in (1, 2))
    assert np.array_equal(one, two)
    assert np.array_equal(one[3:20], encode(weights[3:20], SEEDLM4, exponent_bias=0).packed())


@pytest.mark.parametrize("mode", ["exact", "paper"])
@pytest.mark.parametrize("fmt", [BlockFormat(8, 3, 11), BlockFormat(7, 4, 11, 3)], ids=lambda fmt: fmt.name)
def test_the_search_by_cells_finds_what_the_search_over_all_seeds_finds(fmt: BlockFormat, mode: Mode) -> None:
    """The same codes, to the last bit of their errors. Longer cycles take long to prepare: bench-encode checks them."""
    if not load(fmt).cells_shape(0):
        pytest.skip("the processor has no AVX-512 VNNI")
    rng = np.random.default_rng(4)
    gaussian = rng.normal(0, 0.3, (1500, fmt.c))
    blocks = np.vstack([
        gaussian, 0.3 * rng.standard_t(1.5, (700, fmt.c)), gaussian[:300] * (rng.random((300, fmt.c)) < 0.3),
        np.repeat(np.eye(fmt.c), 8, axis=0) * rng.normal(0, 1, (8 * fmt.c, 1)), np.round(gaussian[:200] * 4) / 16,
        *(gaussian[:20] * scale for scale in (1e-3, 1e-300, 2e2, 1e5)), np.zeros((3, fmt.c))])
    wanted, found, cells = Blocks(len(blocks), fmt), Blocks(len(blocks), fmt), Cells(fmt, mode)
    wanted.improve(plain_tables(fmt, mode), blocks, slice(None))
    with ThreadPoolExecutor(2) as pool:
        done = list(cells.search(blocks, 1.0, found, pool))
    assert sum(done) == len(blocks)
    assert done[0] > 0.8 * len(blocks)  # the others had to be searched as a whole
    for field in ("errors", "seeds", "exponents", "codes"):
        assert np.array_equal(getattr(found, field), getattr(wanted, field))


def test_progress_is_reported_from_the_callers_thread_and_ends_at_all_blocks() -> None:
    calls = []
    encode(gaussian(80, 64 * 8), SEEDLM4, progress=lambda *counts: calls.append((*counts, threading.get_ident())))
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)
    assert calls[-1] == (5120, 5120, threading.get_ident())


def weighted_error(matrix: CompressedMatrix, weights: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Squared error of every block in the norm that channel weights make."""
    return np.square((matrix.weights() - weights) * channels).reshape(-1, matrix.fmt.c).sum(axis=1)


CHANNELS = {"mild": lambda rng, cols: rng.uniform(0.5, 2, cols),
            "wild": lambda rng, cols: np.exp(rng.normal(0, 2, cols)),
            "zeros": lambda rng, cols: rng.uniform(0.1, 1, cols) * (rng.random(cols) < 0.8)}


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("fmt", [SEEDLM4, BlockFormat(6, 3, 8, 3), BlockFormat(4, 2, 17)], ids=lambda fmt: fmt.name)
def test_channel_weights_are_never_worse_in_their_own_norm(fmt: BlockFormat, kind: str) -> None:
    weights = gaussian(8, 4 * fmt.c)
    channels = CHANNELS[kind](np.random.default_rng(2), weights.shape[1])
    plain = weighted_error(encode(weights, fmt), weights, channels)
    weighted = weighted_error(encode(weights, fmt, channel_weights=channels), weights, channels)
    assert (weighted <= plain * (1 + TIE) + 1e-20).all()
    assert weighted.sum() < 0.95 * plain.sum()


def test_channel_weights_find_the_least_weighted_error() -> None:
    fmt, channels = BlockFormat(4, 2, 5, 3), np.array([1, 0.3, 2, 0.7, 0.1, 3, 0.2, 1])
    weights = gaussian(1, 8, 0.3)
    found = weighted_error(encode(weights, fmt, exponent_bias=0, channel_weights=channels), weights, channels)
    codes = np.array(list(itertools.product(range(fmt.coef_min, fmt.coef_max + 1), repeat=fmt.p)), dtype=float)
    for i, (block, a) in enumerate(zip(weights.reshape(-1, 4), channels.reshape(-1, 4), strict=True)):
        least = min(float(np.square(a * (np.ldexp(codes @ u.T, exponent) - block)).sum(axis=1).min())
                    for u in u_matrix(np.arange(1, fmt.seeds + 1), fmt) for exponent in range(EXP_MIN, EXP_MAX + 1))
        assert found[i] == pytest.approx(least, rel=TIE)


def test_equal_channel_weights_change_nothing() -> None:
    weights = gaussian(5, 29)
    plain = encode(weights, SEEDLM4)
    for channels in (np.ones(29), np.full(29, 0.25, np.float32), np.zeros(29)):
        assert np.array_equal(encode(weights, SEEDLM4, channel_weights=channels).packed(), plain.packed())


@pytest.mark.parametrize("channels", [np.ones(28), np.ones((29, 1)), np.full(29, np.nan), -np.ones(29)])
def test_unusable_channel_weights(channels: np.ndarray) -> None:
    with pytest.raises(UserError, match="channel weights must be 29 finite numbers of zero or more"):
        encode(gaussian(2, 29), SEEDLM4, channel_weights=channels)


@pytest.mark.parametrize(("weights", "message"), [
    (np.array([[1.0, np.nan]]), "NaN or infinity"), (np.array([[-np.inf, 0.0]]), "NaN or infinity"),
    (np.ones((2, 8), dtype=np.int8), "not int8"), (np.ones(8), r"shape \(8,\)")])
def test_unusable_weights(weights: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(weights, SEEDLM4)


def test_exact_mode_needs_as_many_weights_as_coefficients() -> None:
    with pytest.raises(UserError, match="format 2,3,9 has more coefficients than weights"):
        encode(np.ones((1, 2)), BlockFormat(2, 3, 9))


class TestKernel:
    @pytest.fixture(autouse=True)
    def fresh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEEDLM_CACHE", str(tmp_path / "kernels"))
        load.cache_clear()

    def test_is_built_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        load(BlockFormat(4, 2, 3))
        built = {file: file.stat().st_mtime_ns for file in (tmp_path / "kernels").glob("*.so")}
        load.cache_clear()
        load(BlockFormat(4, 2, 3))
        assert {file: file.stat().st_mtime_ns for file in (tmp_path / "kernels").glob("*.so")} == built
        assert len(built) == 1

    @pytest.mark.parametrize(("compiler", "message"), [
        ("no-such-cc", "no C compiler 'no-such-cc' found"), ("false", "could not build")])
    def test_without_a_compiler(self, compiler: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CC", compiler)
        with pytest.raises(UserError, match=message):
            load(BlockFormat(4, 2, 3))

    def test_with_an_unwritable_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("SEEDLM_CACHE", str(tmp_path / "file" / "kernels"))
        with pytest.raises(UserError, match="make the folder writable"):
            load(BlockFormat(4, 2, 3))


def test_tables_are_freed_after_the_threads_that_use_them() -> None:
    """An exception ends the search while its threads work on blocks that take long; before, that was a segmentation
    fault more often than not. The process is another one, because a fault ends it."""
    code = """
import numpy as np
from golden.spec import SEEDLM4
from host.encoder.encoder import encode

class Stop(BaseException): pass

def stop(done, total): raise Stop

weights = np.random.default_rng(0).normal(0, 0.02, (512, 512)).astype(np.float32)
for channels in [None] * 6 + [np.ones(512)] * 2:
    try:
        encode(weights[:8] if channels is not None else weights, SEEDLM4, channel_weights=channels, progress=stop)
    except Stop:
        print("stopped", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["stopped"] * 8), done.stderr


@pytest.mark.parametrize("made", [
    lambda w: w.astype(np.longdouble), lambda w: w.astype(">f8"), lambda w: w.astype(">f4"), np.asfortranarray,
    lambda w: np.repeat(w, 2, axis=1)[:, ::2], lambda w: w[::-1, ::-1].copy()[::-1, ::-1], lambda w: np.ma.array(w),
    lambda w: w.astype(np.float16)], ids=["longdouble", "big-endian", "big-endian single", "columns first", "strided",
                                          "reversed", "masked", "half"])
def test_weights_of_any_layout(made: Any) -> None:
    """They give the codes of the same numbers in an ordinary array."""
    weights = np.random.default_rng(3).integers(-99, 99, (5, 20)) / 64
    wanted, found = encode(weights, SEEDLM4), encode(made(weights), SEEDLM4)
    assert np.array_equal(found.weights(), wanted.weights())
    assert found.exponent_bias == wanted.exponent_bias


@pytest.mark.parametrize("kind", [np.int32, np.uint8, bool, complex, object, "S8", "datetime64[s]", ml_dtypes.bfloat16])
def test_what_are_no_floats(kind: Any) -> None:
    with pytest.raises(UserError, match=r"only matrices of floats .*: convert it with astype\(np\.float32\)"):
        encode(np.ones((2, 8)).astype(kind), SEEDLM4)


@pytest.mark.parametrize("encoder", [encode, partial(encode_torch, device="cpu")])
@pytest.mark.parametrize(("weight", "bias", "reason"), [
    (np.nan, "auto", "NaN or infinity"), (-np.inf, 0, "NaN or infinity"),
    (1e14, 0, "a weight of 1e.14 is far beyond 3.07e.03, the most .*: let the bias be chosen"),
    (1e30, "auto", "leave out the tensor, or scale it"), (np.longdouble("1e4000"), "auto", "NaN or infinity"),
    (1.0, 1001, "an exponent bias of 1001 is beyond"), (1.0, -40, "a weight of 1 is far beyond")])
def test_weights_beyond_the_format(encoder: Any, weight: float, bias: Any, reason: str) -> None:
    """They are refused at once: the search would take minutes a block and find nothing that is near."""
    weights = np.full((1, 8), 0.5, np.longdouble)
    weights[0, 3] = weight
    with pytest.raises(UserError, match=reason):
        encoder(weights, SEEDLM4, exponent_bias=bias)


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3])
@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.filterwarnings("ignore:all weights are zero now")
def test_the_time_of_a_block_is_bounded(fmt: BlockFormat, mode: Mode) -> None:
    """Whatever its weights are: the greatest that are not refused, one that dwarfs the others, and the least."""
    most = float(fmt.p << (fmt.coef_bits - 1) << EXP_MAX)
    for weights in (gaussian(4, fmt.c, most / 5 * 2**20 / 2), gaussian(4, fmt.c, most), gaussian(4, fmt.c, 1e-300),
                    np.eye(4, fmt.c) * most + gaussian(4, fmt.c, 1e-9)):
        start = time.process_time()
        encode(weights, fmt, mode, exponent_bias=0)
        assert time.process_time() - start < 4 * 2


def test_weights_that_are_all_lost_are_told() -> None:
    tiny = np.full((2, 8), 1e-30)
    with pytest.warns(UserWarning, match="all weights are zero now: the greatest, 1e-30, is too small for seedlm4"):
        assert not encode(tiny, SEEDLM4).coefs.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(np.zeros((2, 8)), SEEDLM4)
        encode(np.full((2, 8), 1e-18), SEEDLM4)


@pytest.mark.parametrize("channels", [np.ones(8, complex), np.ones(8, object), np.array(["1"] * 8), np.ones(8, bool),
                                      np.full(8, np.longdouble("1e4000")), np.ones((8, 1)), [1.0] * 7, 1.0])
def test_channel_weights_that_are_none(channels: Any) -> None:
    with pytest.raises(UserError, match="channel weights must be 8 finite numbers of zero or more"):
        encode(np.ones((2, 8)), SEEDLM4, channel_weights=channels)

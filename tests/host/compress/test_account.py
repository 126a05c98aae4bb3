"""What a compression says of its result: sizes, errors, and tensors whose errors are far from what the format gives."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from golden.spec import parse_seedlm
from host.checkpoint.container import open_compressed
from host.cli import main as cli
from host.compress.compress import Summary, compress
from host.compress.plan import Options
from host.compress.slices import block_errors
from host.compress.verify import inspect
from host.encoder.encoder import encode

SHAPE, TAKEN = (64, 128), ("*_proj.weight",)


def gaussian(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, SHAPE).astype(np.float32)


def one_great_weight(value: float = 3e4) -> np.ndarray:
    weights = gaussian()
    weights[3, 3] = value
    return weights


def great_column() -> np.ndarray:
    weights = gaussian()
    weights[:, 5] = 3e4
    return weights


def compressed(tmp_path: Path, options: Options, **named: np.ndarray) -> Summary:
    (tmp_path / "m").mkdir()
    save_file({f"{name}_proj.weight": weights for name, weights in named.items()}, tmp_path / "m" / "model.safetensors")
    return compress(tmp_path / "m", tmp_path / "out", options)


@pytest.mark.parametrize("bias", ["auto", "off"])
@pytest.mark.parametrize("format", ["8,3,8", "seedlm4"])
def test_tensors_far_from_the_formats_error_are_named_with_the_cure(format: str, bias: str, tmp_path: Path) -> None:
    heavy = np.random.default_rng(1).standard_t(2, SHAPE).astype(np.float32) * np.float32(0.02)
    options = Options(format, bias=bias, include=TAKEN)
    rows = gaussian(2) * np.exp(np.random.default_rng(2).normal(0, 1, (SHAPE[0], 1))).astype(np.float32)
    great = {} if bias == "off" else {"one": one_great_weight(), "column": great_column()}
    done = compressed(tmp_path, options, plain=gaussian(), heavy=heavy, rows=rows, **great)
    far = [notice for notice in done.notices if "lose far more than" in notice]
    tensors = open_compressed(tmp_path / "out").compressed
    for name in great:  # what the whole tensor's error hides
        assert tensors[f"{name}_proj.weight"].error < tensors["plain_proj.weight"].error
    assert far == inspect(tmp_path / "out")[1]
    if bias == "off":
        assert far == []
        return
    assert len(far) == 1
    assert far[0].startswith("blocks of 2 tensors lose far more than the 0.")
    assert "one_proj.weight (" in far[0]
    assert "column_proj.weight (" in far[0]
    assert far[0].endswith("and --exclude leaves such tensors as they are")
    assert not compress(tmp_path / "m", tmp_path / "out", options).fresh
    assert compress(tmp_path / "m", tmp_path / "other", replace(
        options, exclude=("one_*", "column_*"))).notices == ()


def test_the_errors_of_blocks(tmp_path: Path) -> None:
    fmt = parse_seedlm("7,3,8")
    weights = gaussian()
    weights[:, :14] = 0
    matrix = encode(weights, fmt)
    error, count = block_errors(weights.astype(np.float64), matrix)
    lost = matrix.weights() - weights
    blocks = [(lost[row, start:start + 7], weights[row, start:start + 7].astype(np.float64))
              for row in range(SHAPE[0]) for start in range(14, SHAPE[1], 7)]
    assert count == len(blocks)
    assert error == pytest.approx(sum((e @ e) / (w @ w) for e, w in blocks))
    done = compressed(tmp_path, Options("7,3,8", include=TAKEN, slice_weights=2048), a=weights)
    [(_, tensor)] = done.account.errors
    assert tensor.block_error == pytest.approx((error / count) ** 0.5, rel=1e-5)
    channels = np.arange(SHAPE[1], dtype=np.float64)
    assert block_errors(weights.astype(np.float64), matrix, channels)[0] == pytest.approx(
        sum((channels[start:start + 7] @ np.square(lost[row, start:start + 7]))
            / (channels[start:start + 7] @ np.square(weights[row, start:start + 7].astype(np.float64)))
            for row in range(SHAPE[0]) for start in range(14, SHAPE[1], 7)))


def test_the_account(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    save_file({"a_proj.weight": gaussian(), "b_proj.weight": one_great_weight(),
               "norm.weight": np.ones(128, np.float32),
               "lm_head.weight": np.ones((300, 128), np.float32), "codes": np.ones((4, 4), np.int64)},
              tmp_path / "m" / "model.safetensors")
    done = compress(tmp_path / "m", tmp_path / "out", Options("8,3,8", include=TAKEN)).account
    size = 64 * 128 * 4
    assert done.before == (tmp_path / "m" / "model.safetensors").stat().st_size
    assert [name for name, _ in done.errors] == ["b_proj.weight", "a_proj.weight"]
    assert done.left == [("lm_head.weight", 300 * 128 * 4)]
    assert done.share == 2 * size / (2 * size + 300 * 128 * 4 + 16 * 8)
    streams = sum(tensor.stream_bytes for _, tensor in done.errors)
    assert done.after == streams + 128 * 4 + 300 * 128 * 4 + 16 * 8
    assert done.bits == 8 * done.after / (2 * 64 * 128 + 300 * 128 + 128 + 16)


def test_the_printed_summary_is_short_and_says_how_to_take_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").mkdir()
    named = {f"model.layers.{n}.self_attn.q_proj.weight": gaussian(n) for n in range(5)}
    named |= {f"{n}.embed.{80 * 'y'}": np.ones((n + 1, 500), np.float32) for n in range(5)}
    save_file(named, "m/model.safetensors")
    Path("m/config.json").write_text('{"model_type": "llama"}')
    Path("m/pytorch_model.bin").touch()

    def shown(*arguments: str) -> tuple[list[str], str]:
        monkeypatch.setattr(sys, "argv", ["host", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        found = capsys.readouterr()
        return found.out.splitlines(), found.err

    lines, notes = shown("compress", "m", "out", "--format", "8,3,8")
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 80
    assert "left behind: pytorch_model.bin" in notes
    assert sum("block error 0." in line for line in lines) == 3
    assert [line.split()[2:4] for line in lines if "left alone" in line] == [["10", "kB"], ["8", "kB"], ["6", "kB"]]
    assert lines[-1].endswith("--include default --include NAME")
    plan = json.loads(Path("out/seedlm.json").read_text())["tensors"]
    assert len(plan) == 5
    shown("compress", "m", "more", "--format", "8,3,8", "--include", "default", "--include", "4.embed.*")
    assert len(json.loads(Path("more/seedlm.json").read_text())["tensors"]) == 6
    rows, _ = inspect(Path("more"))
    assert [row.block_error for row in rows[:-1]] == [
        tensor.block_error for tensor in open_compressed(Path("more")).compressed.values()]

"""What the header of a GGUF file may announce, and what it may cost."""

import struct
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from host.checkpoint.checkpoint import open_checkpoint
from host.checkpoint.gguf_header import CURE
from host.errors import UserError

F32, Q8_0, STRING, ARRAY, U32 = 0, 8, 8, 9, 4


def text(content: str | bytes) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(content)) + content


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


LLAMA = key("general.architecture", STRING, text("llama"))


def tensor(name: str | bytes, shape: Iterable[int], offset: int = 0, kind: int = F32) -> bytes:
    shape = tuple(shape)
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, offset)


def file(path: Path, keys: list[bytes], tensors: list[bytes], data: bytes = b"", version: int = 3,
         counts: tuple[int, int] | None = None) -> Path:
    """A file whose parts may be anything."""
    header = struct.pack("<4sIQQ", b"GGUF", version, *(counts or (len(tensors), len(keys)))) + b"".join(keys + tensors)
    path.write_bytes(header + bytes(-len(header) % 32) + data)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as raised:
        open_checkpoint(path)
    return str(raised.value)


@pytest.mark.parametrize(("keys", "tensors", "reason"), [
    ([LLAMA, LLAMA], [], "the key general.architecture is there twice"),
    ([LLAMA], [tensor("a", (2,)), tensor("a", (2,), 32)], "the tensor a is there twice"),
    ([LLAMA], [tensor("a", (16,)), tensor("b", (4,), 32)], "the tensors a and b overlap"),
    ([LLAMA], [tensor("a", (16,)), tensor("b", (16,))], "the tensors a and b overlap"),
    ([LLAMA], [tensor("a", (2,), 8)], "the tensor a is not aligned to 32 bytes"),
    ([LLAMA], [tensor("a", (33, 9))], "the file ends before the tensor a does"),
    ([LLAMA], [tensor("a", (1 << 40, 1 << 40, 1 << 40, 1 << 40))], "the file ends before the tensor a does"),
    ([LLAMA], [tensor("a", (1 << 41, 0))], "the tensor a has a dimension of 2199023255552"),
    ([LLAMA], [tensor("a", (1, 1, 1, 1, 1))], "the tensor a has 5 dimensions"),
    ([LLAMA], [tensor("a", (2, 31), 0, Q8_0)], "the tensor a has rows of 31, no multiple of 32"),
    ([LLAMA], [tensor("a", (), 0, Q8_0)], "the tensor a has rows of 1, no multiple of 32"),
    ([LLAMA], [tensor("x" * 257, (2,))], "a text of 257 bytes where 256 are enough"),
    ([LLAMA], [tensor(b"\xff", (2,))], "codec can't decode"),
    ([key("general.architecture", U32, bytes(4))], [], "does not say in general.architecture which model it is"),
    ([], [], "does not say in general.architecture which model it is"),
    ([key("general.architecture", STRING, struct.pack("<Q", 1 << 60))], [], "the file ends too early"),
    ([key("a", ARRAY, struct.pack("<IQ", STRING, 1 << 61))], [], "the file ends too early"),
    ([key("a", ARRAY, struct.pack("<IQ", U32, 1 << 62))], [], "the file ends too early"),
    ([key("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 9)], [], "arrays nested more than 4 deep"),
    ([key("a", 13, b"")], [], "a value of type 13"),
    ([LLAMA, key("general.alignment", U32, struct.pack("<I", 24))], [], "its tensors are aligned to 24 bytes"),
])
def test_what_is_refused(keys: list[bytes], tensors: list[bytes], reason: str, tmp_path: Path) -> None:
    message = refused(file(tmp_path / "m.gguf", keys, tensors, bytes(64)))
    assert reason in message
    assert message.endswith(f": {CURE}")


@pytest.mark.parametrize(("keys", "tensors", "reason"), [
    ([LLAMA], [tensor("output.weight", (2,), 0, 4)], "whose tensor output.weight is of type 4, which this program does "
     "not know: convert it with llama-quantize to F16 or Q8_0"),
    ([LLAMA, key("split.count", U32, struct.pack("<I", 2))], [], "one of 2 parts of a split GGUF, but its name does"),
    ([LLAMA], [tensor("blk.0.attn_q.weight", (2, 2)), tensor("model.layers.0.self_attn.q_proj.weight", (2, 2), 32)],
     "has a tensor model.layers.0.self_attn.q_proj.weight, which no llama that is read from GGUF files has: compress"),
    ([key("general.architecture", STRING, text("mamba"))], [], "of the architecture mamba, and only llama, qwen2,"),
    ([LLAMA, key("general.type", STRING, text("adapter"))], [], "is no model (adapter in general.type): give the")])
def test_what_is_of_another_kind(keys: list[bytes], tensors: list[bytes], reason: str, tmp_path: Path) -> None:
    assert reason in refused(file(tmp_path / "m.gguf", keys, tensors, bytes(64)))


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "m.gguf is a pointer of Git LFS and not the file itself: fetch" in refused(tmp_path / "m.gguf")


@pytest.mark.parametrize(("version", "counts", "reason"), [
    (1, None, "a GGUF file of version 1, and versions 2 and 3 are read: convert"), (0, None, "of version 0"),
    (0x03000000, None, "a GGUF file in big-endian order: turn it around"),
    (3, (1 << 62, 0), "it announces 4611686018427387904 tensors"),
    (3, (0, 1 << 62), "it announces 4611686018427387904 keys"),
    (2, (3, 0), "it announces 3 tensors"), (3, (1, 0), "the file ends too early")])
def test_versions_and_counts(version: int, counts: tuple[int, int] | None, reason: str, tmp_path: Path) -> None:
    assert reason in refused(file(tmp_path / "m.gguf", [], [], version=version, counts=counts))


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    path = file(tmp_path / "m.gguf", [LLAMA, key("llama.attention.head_count", U32, struct.pack("<I", 2))], [
        tensor("output_norm.weight", ()), tensor("token_embd.weight", (0, 4), 32), tensor("output.weight", (4, 0), 32),
        tensor("blk.0.attn_q.weight", (1 << 40, 0), 32), tensor("blk.0.attn_norm.weight", (0,), 32)],
        np.float32(3).tobytes() + bytes(28))
    checkpoint = open_checkpoint(path)
    assert checkpoint.read("model.norm.weight").tolist() == 3
    assert b"".join(checkpoint.raw("model.norm.weight").pieces()) == np.float32(3).tobytes()
    for name, shape in (("model.embed_tokens.weight", (0, 4)), ("lm_head.weight", (4, 0)),
                        ("model.layers.0.input_layernorm.weight", (0,))):
        assert checkpoint.read(name).shape == shape
        assert not b"".join(checkpoint.raw(name).pieces())
    q = checkpoint.raw("model.layers.0.self_attn.q_proj.weight")
    assert (q.size, list(q.pieces())) == (0, [])
    with pytest.raises(UserError, match="not that of a matrix"):
        checkpoint.matrix("model.embed_tokens.weight")


@pytest.mark.parametrize(("setting", "value", "reason"), [
    ("embedding_length", (STRING, text("many")), r"llama.embedding_length in .* must be a whole number, not 'many'"),
    ("rope.freq_base", (6, struct.pack("<f", np.nan)), "llama.rope.freq_base in .* must be a finite number, not nan"),
    ("block_count", (7, b"\1"), "llama.block_count in .* must be a whole number, not True"),
    ("context_length", (ARRAY, struct.pack("<IQ", 6, 1) + bytes(4)), r"context_length in .* whole number, not 0\.0")])
def test_settings_of_another_type(setting: str, value: tuple[int, bytes], reason: str, tmp_path: Path) -> None:
    path = file(tmp_path / "m.gguf", [LLAMA, key(f"llama.{setting}", *value)], [])
    with pytest.raises(UserError, match=reason):
        open_checkpoint(path).config()


MEGABYTES = 2
COSTLY = {
    "empty texts": [key("a", ARRAY, struct.pack("<IQ", STRING, MEGABYTES * 125_000) + bytes(MEGABYTES * 1_000_000))],
    "empty arrays": [key("a", ARRAY, struct.pack("<IQ", ARRAY, MEGABYTES * 83_000)
                         + struct.pack("<IQ", U32, 0) * MEGABYTES * 83_000)],
    "keys": [key(f"{number:x}", 0, b"\0") for number in range(32_000)],
    "a long text": [key("general.architecture", STRING, text("\U0001f600" * MEGABYTES * 250_000))],
}


@pytest.mark.parametrize("kind", [*COSTLY, "tensors"])
def test_cost_is_bounded_by_the_size(kind: str, tmp_path: Path) -> None:
    """At most a second for 10 MB, beside a constant, and less than 64 MiB and twice the file of memory."""
    tensors = [tensor(f"{number:080x}", (1, 1, 1, 1), 32 * number) for number in range(32_000)
               ] if kind == "tensors" else []
    path = file(tmp_path / "m.gguf", [*COSTLY.get(kind, []), *([] if kind == "a long text" else [LLAMA])], tensors,
                bytes(32 * len(tensors)))
    size = path.stat().st_size
    tracemalloc.start()
    try:
        open_checkpoint(path)
    except UserError as error:
        found = str(error)
    else:
        found = ""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ("the key general.architecture has a text of" in found) == (kind == "a long text")
    assert peak < (32 << 20) + size
    start = time.process_time()
    if not found:
        open_checkpoint(path)
    assert time.process_time() - start < 0.5 + size / 1e7

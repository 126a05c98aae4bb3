"""Tokens of texts, and texts that models go on with."""

import json
from pathlib import Path

import pytest
import tokenizers
import torch

from host.checkpoint.checkpoint import default_model, open_checkpoint
from host.errors import UserError
from host.model.generate import generate, greedy, sampler
from host.model.llama import Llama
from host.model.tokenizer import Tokenizer
from tests.host.models.tiny import tiny

WORDS = {"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4, "c": 5}


def folder_with(path: Path, **files: str) -> Path:
    """A tiny llama with a tokenizer of six words, and other files; dots in their names are written as two bars."""
    tiny("llama").save_pretrained(path)
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.add_special_tokens(["<s>", "</s>"])
    made.save(str(path / "tokenizer.json"))
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def test_greedy_tokens_are_those_of_transformers(tmp_path: Path) -> None:
    model = tiny("llama")
    model.save_pretrained(tmp_path)
    prompt = [5, 40, 7]
    wanted = model.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=None,
                            pad_token_id=0)
    found = [step.token for step in generate(Llama(open_checkpoint(tmp_path)), prompt, 12)]
    assert prompt + found == wanted[0].tolist()


def test_an_end_and_a_cache_that_knows_the_prompt(tmp_path: Path) -> None:
    llama = Llama(open_checkpoint(folder_with(tmp_path)))
    tokens = [step.token for step in generate(llama, [3, 4], 6)]
    assert [step.token for step in generate(llama, [3, 4], 6, ends={tokens[2]})] == tokens[:tokens.index(tokens[2]) + 1]
    kept = llama.new_cache()
    llama(torch.tensor([[3]]), kept)
    assert [step.token for step in generate(llama, [3, 4], 6, kept=kept.copy())] == tokens
    assert kept.length == 1


def test_draws_follow_the_seed_and_the_probabilities() -> None:
    logits = torch.tensor([0.0, 2.0, 1.0]).log()
    draw, again = sampler(1.0, 7), sampler(1.0, 7)
    drawn = [draw(logits) for _ in range(600)]
    assert drawn == [again(logits) for _ in range(600)]
    assert drawn.count(0) == 0
    assert 350 < drawn.count(1) < 450
    assert [sampler(0.01, seed)(logits) for seed in range(20)] == [greedy(logits)] * 20


@pytest.mark.parametrize(("prompt", "count", "words"), [([], 1, "the prompt has no tokens: give a text"),
                                                        ([3] * 100, 30, "a text of 129 tokens is longer than the")])
def test_prompts_that_are_refused(prompt: list[int], count: int, words: str, tmp_path: Path) -> None:
    llama = Llama(open_checkpoint(folder_with(tmp_path)))
    with pytest.raises(UserError, match=words):
        next(generate(llama, prompt, count))


def test_the_tokenizer_of_a_gguf_file() -> None:
    tokenizer = Tokenizer(open_checkpoint(default_model()))
    text = "The capital of France is Paris, in 2024."
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.ends == {2}
    chat = tokenizer.chat("Hello")
    assert chat[0] == 1
    assert chat.count(2) == 2  # of the system's message and of the user's
    assert tokenizer.decode(chat).endswith("user\nHello\nassistant\n")


def test_the_tokenizer_of_a_folder(tmp_path: Path) -> None:
    template = "{% for each in messages %}{{ bos_token }} {{ each['content'] }}{% endfor %}"
    settings = {"bos_token": {"content": "<s>"}, "chat_template": [{"name": "default", "template": template}]}
    folder = folder_with(tmp_path, generation_config__json='{"eos_token_id": [2, 5]}',
                         tokenizer_config__json=json.dumps(settings))
    tokenizer = Tokenizer(open_checkpoint(folder))
    assert (tokenizer.encode("a c x"), tokenizer.decode([3, 2, 5]), tokenizer.ends) == ([3, 5, 0], "a c", {2, 5})
    assert tokenizer.chat("b a") == [1, 4, 3]


def test_a_tokenizer_that_is_not_there(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"comes without a tokenizer \(.* has no tokenizer.json\): copy the"):
        Tokenizer(open_checkpoint(tmp_path))


@pytest.mark.parametrize(("files", "words"), [
    ({"tokenizer__json": "{}"}, "the tokenizer.json of .* cannot be used"),
    ({"generation_config__json": "["}, "the generation_config.json of .*"),
    ({}, "has no chat template: have it go on with the prompt as it is, with --raw"),
    ({"chat_template__jinja": "{{ raise_exception('no') }}"}, r"the chat template of .* cannot be used \(no\)"),
    ({"chat_template__jinja": "{{ messages.append(1) }}"}, "the chat template of .* cannot be used"),
])
def test_files_that_cannot_be_used(files: dict[str, str], words: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, **files)
    with pytest.raises(UserError, match=words):
        Tokenizer(open_checkpoint(folder)).chat("a")

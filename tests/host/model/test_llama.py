"""The forward pass beside transformers, for every family and every scaling of the rotary embedding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from golden.integers import quantise
from golden.product import Weights, product
from golden.spec import INT8
from host.checkpoint.checkpoint import default_model, open_checkpoint
from host.errors import UserError
from host.model.golden_linear import GoldenLinear
from host.model.linear import FloatLinear
from host.model.llama import Llama
from tests.host.models.tiny import tiny

TOKENS = torch.arange(3, 83, 2).reshape(2, 20) % 128
_ROPES: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 40},
    "yarn": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 16},
    "yarn, set": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 8.0,
                  "beta_slow": 2.0, "attention_factor": 0.9},
    "longrope, short": {"rope_type": "longrope", "short_factor": [1.0 + i / 4 for i in range(8)],
                        "long_factor": [2.0 + i for i in range(8)], "original_max_position_embeddings": 64},
    "longrope, long": {"rope_type": "longrope", "short_factor": [1.0 + i / 4 for i in range(8)],
                       "long_factor": [2.0 + i for i in range(8)], "original_max_position_embeddings": 12},
}
FAMILIES = ("llama", "llama 3.1", "llama 3.2", "mistral", "qwen2", "qwen3")


def scaled(rope: str) -> Any:
    """A tiny llama with a scaling, or with one that earlier versions of transformers wrote."""
    torch.manual_seed(1)
    return transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(
        vocab_size=128, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rope_parameters={"rope_theta": 10000.0, **_ROPES[rope]}
    )).eval()


MODELS: dict[str, Callable[[], Any]] = {
    **{family: lambda family=family: tiny(family) for family in FAMILIES},
    **{rope: lambda rope=rope: scaled(rope) for rope in _ROPES}}


def saved(model: Any, folder: Path) -> Llama:
    model.save_pretrained(folder)
    return Llama(open_checkpoint(folder))


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """At once, and token by token with a cache."""
    model = MODELS[name]()
    llama = saved(model, tmp_path)
    with torch.no_grad():
        wanted = model(TOKENS).logits
    torch.testing.assert_close(llama(TOKENS), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(llama(TOKENS, last=True), wanted[:, -1:], rtol=1e-5, atol=1e-5)
    if name == "longrope, long":  # with a cache, keys of the first tokens keep their short factors, as in transformers
        return
    kept = llama.new_cache()
    parts = [llama(TOKENS[:, :5], kept)] + [llama(TOKENS[:, [place]], kept) for place in range(5, TOKENS.shape[1])]
    torch.testing.assert_close(torch.cat(parts, dim=1), wanted, rtol=1e-5, atol=1e-5)


def test_the_packaged_model_is_that_of_transformers() -> None:
    checkpoint = open_checkpoint(default_model())
    config = transformers.LlamaConfig(**checkpoint.config())
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    state = {name: torch.from_numpy(checkpoint.read(name)) for name in checkpoint.names()}
    model.load_state_dict({**state, "lm_head.weight": state["model.embed_tokens.weight"]}, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # of which no state says the frequencies
    tokens = torch.arange(5, 4096, 257)[None]
    with torch.no_grad():
        wanted = model.eval()(tokens).logits
    llama = Llama(checkpoint, FloatLinear(lambda name: state[name].numpy()))  # read once: it takes some seconds
    torch.testing.assert_close(llama(tokens), wanted, rtol=1e-4, atol=1e-3)


def test_golden_layers_are_golden_products(tmp_path: Path) -> None:
    """All linear layers of a model, for many tokens at once, beside a pass that calls golden for every vector."""
    llama = saved(tiny("qwen3"), tmp_path)

    def read(name: str) -> Weights:
        return quantise(llama.checkpoint.matrix(name), INT8)

    def one_by_one(names: Any, x: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(np.stack([product(read(name), each.numpy().astype(np.float16)) for each in x]))
                for name in names]

    tokens = TOKENS[:, :6]
    found = llama.with_linear(GoldenLinear(read))(tokens)
    assert torch.equal(found, llama.with_linear(one_by_one)(tokens))
    torch.testing.assert_close(found, llama(tokens), rtol=0, atol=0.02)
    assert not torch.equal(found, llama(tokens))


def test_layers_one_at_a_time_and_weights_that_are_not_kept(tmp_path: Path) -> None:
    llama = saved(tiny("llama 3.2"), tmp_path)
    seen: list[str] = []

    def read(name: str) -> np.ndarray:
        seen.append(name)
        return llama.checkpoint.matrix(name)

    lazy = llama.with_linear(FloatLinear(read, keep=False))
    hidden = lazy.embed(TOKENS)
    for number in range(lazy.settings.layers):
        seen.clear()
        hidden = lazy.layer(number, hidden)
        assert seen == [name for group in lazy.matrices(number) for name in group]
    assert torch.equal(lazy.logits(hidden), llama(TOKENS))


def test_a_text_longer_than_the_context(tmp_path: Path) -> None:
    llama = saved(tiny("llama"), tmp_path)
    kept = llama.new_cache()
    llama(torch.zeros(1, 128, dtype=torch.int64), kept)
    with pytest.raises(UserError, match=r"a text of 129 tokens is longer than the context of .*, 128 tokens: give"):
        llama(torch.zeros(1, 1, dtype=torch.int64), kept)


def test_an_input_beyond_fp16() -> None:
    golden = GoldenLinear(lambda name: np.ones((2, 2), np.float16))
    with pytest.raises(UserError, match="an input of a is 70000, beyond the range of FP16, 65504: the engine cannot"):
        golden(("a",), torch.tensor([[1.0, 70000.0]]))


@pytest.mark.parametrize(("change", "words"), [
    ({"model_type": "gemma"}, "is of the family gemma, which the forward pass does not know: give a model of the"),
    ({"model_type": None}, "comes without a config.json that gives its model_type"),
    ({"hidden_act": "gelu"}, r"\(field hidden_act must be silu, not gelu\)"),
    ({"num_key_value_heads": 3}, r"\(field num_key_value_heads must divide the 4 heads of queries, which 3 does not\)"),
    ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "must be one of default, linear, llama3, yarn, lon"),
    ({"rope_parameters": {"rope_type": "linear"}}, r"\(field rope_parameters.factor is missing\)"),
    ({"rope_parameters": {"rope_type": "linear", "factor": -1}}, "must be positive, not -1"),
    ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "must be 1, since whole heads are rotated, not 0.5"),
    ({"rope_parameters": {"rope_type": "longrope", "short_factor": [1], "long_factor": [1]}}, "must have 8 numbers"),
    ({"head_dim": 15}, "has heads of 15 elements, an odd number"),
    ({"model_type": "mistral", "layer_types": ["sliding_attention"]}, "must give full_attention or sliding_attention"),
])
def test_models_that_are_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = tiny("llama")
    model.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    settings = {**checkpoint.config(), **change}
    checkpoint.config = lambda: settings  # type: ignore[method-assign]
    with pytest.raises(UserError, match=words):
        Llama(checkpoint)

"""Generation with every linear layer in RTL: a model's matrices lie in the memory of a simulated engine, which computes
every product of every generated token; norms, attention and the choice of tokens are the host's.

The engine's logits of each token are compared with those of the same model with golden's linear layers, which keeps
keys and values of its own. The first tokens of the prompt, all but the last one, are golden's alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from golden.spec import FP16
from host.demo.engines import EnginesLinear, engine_of
from host.demo.weights import EngineWeights
from host.device.device import DeviceError
from host.device.driver import Counters, check_shape
from host.measure.cycle_model import Step as ChainStep
from host.measure.cycle_model import predict
from host.model.attention import Cache
from host.model.device_linear import DeviceLinear
from host.model.generate import Choose, Step, generate, greedy, sampler
from host.model.golden_linear import GoldenLinear
from host.model.linear import Linear
from host.model.llama import Llama
from host.model.tokenizer import Tokenizer
from host.tables.demo import DemoRow
from host.update import Update
from hw.config import EngineConfig
from sim.device.native_device import NativeDevice
from sim.dram.dram import Dram
from sim.dram.presets import preset
from sim.tools.errors import SimulationError

__all__ = ["Job", "demo", "formats_shown", "matrices", "plain_text"]


@dataclass(frozen=True)
class Job:
    """What to generate, and on what.

    Parameters
    ----------
    config : EngineConfig
        The engine, or the one for matrices that are not compressed where a compressed folder has several formats.
    memory : str
        Memory preset.
    prompt : tuple of int
        Tokens of the prompt.
    tokens : int
        Tokens that are generated at most.
    temperature : float
        0 for the likeliest token each time; above 0, tokens are drawn.
    seed : int
        Seed of the draws.
    """

    config: EngineConfig
    memory: str
    prompt: tuple[int, ...]
    tokens: int
    temperature: float = 0.0
    seed: int = 0

    def choose(self) -> Choose:
        """Return what chooses the tokens, anew from the seed."""
        return sampler(self.temperature, self.seed) if self.temperature else greedy


class _Watched:
    """Linear layers that tell how far a token is."""

    def __init__(self, linear: Linear, chains: int, update: Update) -> None:
        self._linear, self._chains, self._update = linear, chains, update
        self.token, self._done = 1, 0

    def __call__(self, names: Sequence[str], x: Tensor) -> list[Tensor]:
        self._update(f"token {self.token}: {names[0]}", self._done, self._chains)
        self._done = (self._done + 1) % self._chains
        self.token += not self._done
        return self._linear(names, x)


def _chains(llama: Llama) -> list[tuple[str, ...]]:
    """Return the names of all matrices of a model; those that share an input are together."""
    settings = llama.settings
    return [*(chain for number in range(settings.layers) for chain in llama.matrices(number)), (settings.head,)]


def _fp16_cycles(job: Job, dram: Dram, shapes: list[tuple[tuple[int, int], ...]]) -> int:
    """Return the cycles of a token in FP16 by the cycle model, for the shapes of all chains."""
    config = EngineConfig(FP16, job.config.bus_bits)

    @cache
    def cycles(chain: tuple[tuple[int, int], ...]) -> int:
        return predict(config, dram, [ChainStep(*shape, place > 0) for place, shape in enumerate(chain)]).cycles

    return sum(map(cycles, shapes))


def matrices(llama: Llama) -> list[str]:
    """Return the names of all matrices of a model that a token meets, in that order."""
    return [name for chain in _chains(llama) for name in chain]


def formats_shown(engines: Mapping[str, EngineConfig]) -> str:
    """Return the names of the formats of the engines of all matrices, for people."""
    return " and ".join(dict.fromkeys(config.name for config in engines.values()))


def _row(job: Job, shown: str, dram: Dram, number: int, ours: Step, golden: Step, runs: list[Counters],
         fp16_cycles: int, text: str) -> DemoRow:
    """Return the row of a token: its runs in sum, beside FP16 and golden."""
    cycles, bytes_moved = sum(run.cycles for run in runs), sum(run.bytes_read + run.bytes_written for run in runs)
    limit = dram.sequential_limit * dram.word_rate(job.config.bus_bits) * cycles
    rate = dram.fabric_mhz * 1e6 if dram.fabric_mhz else None
    return DemoRow(
        number=number, token=ours.token, text=text, format=shown, memory=job.memory, cycles=cycles,
        bytes=bytes_moved, limit_fraction=bytes_moved * 8 / job.config.bus_bits / limit,
        tokens_per_s=rate / cycles if rate else None, fp16_cycles=fp16_cycles,
        fp16_tokens_per_s=rate / fp16_cycles if rate else None, speedup=fp16_cycles / cycles,
        bit_exact=torch.equal(ours.logits.view(torch.int32), golden.logits.view(torch.int32)), source="rtl")


class _Texts:
    """The text that each token adds. Bytes of a character that is not complete yet count to the token that ends it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._tokens, self._shown = tokenizer, list[int](), 0

    def added(self, token: int) -> str:
        """Return what another token adds."""
        self._tokens.append(token)
        text = self._tokenizer.decode(self._tokens)
        whole = text.rstrip("\N{REPLACEMENT CHARACTER}")
        added, self._shown = whole[self._shown:], max(len(whole), self._shown)
        return added


@contextmanager
def _finished(watched: _Watched, count: int) -> Iterator[None]:
    """Name the token that a device did not finish. DeviceError."""
    try:
        yield
    except (DeviceError, SimulationError) as error:
        first, *_ = str(error).splitlines()
        raise DeviceError(f"token {watched.token} of {count} was not finished, because of the device: "
                          f"{first.rstrip(':')}; the report has the tokens before it") from error


def demo(llama: Llama, tokenizer: Tokenizer, job: Job, update: Update) -> Iterator[DemoRow]:
    """Yield a row for each token, once it is generated.

    Raises
    ------
    UserError
        When a matrix does not fit the engine or its memory, the text would be longer than the model's context, or an
        input of a linear layer is beyond FP16.
    DeviceError
        When the device fails in the middle of a token.
    sim.tools.errors.ToolError
        When the simulator cannot be built.
    """
    llama.require_context(len(job.prompt) + job.tokens - 1)
    chains, dram = _chains(llama), preset(job.memory)
    shapes = [tuple(llama.checkpoint.matrix_shape(name) for name in chain) for chain in chains]
    engines = engine_of(llama.checkpoint, matrices(llama), job.config)
    for name, config in engines.items():
        check_shape(config, llama.checkpoint.matrix_shape(name))
    weights = EngineWeights(llama.checkpoint, engines, update)
    for done, chain in enumerate(chains):
        update(f"prepare {chain[0]}", done, len(chains))
        for name in chain:
            weights(name)
    update("build the simulator", 0, 1)
    with ExitStack() as stack:
        linear = EnginesLinear({config: DeviceLinear(stack.enter_context(NativeDevice(config, job.memory)), config,
                                                     weights) for config in dict.fromkeys(engines.values())}, engines)
        for done, chain in enumerate(chains):
            update(f"load {chain[0]}", done, len(chains))
            linear.load(chain)
        golden = llama.with_linear(GoldenLinear(weights, job.config.act_bits))
        update("the prompt, by golden", 0, 1)
        known = golden.new_cache()
        if len(job.prompt) > 1:
            golden(torch.tensor([job.prompt[:-1]]), known, last=True)
        yield from _tokens(llama, golden, known, linear, job, formats_shown(engines), _fp16_cycles(job, dram, shapes),
                           tokenizer, update)


def _tokens(llama: Llama, golden: Llama, known: Cache, linear: EnginesLinear, job: Job, shown: str, fp16_cycles: int,
            tokenizer: Tokenizer, update: Update) -> Iterator[DemoRow]:
    """Yield the rows of tokens that follow a prompt, of which ``known`` has keys and values of all but the last."""
    watched = _Watched(linear, len(_chains(llama)), update)
    ours, beside = (generate(model, job.prompt, job.tokens, job.choose(), tokenizer.ends, known.copy())
                    for model in (llama.with_linear(watched), golden))
    texts = _Texts(tokenizer)
    with _finished(watched, job.tokens):
        for number, (step, wanted) in enumerate(zip(ours, beside, strict=False), 1):
            yield _row(job, shown, preset(job.memory), number, step, wanted, linear.runs, fp16_cycles,
                       texts.added(step.token))
            linear.runs.clear()


def plain_text(llama: Llama, tokenizer: Tokenizer, job: Job) -> str:
    """Return the text that the model goes on with as it is, in float32 on the host."""
    return tokenizer.decode(step.token for step in generate(llama, job.prompt, job.tokens, job.choose(),
                                                            tokenizer.ends))

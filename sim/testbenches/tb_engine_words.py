"""Every word of every descriptor of a chain takes wrong values: a run is exact, or ends with the right cause and
address, and the run of a correct chain behind it is always exact."""

import random
from collections.abc import Iterator
from typing import Any

import cocotb

from hw.config import EngineConfig
from hw.registers.register_map import DESCRIPTOR_REGISTERS
from sim.bench.engine_bench import Chain, EngineBench, open_bench
from sim.bench.engine_model import MEMORY_WORDS, descriptor, expect, sizes
from sim.bench.hostile_memory import Behaviour
from sim.bench.sparse_memory import SparseMemory
from sim.tools.run import arguments


def _values(config: EngineConfig, name: str, right: int) -> Iterator[int]:
    """Values of a word that a bench would try: small ones, those about the right one, and the ends of its range."""
    yield from (0, 1, right - 1, right + 1, right + 2, right + 4, 2 * right, 1 << 31, 0xFFFFFFFF,
                random.getrandbits(32), right ^ 1 << random.randrange(32))
    activations, weights = sizes(config, config.max_rows, config.max_blocks)
    limits = {"ROWS": config.max_rows, "BLOCKS": config.max_blocks, "ACTIVATION_BEATS": activations,
              "WEIGHT_BEATS": weights, "FACTOR_EXPONENT": 254}
    if name in limits:
        yield from (limits[name], limits[name] + 1, right + (1 << 17), right + (1 << 24))
        yield random.randint(1, limits[name])
    else:
        end = 1 << config.addr_bits
        for address in (end, end - config.bus_bytes, end - 64, end - 4096, right + config.bus_bytes, right + 4096,
                        right + 64):
            yield address >> 32 if name.endswith("_HI") else address


def _changed(chain: Chain, changes: dict[tuple[int, str], int]) -> tuple[dict[str, int], SparseMemory]:
    """The first descriptor and the memory of ``chain`` with other values of some words, (descriptor, name)."""
    memory, descriptors = SparseMemory(chain.memory), [dict(words) for words in chain.descriptors]
    for (number, name), value in changes.items():
        descriptors[number][name] = value & 0xFFFFFFFF
    for number, _ in changes:
        if number:
            memory.write(chain.places[number], descriptor(descriptors[number]))
    return descriptors[0], memory


async def _try(bench: EngineBench, chain: Chain, changes: dict[tuple[int, str], int]) -> None:
    """Run ``chain`` with other words, and then as it is."""
    words, memory = _changed(chain, changes)
    outcome = expect(bench.config, words, memory)
    bench.dut._log.info("%s: %s", {f"{name} of {number}": hex(value) for (number, name), value in changes.items()},
                        outcome.causes or outcome.not_finite or outcome.endless or "exact")
    bench.memory.behaviour = Behaviour(pause=random.choice((0.0, 0.0, 0.2)), order=random.choice(("any", "random")))
    bench.load(memory, outcome)
    await bench.launch(words)
    await bench.check_outcome()
    await bench.check_exact(chain)


@cocotb.test()
async def one_wrong_word_does_no_harm(dut: Any) -> None:
    config, _, share = arguments()
    bench, chain = await open_bench(dut)
    for number, words in enumerate(chain.descriptors):
        for name in MEMORY_WORDS if number else DESCRIPTOR_REGISTERS:
            right = words.get(name, 0)
            for value in dict.fromkeys(value & 0xFFFFFFFF for value in _values(config, name, right)):
                if value != right and random.random() < share:
                    await _try(bench, chain, {(number, name): value})


def _other_shape(config: EngineConfig, chain: Chain) -> dict[tuple[int, str], int]:
    """Words of another legal shape for one matrix, which may leave a vector to share that does not fit."""
    number = random.randrange(len(chain.descriptors))
    blocks = random.randint(config.least_blocks, config.max_blocks)
    rows = random.choice((1, config.lanes, random.randint(1, config.max_rows)))
    if random.random() < 0.3:
        blocks = chain.descriptors[number]["BLOCKS"]
    activations, weights = sizes(config, rows, blocks)
    return {(number, "ROWS"): rows, (number, "BLOCKS"): blocks, (number, "WEIGHT_BEATS"): weights,
            (number, "ACTIVATION_BEATS"): random.choice((activations, activations, 0)),
            (number, "FACTOR_EXPONENT"): random.randint(1, 254)}


@cocotb.test()
async def other_shapes_and_several_wrong_words_do_no_harm(dut: Any) -> None:
    config, _, share = arguments()
    bench, chain = await open_bench(dut)
    for _ in range(round(60 * share)):
        changes = _other_shape(config, chain)
        if random.random() < 0.3:
            number = random.randrange(len(chain.descriptors))
            name = random.choice(MEMORY_WORDS if number else DESCRIPTOR_REGISTERS)
            right = chain.descriptors[number].get(name, 0)
            changes[number, name] = random.choice(list(_values(config, name, right)))
        await _try(bench, chain, changes)

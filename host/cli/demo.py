"""The command that lets a model speak through the simulated engine."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden.spec import ACT_BITS
from host.cli.options import ActBits, Bus, EngineFormat, Memory, Model, Revision, engines
from host.cli.reporting import reports
from host.folders import report_folder
from host.printable import printable

if TYPE_CHECKING:
    from host.tables.demo import DemoRow

__all__ = ["demo"]


def _line(row: "DemoRow") -> str:
    """Return what is printed when a token is there."""
    shown = {each.key: each.cell(row.record()) for each in row.columns()}
    rates = f"{shown['tokens_per_s']} tokens/s beside FP16's {shown['fp16_tokens_per_s']}, "
    return (f"{row.number:3} {printable(row.text)!r:14} {shown['cycles']} cycles, {row.bytes / 1e6:.1f} MB, "
            f"{shown['limit_fraction']} of the memory's limit, {rates if row.tokens_per_s else ''}"
            f"{shown['speedup']} times as fast{'' if row.bit_exact else '; NOT golden'}")


@reports
def demo(model: Model = "", revision: Revision = "",
         prompt: Annotated[str, typer.Option(help="What to ask the model.")] = "What is the capital of France?",
         raw: Annotated[bool, typer.Option("--raw", help="Go on with the prompt as it is, in place of answering it in "
                                                         "a chat.")] = False,
         tokens: Annotated[int, typer.Option(min=1, help="Tokens that are generated at most.")] = 16,
         fmt: EngineFormat = "seedlm4", memory: Memory = "ddr4-2400", bus: Bus = 512, act_bits: ActBits = ACT_BITS,
         temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time; above 0, they "
                                                                "are drawn, at 1 by their probabilities.")] = 0.0,
         seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0) -> None:
    """Let a model say a sentence: every linear layer of every generated token is computed by the engine in RTL."""
    from host.checkpoint.checkpoint import default_model, open_checkpoint
    from host.demo import demo as measure
    from host.demo.engines import engine_of
    from host.demo.steps import demo_steps
    from host.model.llama import Llama
    from host.model.tokenizer import Tokenizer
    from host.progress import work_progress
    from host.report.writer import finish, write
    from sim.dram.presets import preset
    from sim.tools.toolchain import require

    [config] = engines(fmt, bus, act_bits)
    preset(memory)
    require("verilator")
    checkpoint = open_checkpoint(model or default_model(), revision)
    llama, tokenizer = Llama(checkpoint), Tokenizer(checkpoint)
    asked = tuple(tokenizer.encode(prompt) if raw else tokenizer.chat(prompt))
    job = measure.Job(config, memory, asked, tokens, temperature, seed)
    folder, name = report_folder("demo"), checkpoint.path.stem
    shown = measure.formats_shown(engine_of(checkpoint, measure.matrices(llama), config))
    settings: dict[str, Any] = {
        "model": name, "prompt": prompt, "prompt_tokens": len(asked), "raw": raw, "format": shown,
        "memory": memory, "bus_bits": bus, "act_bits": act_bits, "temperature": temperature, "seed": seed,
        "engine": "every linear layer of every generated token", "golden": "all tokens of the prompt but the last",
        "host": "embedding, norms, rotary embedding, attention, activation, choice of tokens",
        "fp16_cycles": "cycle model"}
    rows: list[DemoRow] = []
    print(f"{name} in {shown}; {memory} memory, {bus}-bit bus; the prompt has {len(asked)} tokens")
    with work_progress(demo_steps(tokens)) as progress:
        for row in measure.demo(llama, tokenizer, job, progress):
            print(_line(row), flush=True)
            rows.append(row)
            write(folder, settings, rows)  # what was said stays when the command is interrupted
        progress("the model as it is, in float32", 0, 1)
        plain = measure.plain_text(llama, tokenizer, job)
    said = "".join(row.text for row in rows)
    equal = sum(row.bit_exact for row in rows)
    notes = [f"in {shown}, through the engine: {printable(said)}", f"as it is, in float32: {printable(plain)}",
             f"logits that equal golden's, bit for bit: those of {equal} of {len(rows)} tokens"]
    finish(folder, {**settings, "text": said, "plain_text": plain}, rows,
           f"{name} in {shown}, {memory} memory, {bus}-bit bus; linear layers simulated in RTL",
           notes="\n".join(notes))

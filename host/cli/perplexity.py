"""The command that measures what a model says with weights of many codes."""

from pathlib import Path
from typing import Annotated

import typer

from host.cli.options import Model, Revision, names
from host.cli.reporting import reports
from host.errors import UserError, choose
from host.folders import report_folder

__all__ = ["perplexity"]


@reports
def perplexity(model: Model = "", revision: Revision = "",
               text: Annotated[Path | None, typer.Option(help="File of text in UTF-8 that is predicted; by default the "
                                                              "beginning of WikiText-2's test set.")] = None,
               window: Annotated[int, typer.Option(min=2, help="Tokens of a window of the text.")] = 512,
               windows: Annotated[int, typer.Option(min=1, help="Windows at most.")] = 8,
               variants: Annotated[str, typer.Option(help="Variants of the weights, separated by blanks; by default "
                                                          "all. A name that is unknown has them listed.")] = "",
               calibrate: Annotated[str, typer.Option(help="Text on whose inputs AWQ and GPTQ rest: self for text that "
                                                           "the model writes, a text file, or none, which leaves them "
                                                           "out.")] = "self",
               sequences: Annotated[int, typer.Option(help="Sequences of calibration text.")] = 32,
               sequence_tokens: Annotated[int, typer.Option(help="Tokens of a sequence of calibration text.")] = 512,
               ) -> None:
    """Measure perplexity, divergence and equal first choices of a model with weights of many codes.

    Finished variants are kept: the same command goes on where it was interrupted.
    """
    from host.calibrate.calibration import Calibration
    from host.calibrate.tokens import calibration_tokens
    from host.checkpoint.checkpoint import default_model, open_checkpoint
    from host.checkpoint.digests import content_digest
    from host.model.tokenizer import Tokenizer
    from host.perplexity.perplexity import measure
    from host.perplexity.variants import VARIANTS
    from host.perplexity.windows import DEFAULT_TEXT, read_text
    from host.perplexity.windows import windows as cut
    from host.plots.perplexity import kl_chart, perplexity_chart
    from host.progress import resumed_progress
    from host.report.writer import finish

    folder = report_folder("perplexity")
    calibration = None if calibrate == "none" else Calibration(calibrate, sequences, sequence_tokens)
    known = {each.name: each for each in VARIANTS.values() if calibration or not each.calibrated}
    chosen = [choose(name, VARIANTS, "unknown variant {!r}: choose from {}")
              for name in names("variants", variants or " ".join(known), "--variants 'int4-g128 seedlm4'")]
    if missing := [each.name for each in chosen if each.name not in known]:
        raise UserError(f"{missing[0]} needs a text whose inputs it rests on: give --calibrate self, or a text file")
    checkpoint = open_checkpoint(model or default_model(), revision)
    name, what = checkpoint.path.stem, str(text or "the default text")
    tokens = cut(Tokenizer(checkpoint).encode(read_text(text or DEFAULT_TEXT)), window, windows, what)
    samples = None
    if calibration and any(each.calibrated for each in chosen):
        with resumed_progress() as progress:
            samples = calibration_tokens(checkpoint, calibration, content_digest(checkpoint.files), progress)
    with resumed_progress() as progress:
        results = measure(checkpoint, name, chosen, tokens, samples, progress)
    settings = {"model": name, "text": (text or DEFAULT_TEXT).name, "window": window, "windows": len(tokens),
                "variants": [variant.name for variant in chosen],
                **({"calibration": calibration.described()} if calibration and samples is not None else {})}
    finish(folder, settings, results, f"{name}, {results[0].tokens:,} predictions of {what}",
           charts=lambda: {"perplexity": perplexity_chart(results), "kl": kl_chart(results)})

"""The tokens that a calibration runs through a model: those of a text file, or what the model writes itself.

Generated text is drawn with the model's own probabilities (temperature 1), all sequences at once, from the start token
that ``config.json`` names. It is kept in ``build/calibration``, because it takes longer to write than to read.
"""

import hashlib
import io
import json
import os
from math import prod

import numpy as np
import torch

from golden.products import file_product
from golden.tree import source_digest
from host.calibrate.calibration import Calibration
from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.folders import report_folder
from host.model.llama import Llama
from host.model.tokenizer import Tokenizer
from host.update import Update, no_progress

__all__ = ["calibration_tokens", "require_text"]

_CHARACTERS = 64  # of a text file for each token that is wanted: tokens of any language are shorter


def _start(checkpoint: Checkpoint) -> int:
    """Return the token that texts begin with. UserError when the settings name none."""
    token = checkpoint.config().get("bos_token_id")
    if isinstance(token, list) and token:
        token = token[0]
    if not isinstance(token, int):
        raise UserError(f"the config.json of {checkpoint.path} names no start token (bos_token_id) for text that the "
                        "model writes: calibrate with a text file")
    return token


def _require_memory(checkpoint: Checkpoint) -> None:
    """Refuse to generate with a model that does not fit memory, whose weights would be read for every token.

    Raises
    ------
    UserError
    """
    need = 4 * sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > have:
        raise UserError(f"{checkpoint.path} takes {need / 1e9:.0f} GB in float32, more than the {have / 1e9:.0f} GB of "
                        "this machine, so it cannot write text: calibrate with a text file, which needs one layer at "
                        "a time")


def _generated(checkpoint: Checkpoint, calibration: Calibration, progress: Update) -> np.ndarray:
    """Let the model write all sequences: int64, (sequences, length)."""
    start, llama = _start(checkpoint), Llama(checkpoint)
    generator = torch.Generator().manual_seed(calibration.seed)
    tokens, kept = torch.full((calibration.sequences, 1), start), llama.new_cache()
    for done in range(1, calibration.length):
        progress("calibration text", done, calibration.length)
        odds = llama(tokens[:, -1:], kept, last=True)[:, -1].softmax(-1)
        tokens = torch.cat((tokens, torch.multinomial(odds, 1, generator=generator)), dim=1)
    return tokens.numpy()


def _read(checkpoint: Checkpoint, calibration: Calibration) -> np.ndarray:
    """Cut the tokens of a text file into sequences: int64, (sequences, length)."""
    try:
        text = calibration.content().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{calibration.text} is no text in UTF-8 (byte {error.start}): give a file of text") from None
    need = calibration.sequences * calibration.length
    found = Tokenizer(checkpoint).encode(text[:_CHARACTERS * need])
    if len(found) < need:
        raise UserError(f"{calibration.text} has {len(found):,} tokens, fewer than the {need:,} of "
                        f"{calibration.sequences} sequences of {calibration.length}: give a longer text, or fewer "
                        "sequences with --sequences")
    return np.array(found[:need], dtype=np.int64).reshape(calibration.sequences, calibration.length)


def require_text(checkpoint: Checkpoint, calibration: Calibration) -> None:
    """Refuse a calibration without text, before any work is done.

    Raises
    ------
    UserError
        As :func:`calibration_tokens`.
    """
    Llama(checkpoint).require_context(calibration.length)
    if calibration.generated:
        _start(checkpoint)
        _require_memory(checkpoint)
    else:
        _read(checkpoint, calibration)


def calibration_tokens(checkpoint: Checkpoint, calibration: Calibration, model: str,
                       progress: Update = no_progress) -> np.ndarray:
    """Return the tokens of a calibration: int64, (sequences, length).

    Parameters
    ----------
    model : str
        A digest of the model, under which generated text is kept.
    progress : Update
        Called with the number of tokens of each sequence that are written.

    Raises
    ------
    UserError
        When the text is missing, no text or too short, the model has no tokenizer, no start token, a shorter context or
        an unknown architecture, or the build folder cannot be written.
    """
    if not calibration.generated:
        return _read(checkpoint, calibration)
    require_text(checkpoint, calibration)

    def make() -> bytes:
        content = io.BytesIO()
        np.save(content, _generated(checkpoint, calibration, progress))
        return content.getvalue()

    known = [model, calibration.described(), torch.__version__, source_digest(__name__)]
    name = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:24]
    kept = file_product(report_folder("calibration") / f"{name}.tokens", make)
    return np.load(io.BytesIO(kept), allow_pickle=False)

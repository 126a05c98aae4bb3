"""Compression with calibration: matrices in the order in which a token uses them, each with what its input will be.

The matrices that read one input are a stage. A stage is encoded once all before it are, because its statistics depend
on them. Statistics that are kept already, from a run that was interrupted, need no forward pass; where some are
missing, the tokens take their way once more through the layers that are compressed.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from golden.tree import source_digest
from host.calibrate.calibration import Calibration
from host.calibrate.statistics import Statistics
from host.checkpoint.checkpoint import Checkpoint
from host.compress.plan import Plan, Target
from host.errors import UserError
from host.feedback.aim import Aim
from host.feedback.factor import Factor
from host.folders import report_folder
from host.update import Update

if TYPE_CHECKING:
    from host.calibrate.inputs import Inputs

__all__ = ["Calibrated", "Stage"]

Restored = Callable[[str], np.ndarray]


class Stage(NamedTuple):
    """Tensors that are encoded together.

    ``number`` is that of their decoder layer, and ``reading`` names all matrices that read their input. Without names,
    nothing is known of their inputs.
    """

    targets: tuple[Target, ...]
    number: int = 0
    reading: tuple[str, ...] = ()


class Calibrated:
    """The calibration of one compression.

    Parameters
    ----------
    statistics : Path, optional
        Folder that keeps the statistics; by default one in ``build/calibration``.

    Raises
    ------
    UserError
        When a package is missing, the model is of a kind that the forward pass does not know, the text cannot be used,
        or the folder holds other statistics.
    """

    def __init__(self, checkpoint: Checkpoint, plan: Plan, calibration: Calibration, statistics: Path | None) -> None:
        self._checkpoint, self._plan, self._calibration = checkpoint, plan, calibration
        try:
            from host.calibrate.tokens import require_text
            from host.model.llama import Llama
            from host.model.settings import settings_of
        except ImportError as error:
            raise UserError(f"calibration runs the model, which needs PyTorch ({error}): run `pip install "
                            "'.[model]'` in a checkout of seedlm-fpga") from None
        self._settings, self._matrices = settings_of(checkpoint), Llama.matrices
        require_text(checkpoint, calibration)
        sources = source_digest("host.calibrate.inputs", "host.calibrate.tokens", "host.feedback.feedback")
        work = hashlib.sha256(json.dumps([plan.work, sources]).encode()).hexdigest()
        self._statistics = Statistics(statistics or report_folder("calibration") / work[:24], plan.fingerprint, work)
        self._inputs: Inputs | None = None

    def stages(self) -> list[Stage]:
        """Return all tensors of the plan in the order in which they are encoded."""
        targets = {target.name: target for target in self._plan.targets}
        layers = self._settings.layers
        readers = [(number, names) for number in range(layers) for names in self._matrices(number)]
        found = [Stage(tuple(targets.pop(name) for name in names if name in targets), number, names)
                 for number, names in [*readers, (layers, (self._settings.head,))]]
        return [stage for stage in [Stage(tuple(targets.values())), *found] if stage.targets]

    def aims(self, stage: Stage, restored: Restored, progress: Update) -> dict[str, Aim]:
        """Return what the tensors of a stage are encoded for, by the names of their formats, or nothing where nothing
        is known of their input. All stages before it have to be encoded.

        Parameters
        ----------
        restored : callable
            Returns a matrix of the compressed model by its name: float32, (rows, columns).
        progress : Update
            Called while tokens are made or run through the model.

        Raises
        ------
        UserError
            When a tensor or the statistics cannot be read, or statistics cannot be written.
        """
        if not stage.reading:
            return {}
        moments = self._statistics.load(stage.reading)
        if moments is None:
            inputs = self._at(stage.number, restored, progress)
            moments = inputs.moments(stage.reading, restored, progress)
            self._statistics.save(stage.reading, moments)
        formats = {target.fmt.name: target.fmt for target in stage.targets}
        return {name: Aim(Factor(moments.own, fmt.c), moments.drift) for name, fmt in formats.items()}

    def _at(self, number: int, restored: Restored, progress: Update) -> "Inputs":
        """Return the tokens before a layer, behind all layers before it."""
        from host.calibrate.inputs import Inputs
        from host.calibrate.tokens import calibration_tokens

        if self._inputs is None:
            tokens = calibration_tokens(self._checkpoint, self._calibration, self._plan.fingerprint, progress)
            self._inputs = Inputs(self._checkpoint, tokens)
        while self._inputs.number < number:
            self._inputs.advance(restored, progress)
        return self._inputs



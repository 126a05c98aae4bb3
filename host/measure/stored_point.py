"""The weights of a sweep's point that is of a checkpoint."""

from golden.product import Weights
from host.checkpoint.checkpoint import open_checkpoint
from host.errors import UserError
from host.measure.layer_matrices import head_of, stored_layer
from host.measure.matrices import Matrix, prepared
from host.measure.shapes import HEAD
from host.measure.sweep_point import Point

__all__ = ["stored_weights"]


def stored_weights(point: Point) -> dict[str, Weights]:
    """Return the weights of a point's matrices by name, in its format; none when its model is no checkpoint.

    Raises
    ------
    UserError
        When the checkpoint cannot be read, or is no longer what it was when the sweep began.
    """
    if not point.model.path:
        return {}
    checkpoint = open_checkpoint(point.model.path)
    if point.matrix == HEAD:
        head = head_of(checkpoint)
        matrices = [Matrix(HEAD, checkpoint.matrix(head), checkpoint.stored(head))]
    else:
        layer = stored_layer(checkpoint, point.layer)
        matrices = [layer.read(checkpoint, matrix) for matrix in point.chain]
    if [matrix.shape for matrix in matrices] != point.shapes:
        raise UserError(f"{checkpoint.path} is not what it was when the sweep began: run it again")
    return {matrix.name: prepared(point.config, matrix, lambda done, total: None) for matrix in matrices}

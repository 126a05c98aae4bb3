"""The second moment of a layer's inputs, factored so that the blocks of a row can be encoded one after another.

With H = E[x x^T], errors E of a matrix cost tr(E H E^T) in the squared error of its products. Let H = R R^T with R
upper triangular. Then the cost is ||E R||^2, which is a sum over all block columns B of
||E_B R_BB + E_before R_before,B||^2. So block B is encoded in the metric R_BB^T, with the target W_B + E_before G_B,
where G_B = R_before,B R_BB^-1, and where E = W - W^ is known for all columns before B. Written with the inverse of H,
this is the update of GPTQ (Frantar et al., arXiv 2210.17323) and LDLQ (Chee et al., arXiv 2307.13304), by blocks.
"""

import numpy as np

from host.errors import UserError

__all__ = ["DAMPING", "Factor"]

DAMPING = 0.01
"""What is added to every diagonal element of H, relative to their mean, as in GPTQ: samples never show all of H."""
_WIDE = 1 << 14
"""Columns beyond which the factor is float32, to take a few gigabytes only. The damping is far above its rounding."""


class Factor:
    """The factor of one input's second moment, for codes of one width.

    Parameters
    ----------
    moment : float array, (columns, columns)
        The sum or the mean of x x^T over samples of the input x.
    width : int
        Columns of a block.
    damping : float
        As :data:`DAMPING`.
    ordered : bool
        Whether the block columns with the greatest activations are encoded first, and not those on the left.

    Members
    -------
    order : int array, (block columns,)
        The block columns in the order in which they are encoded.
    sizes : float64 array, (columns,)
        The diagonal of the damped moment: mean squares of the activations.

    Raises
    ------
    UserError
        When the moment is no finite, symmetric, positive semidefinite matrix.
    """

    def __init__(self, moment: np.ndarray, width: int, damping: float = DAMPING, ordered: bool = True) -> None:
        if (moment.ndim != 2 or moment.shape[0] != moment.shape[1] or not np.isfinite(moment).all()
                or (moment.diagonal() < 0).any()):
            raise UserError(f"the statistics of an input are no second moment, but {moment.dtype} of shape "
                            f"{moment.shape}: gather them again")
        cols = len(moment)
        self.width, self.cols = width, cols
        whole = -(-cols // width) * width
        padded = np.zeros((whole, whole), np.float64 if whole <= _WIDE else np.float32)
        padded[:cols, :cols] = moment
        mean = float(np.trace(padded)) / cols
        # Inputs that are always zero say nothing of errors: then the plain squared error counts.
        padded[np.diag_indices(whole)] += damping * mean or 1.0
        self.sizes = padded.diagonal()[:cols].copy()
        weight = padded.diagonal().reshape(-1, width).sum(axis=1)
        self.order = np.argsort(-weight, kind="stable") if ordered else np.arange(len(weight))
        places = (self.order[:, None] * width + np.arange(width)).ravel()
        try:
            # The lower factor of the matrix in reverse order is the upper factor in order.
            reversed_ = np.linalg.cholesky(padded[np.ix_(places[::-1], places[::-1])])
        except np.linalg.LinAlgError:
            raise UserError("the statistics of an input are no second moment, as they have negative eigenvalues: "
                            "gather them again") from None
        self._upper = reversed_[::-1, ::-1]

    @property
    def block_columns(self) -> int:
        """Number of block columns."""
        return len(self.order)

    def arranged(self, weights: np.ndarray) -> np.ndarray:
        """Return a matrix, (rows, columns), with its columns in the order of the steps: float64, (rows, block columns *
        width), where zeros pad the last block. UserError when there are not as many columns as in the moment."""
        if weights.shape[1] != self.cols:
            raise UserError(f"a matrix of {weights.shape[1]} columns cannot have an input of {self.cols} numbers: "
                            "give statistics of the same model")
        padded = np.pad(weights.astype(np.float64), ((0, 0), (0, self.block_columns * self.width - self.cols)))
        blocks = padded.reshape(len(padded), -1, self.width)[:, self.order]
        return np.ascontiguousarray(blocks).reshape(padded.shape)

    def own(self, step: int) -> np.ndarray:
        """Return R_BB of the block column that is encoded in a step: (width, width)."""
        part = slice(step * self.width, (step + 1) * self.width)
        return self._upper[part, part]

    def carried(self, errors: np.ndarray, step: int) -> np.ndarray:
        """Return what the errors of earlier steps add to the target of a step: float64, (rows, width).

        Parameters
        ----------
        errors : float64 array, (rows, columns of earlier steps)
            W - W^, in the order of the steps.
        """
        above = self._upper[:step * self.width, step * self.width:(step + 1) * self.width]
        return np.linalg.solve(self.own(step).T, (errors @ above).T).T

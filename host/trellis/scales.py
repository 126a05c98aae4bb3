"""The scale of each row of a trellis code, searched; see :mod:`host.encoder.row_scales`."""

import numpy as np

from golden.trellis.values import all_values
from host.encoder import row_scales
from host.trellis.paths import Finder, Paths

__all__ = ["searched"]


def searched(finder: Finder, rows: np.ndarray) -> tuple[np.ndarray, Paths]:
    """Search scales and codes of rows, float64, (rows, columns).

    Returns
    -------
    float64 array, (rows,), and Paths
        Scales that FP16 holds, and the paths under them. A row whose scale would be
        below the normal FP16 numbers has the scale 0.
    """
    fmt, x = finder.fmt, (rows * finder.columns).astype(np.float32)
    squares = np.square(x, dtype=np.float64).sum(axis=1)
    weight = float(np.square(finder.columns, dtype=np.float64).sum()) or 1.0
    # Scales relative to the rms of a Gaussian row that are best with 2, 3 and 4 bits, and how much the logarithm of the
    # fitted scale falls, about, when that of the scale grows by 1.
    reach = (1.03 + 0.06 * (fmt.bits - 2)) / float(np.sqrt(np.square(all_values(fmt)).mean()))
    usual = -0.5 * 2.0 ** -fmt.bits
    none = Paths(np.zeros(x.shape, np.uint8), np.zeros(len(rows), np.int32), squares, np.zeros(len(rows)))
    return row_scales.searched(lambda live, scales: finder.paths(x[live], scales), reach * np.sqrt(squares / weight),
                               none, usual)

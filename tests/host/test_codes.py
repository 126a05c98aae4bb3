"""The table of encoders: every named format, and what is refused."""

import numpy as np
import pytest

from golden.product import format_of, restored
from golden.spec import FORMATS, HalfFormat
from host.codes import coded
from host.errors import UserError


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_best_encoder(name: str) -> None:
    fmt, weights = FORMATS[name], np.random.default_rng(0).normal(0, 0.02, (2, 192))
    matrix = coded(weights, fmt)
    assert format_of(matrix) == fmt
    error = np.linalg.norm(restored(matrix) - weights) / np.linalg.norm(weights)
    if not isinstance(fmt, HalfFormat):
        # 2**-bits is the least error that any code of so many bits can have on Gaussian weights.
        assert 1 < error * 2.0**fmt.bits_per_weight < (1.2 if name.startswith("trellis") else 2)


@pytest.mark.parametrize("name", ["fp16", "int3"])
def test_weights_beyond_fp16(name: str) -> None:
    with pytest.raises(UserError, match=f"weights up to 1e[+]06 are beyond the range of {name}: scale the tensor, or"):
        coded(np.full((1, 8), 1e6), FORMATS[name])

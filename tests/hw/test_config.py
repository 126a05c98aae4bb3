"""The engine's configuration: widths that a format does not have."""

import pytest

from golden.spec import FP16
from hw.config import ConfigError, EngineConfig


@pytest.mark.parametrize("width", ["numerator_bits", "dot_bits", "group_bits"])
def test_floating_point_weights_have_no_numerators(width: str) -> None:
    with pytest.raises(ConfigError, match="engine: weights of fp16 have no numerators"):
        getattr(EngineConfig(FP16), width)

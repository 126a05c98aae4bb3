"""A model whose linear layers all run in RTL gives golden's logits, bit for bit."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from golden.block import CompressedMatrix
from golden.spec import SEEDLM4
from host.checkpoint.checkpoint import open_checkpoint
from host.device.device import DeviceError
from host.encoder.encoder import encode
from host.errors import UserError
from host.model.device_linear import DeviceLinear
from host.model.generate import generate
from host.model.golden_linear import GoldenLinear
from host.model.llama import Llama
from hw.config import EngineConfig
from sim.device.native_device import NativeDevice
from tests.host.models.tiny import tiny

CONFIG = EngineConfig(SEEDLM4, 64)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Llama:
    folder = tmp_path_factory.mktemp("llama")
    tiny("llama 3.2").save_pretrained(folder)
    return Llama(open_checkpoint(folder))


@pytest.fixture
def device() -> Iterator[NativeDevice]:
    with NativeDevice(CONFIG, "ddr4-2400") as device:
        yield device


def test_every_token_has_the_logits_of_golden(llama: Llama, device: NativeDevice) -> None:
    def read(name: str) -> CompressedMatrix:
        return encode(llama.checkpoint.matrix(name), SEEDLM4)

    linear = DeviceLinear(device, CONFIG, read)
    prompt = [5, 17, 99]
    found = list(generate(llama.with_linear(linear), prompt, 4))
    wanted = list(generate(llama.with_linear(GoldenLinear(read)), prompt, 4))
    assert [step.token for step in found] == [step.token for step in wanted]
    for ours, golden in zip(found, wanted, strict=True):
        assert np.array_equal(ours.logits.numpy().view(np.uint32), golden.logits.numpy().view(np.uint32))
    chains = 4 * llama.settings.layers
    # The head runs once a token; the layers once for each of the prompt's tokens too.
    assert len(linear.runs) == chains * (len(prompt) + 3) + 4
    assert all(run.cycles > 0 for run in linear.runs)


def test_a_memory_that_is_too_small(llama: Llama, device: NativeDevice) -> None:
    device.memory_bytes = 1 << 16
    linear = DeviceLinear(device, CONFIG, lambda name: encode(llama.checkpoint.matrix(name), SEEDLM4))
    with pytest.raises(UserError, match=r"model.layers.0.mlp.gate_proj.weight and what shares its input need 32768 "
                                        r"bytes of the device's memory, of which \d+ are left: take a device with"):
        llama.with_linear(linear)(torch.tensor([[1]]))


def test_matrices_of_another_format(llama: Llama, device: NativeDevice) -> None:
    linear = DeviceLinear(device, CONFIG, lambda name: llama.checkpoint.matrix(name).astype(np.float16))
    with pytest.raises(DeviceError, match="a matrix in fp16 does not run on an engine for seedlm4"):
        llama.with_linear(linear)(torch.tensor([[1]]))

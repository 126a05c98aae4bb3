"""The decoder in PyTorch against the one in NumPy, bit by bit."""

import ml_dtypes
import numpy as np
import pytest

from golden.block import CompressedMatrix
from golden.spec import EXP_MAX, EXP_MIN, SEEDLM3, SEEDLM4, SEEDLM4X, BlockFormat
from host.packing import decode as by_table
from host.packing.stream import pack_rows, stream_bytes

torch = pytest.importorskip("torch")

from host.hf import decode as decoder  # noqa: E402  it imports torch

kernel = pytest.importorskip("host.hf.decode_kernel")  # there is no Triton but for Linux

FORMATS = [SEEDLM4, SEEDLM3, BlockFormat(9, 8, 17), BlockFormat(1, 1, 2, 2), BlockFormat(256, 8, 5, 3),
           BlockFormat(5, 1, 11, 3)]
"""Blocks of 8 to 53 bits, most of which do not begin with a byte."""
TYPES = {"float64": np.float64, "float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SHAPES = [(1, 1), (70, 45), (64, 48), (3, 300)]


def random_matrix(fmt: BlockFormat, shape: tuple[int, int], bias: int, seed: int = 0) -> CompressedMatrix:
    rng, size = np.random.default_rng(seed), (shape[0], -(-shape[1] // fmt.c))
    return CompressedMatrix(fmt, shape, rng.integers(1, fmt.seeds + 1, size).astype(np.uint32),
                            rng.integers(EXP_MIN, EXP_MAX + 1, size).astype(np.int8),
                            rng.integers(fmt.coef_min, fmt.coef_max + 1, (*size, fmt.p)).astype(np.int8), bias)


def stream_of(matrix: CompressedMatrix) -> "torch.Tensor":
    return torch.from_numpy(np.frombuffer(pack_rows(matrix), np.uint8).copy())


def same_bits(found: "torch.Tensor", wanted: np.ndarray) -> bool:
    return found.contiguous().view(torch.uint8).numpy().tobytes() == np.ascontiguousarray(wanted).tobytes()


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_weights_are_those_of_the_other_decoder_in_every_type(fmt: BlockFormat) -> None:
    for shape in SHAPES:
        for bias in (3, -6, -20):  # the last gives subnormal numbers of float16
            matrix = random_matrix(fmt, shape, bias)
            wanted = by_table.weights(matrix)
            for name, kind in TYPES.items():
                with np.errstate(over="ignore"):
                    found = decoder.decode(stream_of(matrix), fmt, shape, bias, getattr(torch, name))
                    assert same_bits(found, wanted.astype(kind)), (shape, bias, name)


@pytest.mark.parametrize("fmt", [SEEDLM4, SEEDLM3, SEEDLM4X, BlockFormat(5, 1, 11, 3), BlockFormat(6, 8, 14, 2)],
                         ids=lambda fmt: fmt.name)
def test_the_kernel_for_gpus_makes_the_same_weights(fmt: BlockFormat) -> None:
    for shape, bias in (((70, 45), -6), ((3, 240), -20), ((1, 1), 3)):
        matrix, stream = random_matrix(fmt, shape, bias), torch.zeros(stream_bytes(fmt, shape), dtype=torch.uint8)
        content, wanted = stream_of(matrix), by_table.weights(matrix)
        stream[:len(content)] = content
        assert kernel.decodes(stream, fmt, *shape)
        for name, kind in TYPES.items():
            with np.errstate(over="ignore"):
                found = kernel.launch(stream, fmt, *shape, bias, getattr(torch, name))
                assert same_bits(found, wanted.astype(kind)), (shape, bias, name)


def test_the_kernel_leaves_alone_what_its_tables_do_not_hold() -> None:
    stream = torch.zeros(1 << 12, dtype=torch.uint8)
    assert kernel.decodes(stream, SEEDLM4, 16, 8)
    assert not kernel.decodes(stream, BlockFormat(9, 8, 17), 16, 9)  # seeds of 17 bits
    assert not kernel.decodes(stream, BlockFormat(256, 8, 5, 3), 1, 256)  # 2,048 states for a block
    assert not kernel.decodes(stream[1:-3], SEEDLM4, 16, 8)  # no whole words of 32 bits
    assert not kernel.decodes(stream, SEEDLM4, 1 << 20, 1 << 15)  # more blocks than integers of 32 bits count


def test_matrices_of_a_transposed_stack_are_turned_one_by_one() -> None:
    matrix = random_matrix(SEEDLM4, (3 * 20, 24), 0)
    wanted = by_table.weights(matrix).reshape(3, 20, 24).swapaxes(1, 2)
    found = decoder.decode(stream_of(matrix), SEEDLM4, (3, 24, 20), 0, torch.float64, transposed=True)
    assert found.is_contiguous()
    assert same_bits(found, wanted)


def test_large_matrices_are_decoded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = random_matrix(SEEDLM4, (70, 45), 0)
    monkeypatch.setattr(decoder, "_WEIGHTS", 1)
    assert same_bits(decoder.decode(stream_of(matrix), SEEDLM4, (70, 45), 0, torch.float32),
                     by_table.weights(matrix).astype(np.float32))


def test_each_of_several_devices_keeps_the_tables_of_its_formats() -> None:
    devices = [torch.device("cpu", n) for n in range(8) for _ in range(2)]
    formats = [BlockFormat(4, 2, 5), BlockFormat(4, 2, 6)] * 8
    first, again = ([decoder._tables(*of)[0].data_ptr() for of in zip(formats, devices, strict=True)] for _ in range(2))
    assert first == again


def test_zeros_behind_the_last_group_are_not_decoded() -> None:
    matrix = random_matrix(SEEDLM3, (9, 12), 0)
    stream = torch.zeros(stream_bytes(SEEDLM3, (9, 12)), dtype=torch.uint8)
    content = stream_of(matrix)
    stream[:len(content)] = content
    assert not decoder.zero_seeds(stream, SEEDLM3, (9, 12))
    assert same_bits(decoder.decode(stream, SEEDLM3, (9, 12), 0, torch.float64), by_table.weights(matrix))


def test_a_seed_of_zero_is_found() -> None:
    stream = stream_of(random_matrix(SEEDLM4, (20, 16), 0))
    assert not decoder.zero_seeds(stream, SEEDLM4, (20, 16))
    stream[4 * 21:4 * 21 + 2] = 0
    assert decoder.zero_seeds(stream, SEEDLM4, (20, 16))


def test_no_weight_is_beyond_the_bound() -> None:
    for fmt in FORMATS:
        matrix = random_matrix(fmt, (200, 3 * fmt.c), -2)
        assert np.abs(by_table.weights(matrix)).max() <= decoder.greatest(fmt, -2)


def test_the_decoder_is_one_operator_to_torch_compile() -> None:
    matrix = random_matrix(SEEDLM4, (20, 16), 0)
    stream = stream_of(matrix)

    @torch.compile(backend="eager", fullgraph=True)
    def total(stream: "torch.Tensor") -> "torch.Tensor":
        return decoder.decode(stream, SEEDLM4, (20, 16), 0, torch.float64).sum(dim=0)

    assert torch.equal(total(stream), decoder.decode(stream, SEEDLM4, (20, 16), 0, torch.float64).sum(dim=0))

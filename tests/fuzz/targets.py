"""The readers that are tried: GGUF, safetensors, a Hugging Face folder's index and config, compressed folders,
journals, images, frames of a serial line, files of Linux, and reports."""

import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save

from golden.spec import FP16, SEEDLM3, SEEDLM4, BlockFormat
from host.checkpoint.checkpoint import Checkpoint, open_checkpoint
from host.checkpoint.manifest import MANIFEST
from host.compress.compress import compress
from host.compress.journal import Job, Journal
from host.compress.plan import Slice
from host.compress.planner import make_plan
from host.compress.verify import inspect
from host.device.device import DeviceError
from host.device.driver import Driver
from host.device.identity import found_engine
from host.device.linux_files import FileMemory, number_in, open_file
from host.device.serial_device import SerialDevice
from host.device.uio import open_uio
from host.encoder.encoder import encode
from host.errors import UserError
from host.measure.layer_matrices import shape_of_checkpoint
from host.measure.models import find_model
from host.measure.on_board import baseline_cycles
from host.packing import decode
from host.packing.stream import pack_rows, unpack_rows
from host.report import report
from hw.config import EngineConfig
from hw.registers.register_map import ID, OFFSETS, capability, identity
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.host.checkpoint.tiny_gguf import write_tiny
from tests.host.compress.toy import SMALL, Stop, folder, stopping
from tests.host.device.test_serial_device import FakePort
from tests.host.made_up import environment

__all__ = ["TARGETS", "memory_folder", "without_waiting"]

_MOST = 1 << 20
"""Elements of a tensor that are read: a file may hold more."""


def memory_folder() -> str | None:
    """Return a folder in memory, if there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def without_waiting() -> Iterator[None]:
    """Let nothing wait for a disk within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(report, "environment", environment)  # asks tools for their versions
        yield


def _read_all(checkpoint: Checkpoint) -> None:
    """Use everything that a checkpoint offers. A refused tensor does not keep the others from being read."""
    for number, name in enumerate(checkpoint.names()[:64]):
        if math.prod(map(float, checkpoint.shape(name))) > _MOST:
            continue
        with suppress(UserError):
            checkpoint.read(name, slice(None) if number % 2 else slice(1, 3))
            if number < 4 and checkpoint.stored(name) is None:
                content = checkpoint.raw(name)
                assert sum(map(len, content.pieces())) == content.size
    checkpoint.config()
    with suppress(UserError):
        shape_of_checkpoint(checkpoint)


class Gguf(Target):
    """A GGUF file."""

    NAME = "gguf"

    def seeds(self) -> list[bytes]:
        rng, made = np.random.default_rng(0), []

        def add(writer: gguf.GGUFWriter, kind: str) -> None:
            """Add a vocabulary, and a tensor of a kind whose blocks have up to 256 elements."""
            writer.add_rope_freq_base(1e4)
            writer.add_array("tokenizer.ggml.tokens", ["a", "bc", ""])
            writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
            writer.add_bos_token_id(1)
            number = gguf.GGMLQuantizationType[kind]
            block, size = gguf.GGML_QUANT_SIZES[number]
            writer.add_tensor("output.weight", rng.integers(0, 64, (2, 256 // block * size)).astype(np.uint8),
                              raw_dtype=number)

        for kinds in (
                ("Q8_0", "F16", "Q4_K"), ("BF16", "Q4_1", "MXFP4"), ("F32", "Q5_0", "IQ1_S"),
                ("F16", "Q8_0", "TQ1_0")):
            path = self.folder / "seed.gguf"
            write_tiny(path, {"token_embd.weight": kinds[0], "blk.0.attn_q.weight": kinds[1]},
                       partial(add, kind=kinds[2]), "gemma" if kinds[0] == "F32" else "llama")
            made.append(path.read_bytes())
        return made

    def run(self, data: bytes) -> None:
        path = self.folder / "m.gguf"
        path.write_bytes(data)
        _read_all(open_checkpoint(path))


class Safetensors(Target):
    """A safetensors file. Most inputs have the length of their header put right, so that what follows is looked at."""

    NAME = "safetensors"
    JSON = 0.6

    def seeds(self) -> list[bytes]:
        rng = np.random.default_rng(0)
        return [save({"model.layers.0.q_proj.weight": rng.normal(size=(4, 8)).astype(np.float32),
                      "b": rng.normal(size=(2, 3, 4)).astype(np.float16), "c": np.ones((), np.float64),
                      "d": np.zeros((0, 5), np.float32), "e": np.arange(4)}, {"format": "pt"}),
                save({"a": np.ones(5, np.float32)})]

    def mutated(self, mutator: Mutator, seeds: list[bytes]) -> bytes:
        data = mutator.rng.choice(seeds)
        length = int.from_bytes(data[:8], "little")
        header, rest = data[8:8 + length], data[8 + length:]
        if mutator.rng.random() < self.JSON:
            header = mutator.json(header)
        if mutator.rng.random() < 0.3:
            header = mutator.bytes(header, mutator.rng.choice(seeds))
        data = len(header).to_bytes(8, "little") + header + rest
        return mutator.bytes(data, mutator.rng.choice(seeds)) if mutator.rng.random() < 0.3 else data

    def run(self, data: bytes) -> None:
        path = self.folder / "m.safetensors"
        path.write_bytes(data)
        _read_all(open_checkpoint(path))


class HuggingFaceIndex(Target):
    """The index of a folder of two shards."""

    NAME = "index"
    JSON = 0.8

    def seeds(self) -> list[bytes]:
        folder(self.folder / "m", layers=1)
        (self.folder / "m" / "folder").mkdir()
        return [(self.folder / "m" / "model.safetensors.index.json").read_bytes()]

    def run(self, data: bytes) -> None:
        (self.folder / "m" / "model.safetensors.index.json").write_bytes(data)
        _read_all(open_checkpoint(self.folder / "m"))


class HuggingFaceConfig(Target):
    """The config.json of a folder, as a model to be compressed and as a shape."""

    NAME = "config"
    JSON = 0.8

    def seeds(self) -> list[bytes]:
        folder(self.folder / "m", layers=1)
        settings = {"model_type": "llama", "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 1,
                    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "vocab_size": 40}
        return [json.dumps(settings | more).encode() for more in (
            {}, {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 7},
            {"model_type": "deepseek_v3", "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
             "moe_intermediate_size": 24, "first_k_dense_replace": 1, "q_lora_rank": None, "kv_lora_rank": 8,
             "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8},
            {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "layer_types": ["full_attention"],
                                                     "num_hidden_layers": 1}},
            {"quantization_config": {"quant_method": "seedlm", "version": 1}})]

    def run(self, data: bytes) -> None:
        path = self.folder / "m" / "config.json"
        path.write_bytes(data)
        refusal: UserError | None = None
        try:
            model = find_model(str(path))
            assert model.streamed_weights > 0
            assert model.kv_cache_bytes(9) > 0
        except UserError as error:
            refusal = error
        make_plan(open_checkpoint(self.folder / "m"), SMALL)
        if refusal:
            raise refusal


def _digested(data: bytes) -> bytes:
    """Return a manifest with its own digest put right, where the data are a manifest."""
    try:
        fields = json.loads(data)
        fields.pop("sha256", None)
        digest = sha256(json.dumps(fields, indent=1).encode()).hexdigest()
        return (json.dumps(fields | {"sha256": digest}, indent=1) + "\n").encode()
    except (ValueError, AttributeError, TypeError, RecursionError):
        return data


class Compressed(Target):
    """A file of a compressed folder, which the first byte of the input names. A manifest gets the digest that it has to
    have, or nothing behind that would be looked at."""

    NAME = "compressed"
    JSON = 0.7

    def seeds(self) -> list[bytes]:
        folder(self.folder / "m", layers=1)
        self.out = self.folder / "out"
        compress(self.folder / "m", self.out, replace(SMALL, shard_bytes=4000))
        self.files = sorted(path.name for path in self.out.iterdir())
        assert MANIFEST in self.files
        return [bytes([number]) + (self.out / name).read_bytes() for number, name in enumerate(self.files)]

    def mutated(self, mutator: Mutator, seeds: list[bytes]) -> bytes:
        manifest = next(seed for seed in seeds if seed[0] == self.files.index(MANIFEST))
        chosen = manifest if mutator.rng.random() < 0.7 else mutator.rng.choice(seeds)
        return chosen[:1] + super().mutated(mutator, [chosen[1:]])

    def run(self, data: bytes) -> None:
        name = self.files[data[0] % len(self.files)] if data else MANIFEST
        path, content = self.out / name, data[1:]
        before = path.read_bytes()
        path.write_bytes(_digested(content) if name == MANIFEST else content)
        try:
            checkpoint = open_checkpoint(self.out)
            _read_all(checkpoint)
            inspect(self.out)
        finally:
            path.write_bytes(before)


class Journals(Target):
    """A file of the journal of a run that was stopped, which the first byte of the input names. It gets the digest that
    it has to have. Nothing is refused: what is damaged is made again."""

    NAME = "journal"
    JSON = 0.6

    def seeds(self) -> list[bytes]:
        folder(self.folder / "m", layers=1)
        self.out = self.folder / "out"
        with pytest.raises(Stop):
            compress(self.folder / "m", self.out, replace(SMALL, shard_bytes=2500), runner=stopping(4))
        self.parts = self.out / ".parts"
        self.files = sorted(path.name for path in self.parts.iterdir() if path.stat().st_size)
        head = json.loads((self.parts / "job").read_bytes().split(b"\n")[1])
        self.job = Job(head["work"], head["program"])
        self.shards = sorted(path.name for path in self.out.glob("*.safetensors"))
        assert self.shards
        assert any(name.endswith(".slice") for name in self.files)
        return [bytes([number]) + (self.parts / name).read_bytes().partition(b"\n")[2]
                for number, name in enumerate(self.files)]

    def mutated(self, mutator: Mutator, seeds: list[bytes]) -> bytes:
        chosen = mutator.rng.choice(seeds)
        line, _, rest = chosen[1:].partition(b"\n")
        if mutator.rng.random() < self.JSON:
            return chosen[:1] + mutator.json(line).replace(b"\n", b" ") + b"\n" + rest
        return chosen[:1] + mutator.bytes(chosen[1:], mutator.rng.choice(seeds))

    def run(self, data: bytes) -> None:
        path, content = self.parts / self.files[data[0] % len(self.files) if data else 0], data[1:]
        before = path.read_bytes()
        path.write_bytes(sha256(content).hexdigest().encode() + b"\n" + content)
        try:
            journal = Journal(self.out, self.job)
            try:
                for name in self.files:
                    if name.endswith(".slice"):
                        target, start = name.removesuffix(".slice").split("-")
                        stream = (self.parts / name).read_bytes().split(b"\n", 2)[-1]
                        journal.load(Slice(target, "w", int(start), int(start) + 16), len(stream))
                journal.finished(self.shards)
            finally:
                journal.close(False)
        finally:
            path.write_bytes(before)


class Image(Target):
    """The stream of a compressed matrix. The first bytes of the input say what is taken for its format and shape."""

    NAME = "image"
    REFUSALS = (UserError, ValueError)
    _FORMATS = (SEEDLM4, SEEDLM3, BlockFormat(4, 2, 3), BlockFormat(8, 4, 8))  # few enough for the decoder's tables

    def seeds(self) -> list[bytes]:
        rng = np.random.default_rng(0)
        return [bytes([number, 9, 20, 3]) + pack_rows(encode(rng.normal(size=(9, 20)), fmt))
                for number, fmt in enumerate(self._FORMATS)]

    def run(self, data: bytes) -> None:
        number, rows, cols, bias = data[:4].ljust(4, b"\0")
        if not rows or not cols:
            raise UserError("no matrix")
        fmt, content = self._FORMATS[number % len(self._FORMATS)], np.frombuffer(data[4:], np.uint8)
        matrix = unpack_rows(content, fmt, (rows, cols), bias - 128)
        assert np.isfinite(decode.weights(matrix)).all()
        assert np.array_equal(unpack_rows(np.frombuffer(pack_rows(matrix), np.uint8), fmt, (rows, cols), 0).seeds,
                              matrix.seeds)


class Frames(Target):
    """What a board answers on the serial line: every answer is spoilt by some of the input."""

    NAME = "frames"
    REFUSALS = (UserError, DeviceError)
    _CONFIG = EngineConfig(FP16, 32, max_rows=256, max_cols=1024)

    def seeds(self) -> list[bytes]:
        return [bytes([1, 0, 0, 0]) * 16, bytes(range(64)), b"\x05" + bytes(40), bytes([2, 9, 200, 0]) * 9]

    def run(self, data: bytes) -> None:
        left = bytearray(data)

        def byte() -> int:
            return left.pop(0) if left else 0

        def spoil(frame: bytes) -> bytes:
            if frame[:1] != b"\x5a":  # what the board hears is not of interest here
                return frame
            spoilt, way = bytearray(frame), byte() % 8
            if way == 1:
                spoilt[byte() % len(spoilt)] ^= byte() or 1
            elif way == 2:
                del spoilt[byte() % len(spoilt):]
            elif way == 3:
                spoilt[:0] = bytes(byte() for _ in range(byte() % 24))
            elif way == 4:  # a frame with a good checksum, and anything in it
                body = bytearray(spoilt[1:-4])
                for _ in range(byte() % 4):
                    body[byte() % len(body)] = byte()
                body += bytes(byte() for _ in range(byte() % 9))
                spoilt = bytearray(b"\x5a" + body + zlib.crc32(body).to_bytes(4, "little"))
            elif way == 5:
                spoilt *= 2
            return bytes(spoilt)

        port = FakePort(spoil)
        port.registers = {OFFSETS["ID"]: ID, OFFSETS["FORMAT"]: identity(self._CONFIG), OFFSETS["STATUS"]: 2,
                          OFFSETS["CAPABILITY"]: capability(self._CONFIG)}
        with SerialDevice(port, patience=1.0) as device:
            if byte() % 2:
                device.write_memory(64, b"12345678")
                device.read_memory(64, 9)
                device.wait(2000)
            else:
                driver = Driver(device, found_engine(device))
                driver.run(driver.load((np.ones((4, 32), np.float16), np.ones(32, np.float16))))


class LinuxFiles(Target):
    """The files of sysfs and of the memory of an engine beside the processor: each is one part of the input."""

    NAME = "linux"
    REFUSALS = (UserError, DeviceError)
    _FILES = tuple(f"maps/map{number}/{name}" for number in range(2) for name in ("addr", "size", "offset"))

    def seeds(self) -> list[bytes]:
        (self.folder / "uio0").write_bytes(bytes(3 * 4096))
        for name in self._FILES:
            (self.folder / "class/uio/uio0" / name).parent.mkdir(parents=True, exist_ok=True)
        return [b"0xa0000000|0x1000|0x0|0x30000000000|0x2000|0", b"1|2|3|4|5|6", b"0|0|0|-1|0b1|1_0", b"0x1000||4096"]

    def run(self, data: bytes) -> None:
        for name, part in zip(self._FILES, data.split(b"|") + [b""] * 6, strict=False):
            (self.folder / "class/uio/uio0" / name).write_bytes(part)
        with suppress(UserError):
            number_in(self.folder / "class/uio/uio0" / self._FILES[0])
        with open_file(self.folder / "uio0", os.O_RDWR) as file, suppress(DeviceError):
            FileMemory(file, file, 0, len(data), 0).read(0, len(data))
        with open_uio(self.folder / "uio0", poll=True, sysfs=self.folder) as device:
            device.read_register(0)
            device.write_memory(device.memory_base, b"1234")
            assert device.read_memory(device.memory_base, 4) == b"1234"


class Reports(Target):
    """The report of a command, for the page of all reports and as a baseline."""

    NAME = "report"
    JSON = 0.8

    def seeds(self) -> list[bytes]:
        self.names = ("sweep", "area", "sim", "run/fp16", "pnr/x", "ulx3s_85f/seedlm4", "odd")
        rows: dict[str, list[dict[str, Any]]] = {
            "sweep": [{"model": "tiny", "matrix": "layer", "format": name, "memory": "hbm2", "bus_bits": 512,
                       "cycles": 9, "bit_exact": True, "source": "rtl", "weights": 99, "speedup": 3.9,
                       "tokens_per_s": 3.5}
                      for name in ("fp16", "seedlm4")],
            "area": [{"engine": "e", "block": "total", "lut": 900, "ff": 9, "dsp": 8, "bram": 7.5, "bus_bits": 512,
                      "luts_per_weight": 100.4, "source": "synthesised"}],
            "sim": [{"matrix": "q_proj", "rows": 4, "cols": 8, "format": "seedlm4", "cycles": 9, "bit_exact": False}],
            "run/fp16": [{"format": "fp16", "rows": 40, "cols": 72, "cycles": 6000, "bit_exact": True}],
            "pnr/x": [{"config": "x", "target_mhz": 100, "fmax_mhz": 70.5, "lut4": 5, "met": False}],
            "ulx3s_85f/seedlm4": [{"board": "ulx3s_85f", "format": "seedlm4", "fmax_mhz": 98.7, "met": True}],
            "odd": [{"a": "<b>", "c": None}]}
        about = {"environment": environment(), "configuration": {"memory": "hbm2"}}
        return [bytes([number]) + json.dumps({**about, "results": rows[name]}).encode()
                for number, name in enumerate(self.names)]

    def mutated(self, mutator: Mutator, seeds: list[bytes]) -> bytes:
        chosen = mutator.rng.choice(seeds)
        return chosen[:1] + super().mutated(mutator, [chosen[1:]])

    def run(self, data: bytes) -> None:
        build = self.folder / "build"
        shutil.rmtree(build, ignore_errors=True)
        path = build / self.names[data[0] % len(self.names) if data else 0] / "report.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(data[1:])
        report.write_page(build, self.folder)
        baseline_cycles(path, 40, 72)


TARGETS: dict[str, type[Target]] = {target.NAME: target for target in (
    Gguf, Safetensors, HuggingFaceIndex, HuggingFaceConfig, Compressed, Journals, Image, Frames, LinuxFiles, Reports)}
"""The targets by name."""

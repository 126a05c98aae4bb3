"""What a model's folder holds beside its weights goes into the compressed folder, and comes back as it was."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from host.checkpoint.carried import restored_name, stored_name
from host.checkpoint.manifest import MANIFEST, read_manifest
from host.checkpoint.unfinished import PARTS
from host.compress.compress import compress
from host.compress.decompress import decompress
from host.compress.verify import inspect, seal
from host.errors import UserError
from tests.host.compress.test_integrity import resealed
from tests.host.compress.toy import SMALL, Stop, content, folder, stopping

CARRIED = {
    "README.md": b"---\nlicense: mit\n---\n# A model\r\n", "README.base.md": b"odd", "LICENSE": b"as is",
    ".gitattributes": b"*",
    "modeling_toy.py": b"x = 1\n", "qwen.tiktoken": b"IQ== 0\n", "tokenizer.model": bytes(range(256)),
    "chat_template.jinja": b"{{ x }}", "generation_config.json": b"{ }", "preprocessor_config.json": b"{}",
    "images/a/logo.png": b"\x89PNG", "original/params.json": b"{}", "original/tokenizer.model": b"t",
    "onnx/config.json": b"{}", "original/" + 60 * "nested/" + "notes.txt": b"deep"}
LEFT = ["adapter_model.safetensors", "consolidated.00.pth", "consolidated.safetensors", "flax_model.msgpack",
        "m.Q4_0.GGUF", "onnx/model.onnx", "onnx/model.onnx_data", "optimizer.pt", "original/consolidated.00.pth",
        "pytorch_model.bin", "tf_model.h5"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = folder(tmp_path / "model")
    for name, data in {**CARRIED, **dict.fromkeys(LEFT, b"weights")}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    for name in (".git/config", ".cache/huggingface/x.metadata", "pytorch_model.bin.index.json", "adapter_config.json",
                 "original/model.safetensors.index.fp16.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"{}")
    return path


def test_all_but_weights_is_carried_there_and_back(model: Path, tmp_path: Path) -> None:
    plan = compress(model, tmp_path / "out", SMALL).plan
    assert list(plan.left_behind) == sorted(LEFT)
    out = content(tmp_path / "out")
    assert out["README.base.md"] == CARRIED["README.md"]
    assert out["README.base.base.md"] == CARRIED["README.base.md"]
    assert {name: out[name] for name in CARRIED if "README" not in name} == {
        name: data for name, data in CARRIED.items() if "README" not in name}
    assert {*read_manifest(tmp_path / "out").files, MANIFEST, "model.seedlm.safetensors"} == out.keys()
    assert inspect(tmp_path / "out")[1] == []
    assert seal(tmp_path / "out") == []
    decompress(tmp_path / "out", tmp_path / "plain")
    plain = content(tmp_path / "plain")
    assert plain.keys() == {*CARRIED, "config.json", "tokenizer.json", "model.safetensors"}
    assert {name: plain[name] for name in CARRIED} == CARRIED


@pytest.mark.parametrize("name", ["README.md", "README.base.md", "readme.md", "docs/README.md", "README.base.x.md"])
def test_names_come_back(name: str) -> None:
    assert restored_name(stored_name(name)) == name
    assert stored_name(name) != "README.md"


def test_a_card_of_the_compressed_folder_alone_does_not_come_back() -> None:
    assert restored_name("README.md") is None


@pytest.mark.parametrize("name", ["images/a/logo.png", "modeling_toy.py"])
def test_a_carried_file_that_has_changed_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    (tmp_path / "out" / name).write_bytes(b"other")
    for use in (lambda: inspect(tmp_path / "out"), lambda: decompress(tmp_path / "out", tmp_path / "plain")):
        with pytest.raises(UserError, match=rf"{name} is not the file that"):
            use()
    assert not (tmp_path / "plain").exists()
    (tmp_path / "out" / name).unlink()
    assert compress(model, tmp_path / "out", SMALL).fresh
    assert inspect(tmp_path / "out")[1] == []


def test_a_file_that_has_moved_is_another_model(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        compress(model, tmp_path / "out", SMALL, runner=stopping(1))
    (model / "images" / "a" / "logo.png").rename(model / "images" / "logo.png")
    with pytest.raises(UserError, match="holds an unfinished run with another model"):
        compress(model, tmp_path / "out", SMALL)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "images/../../x", "images//x", "images/", "images/.", ".git/x",
                                  "images/.hidden/x", f"{PARTS}/job", f"images/{256 * 'x'}", "images/\0", "images/.."])
def test_a_name_that_leads_elsewhere_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)

    def named(fields: dict[str, dict[str, object]]) -> None:
        fields["files"][name] = fields["files"].pop("images/a/logo.png")

    resealed(tmp_path / "out", named)
    for use in (lambda: inspect(tmp_path / "out"), lambda: decompress(tmp_path / "out", tmp_path / "plain")):
        with pytest.raises(UserError, match="has a name that is none of a file in the folder"):
            use()


def link_to_a_file(out: Path, secret: Path) -> None:
    (out / "images" / "a" / "logo.png").unlink()
    (out / "images" / "a" / "logo.png").symlink_to(secret)


def link_to_a_folder(out: Path, secret: Path) -> None:
    (out / "images" / "a" / "logo.png").unlink()
    (out / "images" / "a").rmdir()
    (out / "images" / "a").symlink_to(secret.parent)


def link_by_way_of_a_hidden_folder(out: Path, secret: Path) -> None:
    link_to_a_file(out, secret)
    (out / "images").rename(out / ".hidden")
    (out / "images").symlink_to(".hidden")


@pytest.mark.parametrize("link", [link_to_a_file, link_to_a_folder, link_by_way_of_a_hidden_folder])
@pytest.mark.parametrize("kind", ["model", "out"])
def test_nothing_of_this_machine_is_carried_along(kind: str, link: Callable[[Path, Path], None], model: Path,
                                                  tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    secret = tmp_path / "secrets" / "logo.png"
    secret.parent.mkdir()
    secret.write_bytes(CARRIED["images/a/logo.png"])  # even one that has the right digest
    link(tmp_path / kind, secret)
    use = {"model": lambda: compress(model, tmp_path / "other", SMALL),
           "out": lambda: decompress(tmp_path / "out", tmp_path / "plain")}[kind]
    with pytest.raises(UserError, match=r"is a link to "):
        use()


def test_an_output_folder_in_the_models_folder_is_refused(model: Path) -> None:
    before = content(model)
    with pytest.raises(UserError, match=r"out is in the model's folder .*: give another"):
        compress(model, model / "images" / "out", SMALL)
    assert content(model) == before


def test_a_name_that_no_manifest_could_list_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "\udcff").write_text("x")
    with pytest.raises(UserError, match="is not in UTF-8: rename the file"):
        compress(model, tmp_path / "out", SMALL)


def test_an_edited_file_below_is_sealed(model: Path, tmp_path: Path) -> None:
    compress(model, tmp_path / "out", SMALL)
    (tmp_path / "out" / "original" / "params.json").write_text(json.dumps({"new": 1}))
    (tmp_path / "out" / "original" / "more.txt").write_text("new")
    (tmp_path / "out" / "original" / "more.bin").write_text("new")
    assert inspect(tmp_path / "out", verify=False)[1] == []
    assert seal(tmp_path / "out") == ["original/more.txt", "original/params.json"]
    assert inspect(tmp_path / "out")[1] == [f"{tmp_path}/out/original/more.bin is not listed in {MANIFEST}: it was not "
                                            "checked, and is not used"]

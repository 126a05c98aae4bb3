"""The package: its files, the command that writes it, and the folder that it is written to."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from golden.spec import FP16, SEEDLM4, BlockFormat
from golden.tree import ROOT
from host.errors import UserError
from host.ip import bench, readme
from host.ip.core import Core, default_name
from host.ip.folder import replace_folder, require_ours
from host.ip.ports import channels, ports
from hw.config import EngineConfig
from hw.registers.register_map import OFFSETS

ABOUT = {"core": "a:b:c:1"}


def host(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "host", *arguments], capture_output=True, text=True, cwd=ROOT,
                          check=False)


def test_the_manifest_lists_every_file(written: Path) -> None:
    manifest = json.loads((written / "manifest.json").read_text())
    files = {path.relative_to(written).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
             for path in written.rglob("*") if path.is_file()}
    del files["manifest.json"]
    assert manifest["files"] == files
    assert manifest["core"].startswith("seedlm-fpga:ip:seedlm4_32:")


def test_links_of_the_pages_lead_to_files(written: Path) -> None:
    for page in written.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_nothing_names_this_machine_or_what_is_only_here(written: Path) -> None:
    for path in written.rglob("*"):
        if path.is_file() and path.suffix != ".bin":
            text = path.read_text()
            assert str(ROOT) not in text
            assert not re.search(r"{{ |{%", text)


def test_two_packages_of_one_core_are_equal(core: Core) -> None:
    assert bench.files(core) == bench.files(core)


def test_the_verilog_has_the_pins_that_the_other_files_name(core: Core, written: Path) -> None:
    text = (written / "rtl" / "seedlm4_32.sv").read_text()
    top = text[text.index("\nmodule seedlm4_32 ("):]
    top = top[:top.index(");")]
    for port in ports(core):
        kind = "output" if port.output else "input"
        bits = rf"\[{port.bits - 1}:0\] " if port.bits > 1 else ""
        assert re.search(rf"\b{kind} wire {bits}{port.name}\b", top), port
    for interface in ("m_axi", "s_axil"):
        assert {channel for channel, _, _ in channels(core, interface)} == {"ar", "r", "aw", "w", "b"}


@pytest.mark.parametrize(("config", "name"), [
    (EngineConfig(SEEDLM4, 128), "seedlm4_128"), (EngineConfig(FP16, 512), "fp16_512"),
    (EngineConfig(BlockFormat(4, 2, 3), 32), "seedlm_4_2_3_32")])
def test_names(config: EngineConfig, name: str) -> None:
    assert Core(config, default_name(config)).name == name


@pytest.mark.parametrize("name", ["Seedlm", "module", "4_lanes", "a-1", "", "a b1", "a" * 65, "_1"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UserError, match="a core cannot be called"):
        Core(EngineConfig(SEEDLM4, 32), name)


@pytest.mark.parametrize("addr_bits", [18, 32, 48, 64])
def test_the_bench_lies_where_the_addresses_end(core: Core, addr_bits: int) -> None:
    chain = json.loads(bench.operands(replace(core, config=replace(core.config, addr_bits=addr_bits)))
                       ["bench/operands/chain.json"])
    base = int(chain["memory"]["base"], 16)
    assert base + bench.MEMORY_BYTES <= 1 << addr_bits
    assert addr_bits <= 18 or base >= 1 << (addr_bits - 1)


def test_addresses_that_do_not_suffice_for_the_bench(core: Core) -> None:
    with pytest.raises(UserError, match="more than 13-bit addresses reach: use at least 16 bits"):
        bench.files(replace(core, config=replace(core.config, addr_bits=13)))


def test_the_licence_is_that_of_this_project(core: Core) -> None:
    assert readme.files(core)["LICENSE"] == (ROOT / "LICENSE").read_text()


def test_a_folder_is_replaced_when_it_was_written_here(tmp_path: Path) -> None:
    out = tmp_path / "a" / "core"
    replace_folder(out, {"x/y.txt": b"old", "z.txt": b""}, ABOUT)
    require_ours(out)
    (out / "build").mkdir()
    (out / "build" / "left.txt").touch()
    require_ours(out)
    replace_folder(out, {"x/y.txt": b"new"}, ABOUT)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {"x", "x/y.txt", "manifest.json"}
    assert (out / "x" / "y.txt").read_bytes() == b"new"
    assert list(out.parent.iterdir()) == [out]


def test_folders_that_were_not_written_here_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "core"
    require_ours(out)
    out.mkdir()
    require_ours(out)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"core holds files that are not of an IP core, such as mine\.txt"):
        require_ours(out)
    (out / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="holds files that are not of an IP core"):
        require_ours(out)
    with pytest.raises(UserError, match="is not a folder"):
        require_ours(out / "mine.txt")


@pytest.mark.parametrize("change", ["edited", "added"])
def test_a_package_that_was_changed_is_refused(tmp_path: Path, change: str) -> None:
    out = tmp_path / "core"
    replace_folder(out, {"a.txt": b"a"}, ABOUT)
    (out / ("a.txt" if change == "edited" else "b.txt")).write_text("mine")
    with pytest.raises(UserError, match=r"[ab]\.txt was changed or added since the package was written"):
        require_ours(out)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        replace_folder(tmp_path / "file" / "core", {"a": b""}, ABOUT)


@pytest.mark.parametrize(("arguments", "message"), [
    (("--format", "seedlm5"),
     "unknown format 'seedlm5': use fp16, int8, int4, int3, seedlm4, seedlm3, seedlm4x, seedlm4r, "
     "seedlm3r, trellis4, trellis3, trellis2, or C,P,K such as 8,3,16"),
    (("--bus", "100"), "engine: bus_bits must be a power of two from 32 to 1024, not 100"),
    (("--addr-bits", "65"), "engine: addr_bits must be from 13 to 64, not 65"),
    (("--max-cols", "100"), "engine: max_cols must be a power of two from 64 to 65536, not 100"),
    (("--name", "Core"), "a core cannot be called 'Core'")])
def test_the_command_refuses_in_one_sentence(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = host("ip", *arguments, "--out", str(out))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_the_command_writes_a_package(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    options = ("--format", "4,2,3,2", "--bus", "32", "--addr-bits", "20", "--max-rows", "64", "--max-cols", "64",
               "--fast", "--dsp", "--cache", "15", "--prot", "2", "--name", "tiny_core", "--out", str(out))
    done = host("ip", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{out}: seedlm-fpga:ip:tiny_core:")
    engine = json.loads((out / "manifest.json").read_text())["engine"]
    assert (engine["addr_bits"], engine["max_rows"], engine["max_cols"]) == (20, 64, 64)
    assert (engine["cache"], engine["prot"], engine["qos"]) == (15, 2, 0)
    assert (engine["narrow_products"], engine["pipelining"]["apart"]) == ("dsp", True)
    (out / "README.md").write_text("mine")
    assert host("ip", *options).returncode == 2
    assert (out / "README.md").read_text() == "mine"


def test_the_register_map_is_printed() -> None:
    done = host("registers")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f" {name} |" in done.stdout for name in OFFSETS)
    for heading in ("Map", "Fields", "A run from start to finish", "Chain", "States", "Causes", "Reset"):
        assert f"\n## {heading}\n" in done.stdout


@pytest.mark.skipif(not shutil.which("tclsh"), reason="there is no tclsh")
def test_the_script_for_vivado_is_tcl_and_has_the_registers(written: Path, tmp_path: Path) -> None:
    """There is no Vivado: its commands are procedures that print how they are called."""
    commands = sorted(set(re.findall(r"ipx::\w+", (written / "vivado" / "package_ip.tcl").read_text())))
    stubs = [*commands, "create_project", "add_files", "update_compile_order", "close_project", "get_parts",
             "current_fileset", "set_property", "get_property"]
    script = tmp_path / "run.tcl"
    script.write_text("namespace eval ipx {}\n" + "".join(
        f"proc {command} args {{puts [list {command} {{*}}$args]; return {command}}}\n" for command in stubs)
        + f"source {written / 'vivado' / 'package_ip.tcl'}\n")
    done = subprocess.run(["tclsh", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    names = [line.split()[1] for line in lines if line.startswith("ipx::add_register ")]
    offsets = [int(line.split()[2], 16) for line in lines if line.startswith("set_property address_offset")]
    assert dict(zip(names, offsets, strict=True)) == OFFSETS


@pytest.mark.skipif(not shutil.which("dtc"), reason="there is no dtc")
def test_the_part_of_a_device_tree_is_one(written: Path, tmp_path: Path) -> None:
    (tmp_path / "board.dts").write_text(f"""/dts-v1/;
/ {{
    #address-cells = <2>;
    #size-cells = <2>;
    gic: interrupt-controller@f9010000 {{
        reg = <0x0 0xf9010000 0x0 0x10000>;
        interrupt-controller;
        #address-cells = <0>;
        #interrupt-cells = <3>;
    }};
}};
/include/ "{written / 'linux' / 'seedlm4_32.dtsi'}"
""")
    done = subprocess.run(["dtc", "-I", "dts", "-O", "dtb", "-o", str(tmp_path / "board.dtb"),
                           str(tmp_path / "board.dts")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

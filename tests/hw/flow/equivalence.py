"""Proofs by Yosys that emitted SystemVerilog does what Amaranth's RTLIL does."""

import re
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from hw.flow import yosys
from hw.flow.modules import hierarchy, unique
from hw.flow.names import identifier, port_names
from hw.flow.rtlil import Module, read, sole
from hw.flow.simplify import simplify
from hw.flow.verilog import emit
from hw.flow.writer import ModuleWriter

_PROVE = ["design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate",
          "miter -equiv -make_outputs gold gate miter", "flatten miter", "hierarchy -top miter", "opt -full",
          "sat -verify -prove trigger 0 miter"]


def prove_combinational(gold: Elaboratable, gate: Elaboratable, folder: Path) -> None:
    """Prove that what is emitted for ``gate`` has the outputs of ``gold``, an equal component without registers.

    Raises
    ------
    hw.flow.yosys.YosysError
        When it has not.
    """
    (folder / "gold.il").write_text(rtlil.convert(gold, name="gold", emit_src=False))
    emit(gate, folder / "gate.sv", name="gate")
    yosys.run([f"read_rtlil {folder}/gold.il", "proc", "design -stash gold",
               f"read_verilog -sv {folder}/gate.sv", "proc", "design -stash gate", *_PROVE])


class Modules:
    """The modules of a component, as RTLIL and as they are emitted, to be proven equal one by one.

    Registers and words of memories are cut: their inputs count as outputs, and their outputs as inputs. They are found
    by their names in Verilog, which those in RTLIL get.
    """

    def __init__(self, component: Elaboratable, folder: Path) -> None:
        design, _ = unique(hierarchy(component, "top")[0])
        raw, self._modules = ({module.name: module for module in read(design)} for _ in range(2))
        self.titles = {name: identifier(name) for name in raw}
        for module in self._modules.values():
            simplify(module)
        self._folder, self._cuts, texts = folder, dict[str, list[str]](), []
        for name, module in self._modules.items():
            writer = ModuleWriter(module, self._modules, self.titles, {})
            texts.append(writer.text({}))
            names = {before: writer.names.wire(after) for before, after in
                     zip(self._states(raw[name]), self._states(module), strict=True)}
            self._cuts[name] = [*names.values(), *(f"{memory[1:]}[*" for memory in module.memories)]
            design = self._renamed(design, raw[name], names)
        (folder / "gold.il").write_text(design)
        (folder / "gate.sv").write_text("\n".join(texts))

    @staticmethod
    def _states(module: Module) -> list[str]:
        """Wires that registers and clocked read ports drive."""
        return [sole(cell.ports[cell.output]).wire for cell in module.cells
                if cell.kind in ("$dff", "$adff") or (cell.kind == "$memrd_v2" and cell.number("CLK_ENABLE"))]

    @staticmethod
    def _renamed(design: str, module: Module, names: dict[str, str]) -> str:
        """The design with other names of registers in a module, whose other signals lose theirs."""
        ports = port_names(module)

        def name(found: re.Match[str]) -> str:
            wire = found[0]
            if wire not in module.wires:
                return wire
            if module.wires[wire].port:
                return f"\\{ports[wire[1:]]}"
            return f"\\{names[wire]}" if wire in names else f"$of.{wire[1:]}"

        def line(text: str) -> str:
            if re.match(r"\s+(parameter|attribute|memory|process)", text):
                return text
            if instance := re.match(r"(\s+cell \\\S+ )(\S+)", text):
                return f"{instance[1]}\\{identifier(instance[2])}"
            if connection := re.match(r"(    connect \\)(\S+)(.*)", text):
                return connection[1] + identifier(connection[2]) + re.sub(r"[\\$]\S+", name, connection[3])
            return text if text.startswith("  cell ") else re.sub(r"[\\$]\S+", name, text)

        start = design.index(f"module \\{module.name}\n")
        end = design.index("\nend\n", start)
        first, *lines = design[start:end].splitlines()
        return design[:start] + "\n".join([first, *map(line, lines)]) + design[end:]

    def _cut(self, source: str, name: str, module: str, tag: str) -> Sequence[str]:
        cuts = " ".join(f"{module}/w:{wire}" for wire in self._cuts[name])
        return [source, f"hierarchy -top {module}", "proc", "memory_collect", "memory_nordff", "memory_map", "dffunmap",
                "chformal -remove", f"select -set kept {cuts} {module}/x:*", f"rename -hide {module}/w:* @kept %d",
                "opt_clean", f"cd {module}", "expose -evert", "expose -evert-dff", "cd ..", f"rename {module} {tag}",
                f"design -stash {tag}"]

    def prove(self, name: str) -> None:
        """Prove that a module is emitted right. Names are those of RTLIL.

        Raises
        ------
        hw.flow.yosys.YosysError
            When it is not.
        """
        yosys.run([*self._cut(f"read_rtlil {self._folder}/gold.il", name, name, "gold"),
                   *self._cut(f"read_verilog -sv -DSYNTHESIS {self._folder}/gate.sv", name, self.titles[name], "gate"),
                   *_PROVE])

"""The figures that README.md and docs/ quote: of the results, of the presets and formats, and of what others published.

A change of the results changes the figures here by itself. Where a sentence says more than its figures, such as which
design wins, whoever makes the results reads it again.
"""

from dataclasses import replace
from math import floor
from statistics import fmean
from typing import Any

from golden.spec import SEEDLM4, parse_format
from host.measure.published import CYCLES, SPEEDUP
from host.results.quotes import Quote, Results
from host.synth.area import PUBLISHED
from hw.config import EngineConfig
from hw.configurations import XC7
from hw.engine.latency import group_interval
from hw.lanes.join import join_interval
from sim.dram.presets import PRESETS, preset

__all__ = ["QUOTES"]

_README = "README.md"
_MEASURED, _CODES, _AREA, _NUMBERS, _STREAMS, _MEMORY, _LIMITS, _BOARD, _QUALITY = (
    f"docs/{name}.md" for name in ("measurements", "compressing", "area", "numerics", "streams", "memory", "limits",
                                   "board", "quality"))
_LARGEST = "2048x2048"
_SAVED = 100 * (1 - 4 / parse_format("int4").bits_per_weight)
"""Per cent of the bytes of int4 that 4 bits a weight save."""


def _paper(results: Results, format: str, part: str = "sim-paper", matrix: str = _LARGEST) -> Any:
    return results.row(part, format=format, matrix=matrix)


def _layer(results: Results, model: str, format: str) -> Any:
    return results.row("sweep", matrix="layer", model=model, format=format)


def _area(results: Results, engine: str, block: str = "total") -> Any:
    """The one row of an engine on 7-series, whatever other families there are."""
    found = [row for row in results.rows("area", engine=engine, block=block)
             if getattr(row, "family", XC7.family) == XC7.family]
    if len(found) != 1:
        raise LookupError(f"area has {len(found)} rows of {engine}, {block}")
    return found[0]


def _short_rows(results: Results, format: str, count: int) -> float:
    """Per cent of the memory's limit that an engine takes of matrices with 64 columns."""
    return 100 * float(results.row("short-rows", format=format, results_per_cycle=count).achieved_fraction)


def _board_bytes(results: Results, format: str) -> int:
    return int(results.row("test-board", format=format).bytes)


def _error(results: Results, mode: str) -> list[float]:
    return [results.row("bench-encode", mode=mode, format=name).relative_error for name in ("seedlm4", "seedlm3")]


def _bits(results: Results, method: str) -> float:
    return float(results.row("quality", model="SmolLM2-135M-Instruct.Q4_1", method=method).bits_per_weight)


def _says(results: Results, *variants: str) -> list[float]:
    """The perplexities of SmolLM2 with variants of its weights."""
    return [float(results.row("perplexity", variant=variant).perplexity) for variant in variants]


def _left(results: Results, variant: str, paper: str) -> float:
    """Per cent of the increase of the paper's search that a variant has."""
    ours, theirs = (float(results.row("perplexity", variant=each).increase) for each in (variant, paper))
    return 100 * ours / theirs


def _says_error(results: Results, *variants: str) -> list[float]:
    return [float(results.row("perplexity", variant=variant).weight_error) for variant in variants]


def _percent_at_least(shares: list[float]) -> float:
    """The least share in per cent, rounded down to a tenth."""
    return floor(1000 * min(shares)) / 10


def _more(value: float, base: float) -> float:
    """By how many per cent a value is greater than another."""
    return 100 * (value / base - 1)


_SLOPE = (CYCLES[_LARGEST, "fp16"] - CYCLES[_LARGEST, "seedlm4"]) / (2048 * 2048 * (16 - 4) / 512)
_START = CYCLES[_LARGEST, "fp16"] - _SLOPE * 2048 * 2048 * 16 / 512
"""The preset `paper`: cycles = slope · beats + start, through both published counts; beats are those of the weights."""


def _fitted(size: int, bits: int) -> float:
    """Cycles of a square matrix by the fit."""
    return _SLOPE * size * size * bits / 512 + _START


def _beyond_fit(results: Results) -> list[float]:
    """Cycles that the matrices take beyond the fit."""
    return [row.cycles - _fitted(row.rows, bits) for name, bits in (("fp16", 16), ("seedlm4", 4))
            for row in results.rows("sim-paper", format=name)]


_INTERVAL = group_interval(EngineConfig(SEEDLM4))
"""Cycles that a group of rows takes at least, with one result a cycle."""


def _hot(name: str) -> float:
    """What twice as many refreshes leave of a memory's rate, in per cent."""
    dram = preset(name)
    return 100 * replace(dram, t_refi=dram.t_refi // 2, t_refi_bank=dram.t_refi_bank // 2).sequential_limit


def _limit(name: str, **timing: Any) -> float:
    """A memory's sequential limit in per cent, with other timing."""
    return 100 * replace(preset(name), **timing).sequential_limit


def _preset_row(name: str) -> Quote:
    """The row of a preset in the table of memories."""
    dram = preset(name)
    return Quote(_MEMORY, f"| `{name}` | {{:.0f}} | {{}} | {{:g}} | {{:.1f}}% | {{}} |" if name == "sdram-133" else
                 f"| `{name}` | {{:.0f}} | {{}} | {{:.1f}} | {{:.1f}}% | {{}} |",
                 lambda r: (dram.ck_mhz, dram.ratio, round((dram.peak_bytes_per_s(512) or 0) / 1e9, 2),
                            100 * dram.sequential_limit, dram.controller))


def _encoder(results: Results, format: str) -> float:
    """Blocks a second of the exact search on two cores."""
    return float(results.row("bench-encode", format=format, mode="exact").blocks_per_s)


def _duration(billions: int, spec: str, unit: str, seconds: float) -> Quote:
    """The cell of how long two cores search for the codes of a model, in a unit of so many seconds."""
    return Quote(_CODES, f"| {billions} billion | {{{spec}}} and {{{spec}}} {unit} |", lambda r: [
        billions * 1e9 / parse_format(name).c / _encoder(r, name) / seconds for name in ("seedlm4", "seedlm3")])


QUOTES = (
    Quote(_README, "then reads 4 or {:.1f} times fewer bytes", lambda r: (16 / 3,)),
    Quote(_README, "seeds of a block, some {:,.0f} blocks a second on two cores",
          lambda r: (round(r.row("bench-encode", format="seedlm4", mode="exact").blocks_per_s, -4),)),
    Quote(_CODES, "| 2 cores, AVX-512 | {:,.0f} | {:,.0f} |",
          lambda r: [_encoder(r, name) for name in ("seedlm4", "seedlm3")]),
    _duration(1, ":.0f", "min", 60), _duration(7, ":.1f", "h", 3600), _duration(70, ":.0f", "h", 3600),
    _duration(405, ":.1f", "days", 86400),
    # At a glance
    Quote(_README, "| {:.0f} | {:.0f} | by design; RTL keeps up | | the same, 3 bits | – | {:.1f} | by design",
          lambda r: (512 / 4, *(512 / parse_format(name).bits_per_weight for name in ("seedlm4", "seedlm3")))),
    Quote(_README, "2048 × 2048, 4 bits | {:.2f} | {:.2f} on a memory fitted to the paper's cycles, {:.2f} on DDR4",
          lambda r: (SPEEDUP[_LARGEST], _paper(r, "seedlm4").speedup, _paper(r, "seedlm4", "sim-paper-ddr4").speedup)),
    Quote(_README, "the same, 3 bits | – | {:.2f} and {:.2f} | simulated",
          lambda r: (_paper(r, "seedlm3").speedup, _paper(r, "seedlm3", "sim-paper-ddr4").speedup)),
    Quote(_README, "a layer of Llama-2-7B, 4 bits and 3 bits | – | {:.2f} and {:.2f} |",
          lambda r: (_layer(r, "Llama-2-7B", "seedlm4").speedup, _layer(r, "Llama-2-7B", "seedlm3").speedup)),
    Quote(_README, "LUTs and DSPs | {:,} and {} (of how much is unknown) | {:,} and {}, or {:,} and {} |",
          lambda r: (PUBLISHED.lut, PUBLISHED.dsp, *(count for engine in ("seedlm4-256dsp", "seedlm4-128dsp")
                                                     for count in (_area(r, engine).lut, _area(r, engine).dsp)))),
    Quote(_README, "flip-flops, block RAMs | {:,}, {:.0f} (of how much is unknown) | {:,} or {:,}, {:.0f} |",
          lambda r: (PUBLISHED.ff, PUBLISHED.bram, _area(r, "seedlm4-256dsp").ff, _area(r, "seedlm4-128dsp").ff,
                     _area(r, "seedlm4-128dsp").bram)),
    Quote(_README, "tokens a second are given | – | {:.0f} MHz on DDR4-2400 | a quarter of the memory's {:,.0f} MHz |",
          lambda r: (preset("ddr4-2400").fabric_mhz, preset("ddr4-2400").ck_mhz)),
    Quote(_README, "low-cost ECP5-85F | – | {:.1f} MHz at grade 8",
          lambda r: (r.row("pnr", config="seedlm4-512-g8").fmax_mhz,)),
    # Short rows
    Quote(_STREAMS, "have left the lanes and the drain, {} cycles later for seedlm4 on 512 bits. With 64 columns it "
          "takes {:.1f} % of DDR4-2400's limit", lambda r: (_INTERVAL, _short_rows(r, "seedlm4", 1))),
    Quote(_STREAMS, "will be free for the next group: {} or {} cycles later. With two results a cycle, seedlm4 takes "
          "{:.1f} % of the limit with 64 columns and int4 {:.1f} %",
          lambda r: (*(join_interval(EngineConfig(SEEDLM4, results_per_cycle=count)) for count in (2, 4)),
                     _short_rows(r, "seedlm4", 2), _short_rows(r, "int4", 2))),
    Quote(_STREAMS, "for {:.1f} % more LUTs and {:.1f} % more flip-flops",
          lambda r: (_more(_area(r, "seedlm4-128dsp-r2").lut, _area(r, "seedlm4-128dsp").lut),
                     _more(_area(r, "seedlm4-128dsp-r2").ff, _area(r, "seedlm4-128dsp").ff))),
    Quote(_STREAMS, "full rate begins at {} columns", lambda r: (_INTERVAL * SEEDLM4.c,)),
    # Beside the paper
    Quote(_MEASURED, "T = {:.4f} · beats + {:.0f}, if beats are those of the weights alone. It stands for {:.1f} % of "
          "the bus and {:.0f} cycles from", lambda r: (_SLOPE, _START, 100 / _SLOPE, _START)),
    Quote(_MEASURED, "for which the line gives {:.2f} and {:.2f} where {} and {} are published",
          lambda r: (_fitted(512, 16) / _fitted(512, 4), _fitted(1024, 16) / _fitted(1024, 4), SPEEDUP["512x512"],
                     SPEEDUP["1024x1024"])),
    Quote(_MEASURED, "all three sizes, {:.3f} beside {} at 512 × 512, {:.3f} beside {} at 1024 × 1024, and {:.3f} "
          "beside {} at 2048 × 2048. The fit's {:.0f} cycles",
          lambda r: (*(figure for matrix, published in SPEEDUP.items()
                       for figure in (_paper(r, "seedlm4", matrix=matrix).speedup, published)), _START)),
    Quote(_MEASURED, "some {:.0f} to {:.0f} cycles a matrix",
          lambda r: (round(min(_beyond_fit(r)), -1), round(max(_beyond_fit(r)), -1))),
    Quote(_LIMITS, "keep the 4-bit speed-up below {:.3f}",
          lambda r: (_paper(r, "seedlm4", "sim-paper-ddr4").byte_ratio,)),
    # Memories
    Quote(_MEASURED, "All engines take {:.1f} % or more of every limit",
          lambda r: (_percent_at_least([row.achieved_fraction for row in r.rows("roofline")]),)),
    Quote(_MEMORY, "DDR4-2400 falls to {:.0f} % of its peak, DDR4-3200 to {:.0f} %",
          lambda r: (_limit("ddr4-2400", columns_lowest=True), _limit("ddr4-3200", columns_lowest=True))),
    *(_preset_row(name) for name in PRESETS if preset(name).ck_mhz),
    Quote(_MEMORY, "| `ideal`, `paper` | - | - | - | {:.0f}%, {:.1f}% |",
          lambda r: (_limit("ideal"), _limit("paper"))),
    Quote(_MEMORY, "will reach last ({:.1f} % in RTL)",
          lambda r: (100 * r.row("memories", memory="lpddr5-6400-hidden").measured,)),
    Quote(_LIMITS, "falls to {:.1f} % for `ddr4-2400`, to {:.1f} % for `lpddr5-6400` and to {:.1f} % for `hbm2`",
          lambda r: (_hot("ddr4-2400"), _hot("lpddr5-6400"), _hot("hbm2"))),
    Quote(_LIMITS, "its limit is {:.1f} % instead of {:.1f} %",
          lambda r: (_limit("lpddr4-2400", t_refi=round(3.904 * 1200)), _limit("lpddr4-2400"))),
    # Whole models
    Quote(_MEASURED, "implies, {:.0f} MHz for `ddr4-2400` on 512 bits", lambda r: (preset("ddr4-2400").fabric_mhz,)),
    Quote(_MEASURED, "only on an ECP5, at {:.1f} MHz", lambda r: (r.row("pnr", config="seedlm4-512-g8").fmax_mhz,)),
    Quote(_MEASURED, "each figure would be {:.2f} of what is shown",
          lambda r: (r.row("pnr", config="seedlm4-512-g8").fmax_mhz / (preset("ddr4-2400").fabric_mhz or 1),)),
    Quote(_MEASURED, "keeps a layer below 4 and {:.3f} is what", lambda r: (16 / 3,)),
    Quote(_MEASURED, "those alone allow {:.3f} and {:.3f} for TinyLlama (some columns padded to blocks of 12), {:.3f} "
          "for Llama-3.2-3B, {:.3f} for Llama-2-7B",
          lambda r: [_layer(r, model, name).byte_ratio for model, name in (
              ("TinyLlama-1.1B", "seedlm4"), ("TinyLlama-1.1B", "seedlm3"), ("Llama-3.2-3B", "seedlm4"),
              ("Llama-2-7B", "seedlm4"))]),
    Quote(_MEASURED, "All runs take {:.1f} % or more of what the memory gives in their cycles. int4 reads {} bits a "
          "weight",
          lambda r: (_percent_at_least([row.limit_fraction for row in r.rows("sweep", matrix="layer")]),
                     parse_format("int4").bits_per_weight)),
    # Errors
    Quote(_CODES, "| the same | {:.3f} | {:.3f} | `--mode printed` |", lambda r: _error(r, "printed")),
    Quote(_CODES, "− 2 | {:.3f} | {:.3f} | `--mode paper` |", lambda r: _error(r, "paper")),
    Quote(_CODES, "and the codes too | {:.3f} | {:.3f} | `--mode exact` |", lambda r: _error(r, "exact")),
    Quote(_CODES, "one for each row ({:.2f} bit more) or for each group of 128 ({:.3f} bit more), and block floating "
          "point, whose exponent is searched ({:.2f} bit more)",
          lambda r: [_bits(r, method) - _bits(r, "seedlm4") for method in (
              "int4, searched scale per row", "int4, searched scale per 128", "bfp4, 8-bit exponent per 32")]),
    Quote(_NUMBERS, "{} bits a weight, packed as densely", lambda r: (parse_format("int4").bits_per_weight,)),
    Quote(_NUMBERS, "other codes, {} and {} bits a weight",
          lambda r: (parse_format("int8").bits_per_weight, parse_format("int3").bits_per_weight)),
    Quote(_NUMBERS, "up to {:,} rows and {:,} columns, any numbers",
          lambda r: (EngineConfig(parse_format("seedlm4")).max_rows, EngineConfig(parse_format("seedlm4")).max_cols)),
    # Area
    Quote(_AREA, "has {:.1f} times as many LUTs as `seedlm4-128dsp` with about as many DSPs, {:.1f} times as many as "
          "`seedlm4-256dsp` with about half as many, {:.1f} and {:.1f} times their flip-flops and {:.1f} times their "
          "block RAMs",
          lambda r: (PUBLISHED.lut / _area(r, "seedlm4-128dsp").lut, PUBLISHED.lut / _area(r, "seedlm4-256dsp").lut,
                     PUBLISHED.ff / _area(r, "seedlm4-128dsp").ff, PUBLISHED.ff / _area(r, "seedlm4-256dsp").ff,
                     PUBLISHED.bram / _area(r, "seedlm4-128dsp").bram)),
    Quote(_AREA, "nothing says whether the {:,} LUTs are", lambda r: (PUBLISHED.lut,)),
    Quote(_AREA, "The LFSR bank takes {:.0f} LUTs for the 24 states",
          lambda r: (_area(r, "seedlm4-128dsp", "LFSR bank").lut / EngineConfig(parse_format("seedlm4")).lanes,)),
    Quote(_AREA, "SeedLM takes {} more DSPs and {:.0f} % more LUTs, or no more DSPs and {:.0f} % more LUTs, and "
          "saves {:.0f} % of the bytes",
          lambda r: (_area(r, "seedlm4-256dsp").dsp - _area(r, "int4").dsp,
                     _more(_area(r, "seedlm4-256dsp").lut, _area(r, "int4").lut),
                     _more(_area(r, "seedlm4-128dsp").lut, _area(r, "int4").lut),
                     _SAVED)),
    Quote(_AREA, "make it {:.1f} times as large. Activations of 8 bits save only {:.0f} % of the LUTs",
          lambda r: (_area(r, "seedlm3").lut / _area(r, "seedlm4-128dsp").lut,
                     -_more(_area(r, "seedlm4-act8").lut, _area(r, "seedlm4-128dsp").lut))),
    Quote("docs/faq.md", "SeedLM reads {:.0f} % fewer bytes",
          lambda r: (_SAVED,)),
    # What a model says
    Quote(_README, "its perplexity rises from {:.1f} to {:.1f} with int4, and to {:.1f} with the paper's 4-bit SeedLM.",
          lambda r: _says(r, "shipped", "int4-g128", "seedlm4-paper")),
    Quote(_README, "the same decoder to {:.1f}, beside {:.1f} for AWQ and {:.1f} for a GPTQ that was improved "
                   "likewise, at {:.2f} bits",
          lambda r: (*_says(r, "seedlm4-calibrated", "awq4-g128", "gptq4-g128-drift"),
                     r.row("perplexity", variant="gptq4-g128-drift").bits_per_weight)),
    Quote(_QUALITY, "SmolLM2-135M-Instruct, {:,} predictions of the default text",
          lambda r: (r.row("perplexity", variant="shipped").tokens,)),
    Quote(_QUALITY, "`seedlm4` reads {:.0f} % fewer bytes than `int4-g128`",
          lambda r: (_SAVED,)),
    Quote(_QUALITY, "Its perplexity is {:.1f}, beside {:.1f}. `seedlm4x`, with about as many bits and larger "
                    "blocks, comes to {:.1f}.", lambda r: _says(r, "seedlm4", "int4-g128", "seedlm4x")),
    Quote(_QUALITY, "The perplexity is {:.1f} at {:.2f} bits for `seedlm4` and {:.1f} for `seedlm4x`, beside {:.1f} "
                    "for AWQ and {:.1f} for GPTQ at {:.2f} bits.",
          lambda r: (*_says(r, "seedlm4-calibrated"), r.row("perplexity", variant="seedlm4-calibrated").bits_per_weight,
                     *_says(r, "seedlm4x-calibrated", "awq4-g128", "gptq4-g128"),
                     r.row("perplexity", variant="gptq4-g128").bits_per_weight)),
    Quote(_QUALITY, "Of the increase that the paper's search costs, {:.0f} % is left at 4 bits, and "
                    "{:.0f} % at 3 bits.",
          lambda r: (_left(r, "seedlm4-calibrated", "seedlm4-paper"), _left(r, "seedlm3-calibrated", "seedlm3-paper"))),
    Quote(_QUALITY, "GPTQ with it comes to {:.1f} at {:.2f} bits",
          lambda r: (*_says(r, "gptq4-g128-drift"), r.row("perplexity", variant="gptq4-g128").bits_per_weight)),
    Quote(_QUALITY,
          "GPTQ comes to {:.1f} at {:.2f} bits, and to {:.1f} where it makes up for drift; AWQ comes to {:.1f}",
          lambda r: (*_says(r, "gptq3-g128"), r.row("perplexity", variant="gptq3-g128").bits_per_weight,
                     *_says(r, "gptq3-g128-drift", "awq3-g128"))),
    Quote(_QUALITY, "`seedlm3` comes to {:.1f}", lambda r: _says(r, "seedlm3-calibrated")),
    Quote(_QUALITY, "for {:.0f} % of its bytes", lambda r: (100 * 3 / parse_format("int4").bits_per_weight,)),
    Quote(_QUALITY, "Calibration raises that of `seedlm4` from {:.3f} to {:.3f}",
          lambda r: _says_error(r, "seedlm4", "seedlm4-calibrated")),
    Quote(_QUALITY, "lowers the perplexity of the paper's from {:.1f} to {:.1f}",
          lambda r: _says(r, "seedlm4-paper", "seedlm4")),
    Quote(_QUALITY, "where `seedlm4` comes to {:.2f} beside {:.2f} in floating point. With 8 bits it comes to {:.2f}",
          lambda r: _says(r, "seedlm4-a16", "seedlm4", "seedlm4-a8")),
    Quote(_README, "It took {:,} cycles a token, {:.2f} times fewer than FP16 takes by the cycle model",
          lambda r: (round(fmean(row.cycles for row in r.rows("demo"))), fmean(row.speedup for row in r.rows("demo")))),
    # Boards
    Quote(_README, "simulated in RTL, seedlm4 is {:.2f} times as fast there as FP16",
          lambda r: (r.row("test-board", format="seedlm4").speedup,)),
    Quote(_BOARD, "{:.1f} and {:.1f} MB went over the simulated line",
          lambda r: (2048 * 2048 * 2 / 1e6, 2048 * 2048 / 2 / 1e6)),
    Quote(_BOARD, "the chip's own limit is {:.1f} %", lambda r: (100 * (1 - 13 / 781),)),
    Quote(_BOARD, "The bytes alone bound the speed-up at {:.3f}",
          lambda r: (_board_bytes(r, "fp16") / _board_bytes(r, "seedlm4"),)),
)
"""Quotes, by document and in the order in which they stand there."""

"""Charts, readable in print and for colour-blind readers."""

from pathlib import Path

from host.results import Row

__all__ = ["speedup_chart"]

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")  # Okabe and Ito's, distinct in every kind of colour vision
_HATCHES = ("", "//", "..", "xx")


def speedup_chart(rows: list[Row], title: str, path: Path) -> None:
    """Bars: speed-up over FP16 of each compressed format, matrix by matrix, under the bytes' own ratio."""
    from matplotlib.figure import Figure  # takes half a second, and most commands draw nothing

    formats = [name for name in dict.fromkeys(row["format"] for row in rows) if name != "fp16"]
    matrices = list(dict.fromkeys(row["matrix"] for row in rows))
    by_key = {(row["matrix"], row["format"]): row for row in rows}
    width = 0.8 / max(len(formats), 1)
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for i, name in enumerate(formats):
        at = [n + (i - (len(formats) - 1) / 2) * width for n in range(len(matrices))]
        values = [by_key[matrix, name]["speedup"] for matrix in matrices]
        bars = axes.bar(at, values, width * 0.94, color=_COLOURS[i % 4], hatch=_HATCHES[i % 4], edgecolor="white",
                        label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=7, label_type="center",
                       bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        limit = 16 / by_key[matrices[0], name]["bits_per_weight"]
        axes.axhline(limit, color=_COLOURS[i % 4], linestyle=("--", ":", "-.", "-")[i % 4], linewidth=1,
                     label=f"{name}: 16 bits / {16 / limit:.3g} bits = {limit:.3g}")
    axes.axhline(1, color="black", linewidth=0.8, label="FP16 baseline")
    axes.set_xticks(range(len(matrices)), matrices)
    axes.set_ylabel("speed-up over FP16, same memory")
    axes.set_title(title, fontsize=10)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    figure.savefig(path, dpi=150)

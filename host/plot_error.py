"""Charts of what compression costs: error by tensor, and error against bits per weight."""

from pathlib import Path

from host.results import Row

__all__ = ["explore_chart", "quality_chart"]

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito's
_MARKERS = ("o", "s", "^", "D", "v", "x")
_LINES = ("-", "--", ":", "-.", (0, (1, 3)), (0, (5, 3)))


def quality_chart(rows: list[Row], path: Path) -> None:
    """One panel for each model and number of bits: relative error of every tensor, the tensors of one kind together,
    a line for each method."""
    from matplotlib.figure import Figure  # takes half a second

    models = list(dict.fromkeys(row["model"] for row in rows))
    figure = Figure(figsize=(11, 4 * len(models)), layout="constrained")
    panels = figure.subplots(len(models), 2, squeeze=False, sharex="row")
    for line, model in enumerate(models):
        for column, bits in enumerate((4, 3)):
            axes = panels[line][column]
            chosen = [row for row in rows if row["model"] == model and row["code_bits"] == bits]
            # Same kinds of tensor side by side: sorted by what follows the layer's number.
            names = sorted(dict.fromkeys(row["tensor"] for row in chosen if row["tensor"] != "total"),
                           key=lambda name: ([part for part in name.split(".") if not part.isdigit()], name))
            at = {name: i for i, name in enumerate(names)}
            for i, method in enumerate(dict.fromkeys(row["method"] for row in chosen)):
                own = [row for row in chosen if row["method"] == method]
                total = next(row for row in own if row["tensor"] == "total")
                points = sorted((at[row["tensor"]], row["relative_error"]) for row in own if row["tensor"] != "total")
                axes.plot(*zip(*points, strict=True), color=_COLOURS[i % 6], marker=_MARKERS[i % 6], markersize=2,
                          linewidth=0.8, linestyle=_LINES[i % 6],
                          label=f"{method}: {total['relative_error']:.4f} at {total['bits_per_weight']:.2f} bits")
            axes.set_title(f"{model}, {bits} bits", fontsize=10)
            axes.set_xlabel(f"{len(names)} tensors, same kinds side by side")
            axes.set_ylabel("relative error")
            axes.set_yscale("log")
            axes.grid(axis="y", which="both", linewidth=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.savefig(path, dpi=150)


def explore_chart(rows: list[Row], title: str, path: Path) -> None:
    """Error of every format against its bits per weight; the best of each kind of weights joined by a line, beside
    the least error that any code can have on Gaussian weights, 2**-bits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    sources = list(dict.fromkeys(row["weights"] for row in rows))
    for i, name in enumerate(sources):
        own = [row for row in rows if row["weights"] == name]
        best = sorted((row["bits_per_weight"], row["relative_error"], row["format"]) for row in own if row["best"])
        axes.scatter([row["bits_per_weight"] for row in own], [row["relative_error"] for row in own], s=10,
                     color=_COLOURS[i % 6], marker=_MARKERS[i % 6], alpha=0.4)
        axes.plot([point[0] for point in best], [point[1] for point in best], color=_COLOURS[i % 6],
                  marker=_MARKERS[i % 6], linestyle=_LINES[i % 6], label=f"{name}: best of each width")
        if i == 0:
            for bits, error, label in best:
                axes.annotate(label, (bits, error), fontsize=7, xytext=(6, -10), textcoords="offset points")
    widths = sorted({row["bits_per_weight"] for row in rows})
    axes.plot(widths, [2.0**-bits for bits in widths], color="black", linewidth=0.8, linestyle=":",
              label="no code is better on Gaussian weights: 2^-bits")
    axes.set_yscale("log")
    axes.set_xlabel("bits per weight")
    axes.set_ylabel("relative error")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", which="both", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)

"""Key figures of reports, which the head of the page shows. Rows are records of JSON, perhaps of another version."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Tile", "exactness", "tiles"]


@dataclass(frozen=True)
class Tile:
    """One figure: its value, what it is, where it comes from, and whether it misses what was wanted."""

    value: str
    label: str
    source: str = ""
    bad: bool = False


def _speedups(rows: list[dict[str, Any]]) -> list[Tile]:
    """Return the speed-up of the largest layer that was simulated, in both of SeedLM's formats."""
    found = []
    for name in ("seedlm4", "seedlm3"):
        own = [row for row in rows if row["matrix"] == "layer" and row["format"] == name and row["speedup"] is not None
               and row["source"] == "rtl"]
        if own:
            best = max(own, key=lambda row: row.get("weights") or 0)
            model = best.get("model") or "a checkpoint"
            found.append(Tile(f"{best['speedup']:.3f} times", f"as fast as FP16: {name}, a layer of {model}, "
                              f"{best['memory']}", str(best["source"])))
    return found


def _area(rows: list[dict[str, Any]]) -> list[Tile]:
    """Return the LUTs of the smallest engine of 4 bits, beside the paper's."""
    whole = [row for row in rows if row["block"] == "total"]
    own = [row for row in whole if row["source"] != "published" and row["engine"].startswith("seedlm4")]
    if not own:
        return []
    least = min(own, key=lambda row: row["lut"])
    paper = "".join(f"; the paper, of unknown extent: {row['lut']:,}" for row in whole if row["source"] == "published")
    return [Tile(f"{least['lut']:,} LUTs", f"{least['engine']}, {least['bus_bits']} bits a cycle{paper}",
                 str(least["source"]))]


def _fmax(rows: list[dict[str, Any]]) -> list[Tile]:
    """Return the highest clock of every configuration that was routed."""
    return [Tile(f"{row['fmax_mhz']:.1f} MHz", f"{row['config']}, placed and routed on ECP5; target "
                 f"{row['target_mhz']:g} MHz", bad=not row["met"]) for row in rows if row["routed"]]


_BY_KIND = {"sweep": _speedups, "sim": _speedups, "area": _area, "pnr": _fmax}


def tiles(kind: str, rows: list[dict[str, Any]]) -> list[Tile]:
    """Return key figures of the reports of one kind."""
    return _BY_KIND[kind](rows) if kind in _BY_KIND else []


def exactness(rows: list[dict[str, Any]]) -> list[Tile]:
    """Return how many of all results equal golden's, if any was compared."""
    compared = [row["bit_exact"] is True for row in rows if row.get("bit_exact") is not None]
    return [Tile(f"{sum(compared):,} of {len(compared):,}", "results equal golden's, bit for bit",
                 bad=not all(compared))] if compared else []

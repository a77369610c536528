"""The plots of the report. Here because matplotlib is in the environment of the peers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]

OURS = "#d62728"
OTHERS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
# Loads of rows that are there already: nothing else does that, and they leave the scale.
REPLAYS = ("ours, none new", "ours, 1 %")
GIGABYTE = 1e9


@dataclass(frozen=True)
class Plot:
    """What one plot shows of a subject's records: a line for each contender."""

    title: str
    subject: str
    case: str | None
    value: Callable[[Record], float | None]
    across: str = "rows"
    scale: str = "linear"


def draw(path: str) -> Callable[[], int]:
    """Draw every plot for which there are results, beside their file; the work returns how many."""
    import matplotlib as mpl

    mpl.use("agg")
    file = Path(path)

    def work() -> int:
        records: dict[str, list[Record]] = json.loads(file.read_text())["records"]
        drawn = 0
        for name, plot in PLOTS.items():
            if shown := _shown(plot, records.get(plot.subject, [])):
                _lines(plot, shown).savefig(file.with_name(f"{file.stem}-{name}.png"), dpi=110)
                drawn += 1
        return drawn

    return work


def _shown(plot: Plot, records: list[Record]) -> list[Record]:
    of_case = [one for one in records if plot.case is None or one["case"] == plot.case]
    return [one for one in of_case if not one["contender"].startswith(REPLAYS)]


def _lines(plot: Plot, records: list[Record]) -> Any:
    """Return a figure with a line for each contender; the first of ours stands out."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    colours = iter(OTHERS * 3)
    for name in dict.fromkeys(record["contender"] for record in records):
        ours = name.startswith("ours")
        axes.plot(
            *zip(*_points(plot, records, name), strict=True),
            marker="o",
            linewidth=2.5 if ours else 1.2,
            color=OURS if ours else next(colours),
            label=name,
        )
    axes.set(title=plot.title, xlabel=plot.across, xscale="log", yscale=plot.scale)
    if plot.scale == "linear":
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _points(plot: Plot, records: list[Record], contender: str) -> list[tuple[int, float]]:
    mine = [record for record in records if record["contender"] == contender]
    pairs = [(record["rows"], plot.value(record)) for record in mine]
    return sorted((rows, value) for rows, value in pairs if value is not None)


def _speed(record: Record) -> float | None:
    return float(record["rows"] / record["seconds"]["median"])


def _seconds(record: Record) -> float | None:
    return float(record["seconds"]["median"])


def _cpu(record: Record) -> float | None:
    return float(record["cpu"]["median"])


def _peak(record: Record) -> float | None:
    return record["peak"]["max"] / GIGABYTE if record["peak"] else None


PLOTS = {
    "extract": Plot("extract: rows a second", "extract", None, _speed),
    "load-constrained": Plot(
        "load with foreign keys: rows a second", "load", "constrained", _speed
    ),
    "load-unconstrained": Plot(
        "load without foreign keys: rows a second", "load", "unconstrained", _speed
    ),
    "end-to-end": Plot(
        "end to end without foreign keys: rows a second", "end-to-end", "unconstrained", _speed
    ),
    "memory": Plot("peak memory of each function, GB", "growth", "rows", _peak),
    "seconds": Plot(
        "seconds of each function, no foreign keys", "growth", "rows", _seconds, scale="log"
    ),
    "history": Plot(
        "load: seconds against history", "growth", "history", _seconds, "records of each order"
    ),
    "log": Plot("an idle call, warm: CPU seconds", "log", "warm", _cpu, "batches in the log"),
}

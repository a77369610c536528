"""The plots of the report. Here because matplotlib is in the environment of the peers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Record = dict[str, Any]

OURS = "#d62728"
OTHERS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
# Loads of rows that are there already: nothing else does that, and they leave the scale.
REPLAYS = ("ours, none new", "ours, 1 %")
GIGABYTE = 1e9


def draw(path: str) -> Callable[[], int]:
    """Draw every plot for which there are results, beside their file; the work returns how many."""
    import matplotlib as mpl

    mpl.use("agg")
    file = Path(path)

    def work() -> int:
        records: dict[str, list[Record]] = json.loads(file.read_text())["records"]
        plots = {
            "extract": _lines(_case(records, "extract"), "extract: rows a second", _speed),
            "load-constrained": _lines(
                _case(records, "load", "constrained"),
                "load with foreign keys: rows a second",
                _speed,
            ),
            "load-unconstrained": _lines(
                _case(records, "load", "unconstrained"),
                "load without foreign keys: rows a second",
                _speed,
            ),
            "end-to-end": _lines(
                _case(records, "end-to-end", "unconstrained"),
                "end to end without foreign keys: rows a second",
                _speed,
            ),
            "memory": _lines(_case(records, "growth", "rows"), "peak memory (GB)", _peak),
            "seconds": _lines(_case(records, "growth", "rows"), "seconds", _seconds, log=True),
            "history": _lines(
                _case(records, "growth", "history"),
                "seconds, by records of each order",
                _seconds,
                across="records of each order",
            ),
            "log": _lines(
                _case(records, "growth-of-log", "log, warm"),
                "CPU seconds of an idle call",
                _cpu,
                across="batches in the log",
            ),
        }
        drawn = {name: plot for name, plot in plots.items() if plot is not None}
        for name, figure in drawn.items():
            figure.savefig(file.with_name(f"{file.stem}-{name}.png"), dpi=110)
        return len(drawn)

    return work


def _lines(
    records: list[Record],
    title: str,
    value: Callable[[Record], float | None],
    *,
    across: str = "rows",
    log: bool = False,
) -> Any:
    """Return a figure with a line for each contender; None when there is nothing to show."""
    import matplotlib.pyplot as plt

    if not records:
        return None
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    colours = iter(OTHERS * 3)
    for name in dict.fromkeys(record["contender"] for record in records):
        points = [
            (record["rows"], shown)
            for record in records
            if record["contender"] == name and (shown := value(record)) is not None
        ]
        ours = name.startswith("ours")
        axes.plot(
            *zip(*sorted(points), strict=True),
            marker="o",
            linewidth=2.5 if ours else 1.2,
            color=OURS
            if name in ("ours", "ours, all new", "ours, three functions")
            else next(colours),
            label=name,
        )
    axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(across)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def _case(records: dict[str, list[Record]], subject: str, case: str | None = None) -> list[Record]:
    found = records.get(subject, [])
    return [
        record
        for record in found
        if case is None or (record["case"] == case and not record["contender"].startswith(REPLAYS))
    ]


def _speed(record: Record) -> float | None:
    return float(record["rows"] / record["seconds"]["median"])


def _seconds(record: Record) -> float | None:
    return float(record["seconds"]["median"])


def _cpu(record: Record) -> float | None:
    return float(record["cpu"]["median"])


def _peak(record: Record) -> float | None:
    return record["peak"]["max"] / GIGABYTE if record["peak"] else None

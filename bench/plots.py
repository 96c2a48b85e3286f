"""The curves as SVG, by pygal, in the benchmark's own environment: `python -m bench.plots FOLDER` draws what figures.json there holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pygal

CURVES = {
    "preview": ("A preview without a change, by nodes", "nodes"),
    "facts": ("Facts of all machines, by machines", "machines"),
}


def draw(folder: Path) -> None:
    """One plot a kind of figure that has a curve: seconds, least to most as points."""
    found = json.loads((folder / "figures.json").read_text())
    about = found["about"]
    for name, (title, by) in CURVES.items():
        figures = [figure for figure in found["figures"] if figure["name"].split(":")[0] == name and figure["of"]]
        if not figures:
            continue
        _chart(figures, "seconds", f"{title}: seconds\n{about['processor']}, {about['date']}", by).render_to_file(
            str(folder / f"{name}.svg")
        )
        if any(figure["memory"] for figure in figures):
            _chart(figures, "memory", f"{title}: peak of all processes in MiB", by).render_to_file(
                str(folder / f"{name}-memory.svg")
            )


def _chart(figures: list[dict[str, Any]], key: str, title: str, by: str) -> Any:
    # js: nothing from elsewhere is loaded
    chart = pygal.XY(title=title, x_title=by, js=(), no_prefix=True, include_x_axis=True, legend_at_bottom=True, width=900)
    chart.uuid = f"chart-{key}"  # drawn at random otherwise, which would change the file without a change of the figures
    series: dict[str, list[tuple[float, float]]] = {}
    for figure in figures:
        value = figure[key]["median"] if isinstance(figure[key], dict) else figure[key]
        if value is not None:
            series.setdefault(figure["name"].partition(":")[2] or "sealos-istio", []).append((figure["of"], value))
    for label, points in series.items():
        chart.add(label, sorted(points))
    return chart


if __name__ == "__main__":
    draw(Path(sys.argv[1]))

"""The table: as text, as JSON beside the code, and against the one that was committed last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isnan, nan
from pathlib import Path

import orjson

from tests.benchmark.quality.figures import BUDGET, MEASURES, MORE, Figure, Measure

COMMITTED = Path(__file__).with_name("table.json")

Table = dict[str, dict[str, dict[str, Figure]]]
"""Figures by group, architecture and name."""


def read(path: Path) -> Table:
    """Return the table in a file; an empty one if there is none."""
    groups = orjson.loads(path.read_bytes()) if path.exists() else {}
    return {
        group: {
            architecture: {name: _figure(values) for name, values in figures.items()}
            for architecture, figures in columns.items()
        }
        for group, columns in groups.items()
    }


def _figure(values: dict[str, float | None]) -> Figure:
    return Figure(**({"value": nan} | {name: nan if one is None else one for name, one in values.items()}))


def write(table: Table, path: Path) -> None:
    """Write a table; what cannot be said is left out."""
    groups = {
        group: {
            architecture: {name: _values(one) for name, one in figures.items()}
            for architecture, figures in columns.items()
        }
        for group, columns in table.items()
    }
    path.write_bytes(orjson.dumps(groups, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def _values(figure: Figure) -> dict[str, float]:
    return {name: float(f"{value:.5g}") for name, value in asdict(figure).items() if not isnan(value)}


def text(table: Table, architectures: Sequence[str]) -> str:
    """Return the rows of the groups that were measured.

    Each column has the figure, of a rate its 95 % interval, and `*` where the bar is met. `random` is what
    chance reaches in the place of the first of the architectures.
    """
    head = f"{'':10}{'':42}" + "".join(f"{one:>24}" for one in architectures) + f"{'random':>9}  bar"
    lines = [head]
    for measure in MEASURES:
        if measure.group in table:
            of = [table[measure.group].get(one, {}).get(measure.name, Figure(nan)) for one in architectures]
            cells = "".join(f"{_cell(measure, one):>24}" for one in of)
            control = "-" if isnan(of[0].control) else format(of[0].control, measure.form)
            lines.append(f"{measure.group:10}{measure.name:42}{cells}{control:>9}  {_bar(measure)}")
    return "\n".join(lines)


def _cell(measure: Measure, figure: Figure) -> str:
    if isnan(figure.value):
        return "- "
    bounds = "" if isnan(figure.low) else f" ({figure.low:{measure.form}} to {figure.high:{measure.form}})"
    return f"{figure.value:{measure.form}}{bounds}{'*' if measure.met(figure) else ' '}"


def _bar(measure: Measure) -> str:
    if measure.bar is None:
        return ""
    if measure.better == BUDGET:
        return f"1, within a factor of {measure.bar:g}" + (", by its interval" if measure.interval else "")
    return f"{'at least' if measure.better == MORE else 'at most'} {measure.bar:g}"


def differences(now: Table, then: Table, architectures: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Yield what has changed in what was measured: whether it is worse by more than the spread, and how."""
    for measure in MEASURES:
        for architecture in architectures:
            old, new = (
                one.get(measure.group, {}).get(architecture, {}).get(measure.name, Figure(nan))
                for one in (then, now)
            )
            if measure.group in now and _rounded(measure, old) != _rounded(measure, new):
                said = f"{_rounded(measure, old)} -> {_rounded(measure, new)}"
                worse = measure.worse(new, old)
                spread = f"  worse by more than {measure.spread:g}" if worse else ""
                yield worse, f"{measure.group}, {architecture}: {measure.name}: {said}{spread}"


def _rounded(measure: Measure, figure: Figure) -> str:
    return "-" if isnan(figure.value) else format(figure.value, measure.form)

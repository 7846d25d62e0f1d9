"""The picture of one event or alarm: the score with its edge, the leading signals observed and expected.

SVG, because it is sharp at every size, a fifth of a picture in points, and needs no script to be looked at: a
report is a file that can be mailed, archived and opened in ten years.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.evaluate.traces import Trace
from detector.stream.definition import Definition
from detector.stream.nouns import Doubles, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS_MAX = 400
"""Steps that a line shows one by one. Of more it shows the lowest and highest of neighbours: a screen tells
no more apart, and a file stays small."""
SCORE_MIN = 0.02
"""Where the axis of the score, a logarithmic one, ends: below, all is calm."""
EVENT, ALARM, EDGE, EXPECTED, OBSERVED = "#f2a33a", "#4c8bf5", "#d03b3b", "#2a9d5c", "#1c2733"
WIDTH_INCHES, SCORE_INCHES, SIGNAL_INCHES, MARGIN_INCHES = 9.6, 1.4, 0.85, 0.55
STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.5,
    "svg.fonttype": "none",  # text stays text, in the fonts of who reads it
    "svg.hashsalt": "detector",
    "text.parse_math": False,  # a signal may have a dollar in its name
}
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
PATH, DECIMALS = re.compile(r' d="[^"]*"'), re.compile(r"(\.\d)\d+")
UNITS_S = (
    *(count * 1.0 for count in (1, 2, 5, 10, 15, 30)),
    *(count * MINUTE_S for count in (1, 2, 5, 10, 15, 30)),
    *(count * HOUR_S for count in (1, 2, 3, 6, 12)),
    *(count * DAY_S for count in (1, 2, 7, 14, 30, 90, 365, 3650)),
)
"""What may lie between two ticks of the time."""
TICKS_MAX = 12


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: spans of events and alarms in seconds, and the signals by index with their shares."""

    trace: Trace
    events: Sequence[tuple[float, float]]
    alarms: Sequence[tuple[float, float]]
    leading: Sequence[tuple[int, float]]


def svg(picture: Picture, definition: Definition) -> str:
    """Return a picture as SVG."""
    return as_svg(lambda: draw(picture, definition))


def as_svg(make: Callable[[], Figure]) -> str:
    """Return the figure that `make` returns as SVG; the same one gives the same text."""
    from matplotlib import rc_context  # noqa: PLC0415 -- takes half a second, and only reports need it

    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context(STYLE):
        make().savefig(file, format="svg", metadata=nothing)
    # A tenth of a point is finer than a screen; it halves the file.
    return PATH.sub(lambda path: DECIMALS.sub(r"\1", path[0]), file.getvalue().replace("\n", " "))


def draw(picture: Picture, definition: Definition) -> Figure:
    """Return a picture as a figure, which nothing global of matplotlib knows of."""
    from matplotlib.figure import Figure  # noqa: PLC0415 -- see above

    count = len(picture.leading)
    height = SCORE_INCHES + SIGNAL_INCHES * count + MARGIN_INCHES
    figure = Figure((WIDTH_INCHES, height))
    ratios = [SCORE_INCHES, *[SIGNAL_INCHES] * count]
    axes = figure.subplots(count + 1, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    bottom, top = 0.6 * MARGIN_INCHES / height, 1.0 - 0.4 * MARGIN_INCHES / height
    figure.subplots_adjust(left=0.08, right=0.99, bottom=bottom, top=top, hspace=0.32)
    _draw_score(axes[0], picture.trace, definition.step_s)
    for axis, (signal, share) in zip(axes[1:], picture.leading, strict=True):
        _draw_signal(axis, picture.trace, definition, signal, share)
    for axis in axes:
        _shade(axis, picture, definition.step_s)
        axis.tick_params(length=2, width=0.5)
    _time_axis(axes[-1], picture.trace, definition.step_s)
    return figure


def _draw_score(axis: Axes, trace: Trace, step_s: float) -> None:
    axis.set_title("score; above 1.0 is beyond the edge of normal", loc="left", pad=2)
    axis.set_yscale("log")
    axis.axhline(1.0, color=EDGE, linewidth=0.9, linestyle=(0, (4, 2)))
    _line(axis, np.asarray(trace.step * step_s, np.float64), np.fmax(trace.score, SCORE_MIN), color=OBSERVED)
    highest = float(np.fmax.reduce(trace.score, initial=1.0))
    axis.set_ylim(SCORE_MIN * 0.9, max(2.0 * highest, 3.0))
    decades = [10.0**power for power in range(-1, ceil(log10(max(2.0 * highest, 3.0))))]
    axis.set_yticks(decades, [f"{decade:g}" for decade in decades])
    axis.minorticks_off()


def _draw_signal(axis: Axes, trace: Trace, definition: Definition, index: int, share: float) -> None:
    signal = definition.signals[index]
    a_second = signal.kind == "counter" and not signal.unit
    unit = f" ({signal.unit})" if signal.unit else " (a second)" if a_second else ""
    axis.set_title(f"{signal.name}{unit}: {share:.0%} of the score", loc="left", pad=2)
    time_s = np.asarray(trace.step * definition.step_s, np.float64)
    _line(axis, time_s, trace.expected[:, index], color=EXPECTED)
    _line(axis, time_s, trace.observed[:, index], color=OBSERVED)
    axis.margins(y=0.12)


def _line(axis: Axes, time_s: Doubles, value: Floats, color: str) -> None:
    # A step on its own, between two without a value, is a line of no length: hence the marker.
    alone = np.isnan(np.append(value[1:], np.nan)) & np.isnan(np.append(np.nan, value[:-1]))
    axis.plot(*_thinned(time_s, value), color=color, linewidth=0.9, solid_joinstyle="round")
    axis.plot(time_s[alone], value[alone], ".", color=color, markersize=2)


def _thinned(time_s: Doubles, value: Floats) -> tuple[Doubles, Floats]:
    """Return a line of `COLUMNS_MAX` columns, the lowest and the highest of each."""
    if len(value) <= COLUMNS_MAX:
        return time_s, value
    begin = np.linspace(0, len(value), COLUMNS_MAX, endpoint=False).astype(np.int64)
    low, high = np.fmin.reduceat(value, begin), np.fmax.reduceat(value, begin)
    return np.repeat(time_s[begin], 2), np.stack([low, high], axis=1).ravel()


def _shade(axis: Axes, picture: Picture, step_s: float) -> None:
    """Shade what events and alarms cover; a step covers the time before it, down to the last."""
    for spans, color in ((picture.events, EVENT), (picture.alarms, ALARM)):
        for start_s, end_s in spans:
            axis.axvspan(start_s - step_s, end_s, color=color, alpha=0.22, linewidth=0)


def _time_axis(axis: Axes, trace: Trace, step_s: float) -> None:
    first_s, last_s = float(trace.step[0] * step_s), float(trace.step[-1] * step_s)
    axis.set_xlim(first_s - step_s, last_s)
    unit_s = next(unit_s for unit_s in UNITS_S if (last_s - first_s) / unit_s <= TICKS_MAX)
    ticks = np.arange(np.ceil(first_s / unit_s), last_s // unit_s + 1) * unit_s
    axis.set_xticks(ticks, [_clock(tick, unit_s) for tick in ticks.tolist()])


def _clock(time_s: float, unit_s: float) -> str:
    when = datetime.fromtimestamp(time_s, UTC)
    if unit_s >= DAY_S or when.hour + when.minute + when.second == 0:
        return f"{when:%Y-%m-%d}"
    return f"{when:%H:%M:%S}" if unit_s < MINUTE_S else f"{when:%H:%M}"

"""The pictures of a training's report, as SVG, drawn from the figures of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.evaluate.plots import (
    ALARM,
    EDGE,
    EVENT,
    EXPECTED,
    OBSERVED,
    SCORE_MIN,
    WIDTH_INCHES,
    as_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOW, HIGH = 2.0, 2.6
SIGNAL_INCHES = 0.85
BAR_INCHES = 0.2
SIGNALS_MAX = 40
"""Signals that the picture of errors shows, those that err most."""
TICKS = 8


def courses(told: Mapping[str, Any]) -> str:
    """Return the loss of each epoch, and the held-out one."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        epochs = np.arange(1, len(told["loss"]) + 1)
        axis.plot(epochs, told["loss"], color=OBSERVED, linewidth=1, label="training")
        axis.plot(epochs, told["held_out_loss"], color=EXPECTED, linewidth=1, label="held out")
        best = int(np.argmin(told["held_out_loss"]))
        axis.plot(epochs[best], told["held_out_loss"][best], "o", color=EXPECTED, markersize=4)
        axis.set_xlabel("epoch")
        axis.set_title("loss; the dot is what was kept", loc="left")
        axis.legend(frameon=False)

    return _svg(draw, HIGH)


def candidates(of: Sequence[Mapping[str, Any]], chosen: str) -> str:
    """Return what each candidate found: a dot a fold, a bar for the mean; `chosen` is the name of one."""
    names = [one["name"] for one in of]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for place, one in enumerate(of):
            color = EXPECTED if one["name"] == chosen else OBSERVED if one["finished"] else "#9aa5b1"
            axis.plot(one["found_ratio"], [place] * len(one["found_ratio"]), ".", color=color, markersize=4)
            axis.plot(
                [np.mean(one["found_ratio"])], [place], "|", color=color, markersize=11, markeredgewidth=2
            )
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(axis="y", color="#8883", linewidth=0.5)
        axis.set_title("share of the injected faults that is found, fold by fold", loc="left")

    return _svg(draw, 0.6 + BAR_INCHES * len(names))


def errors(of: Sequence[Mapping[str, Any]]) -> str:
    """Return how well each signal is expected: the mean error, and what one step in a hundred is beyond."""
    shown = sorted(of, key=lambda one: -one["error_p99"])[:SIGNALS_MAX]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        place = np.arange(len(shown))
        axis.barh(place, [one["error_p99"] for one in shown], color="#c9d4df", height=0.7)
        axis.barh(place, [one["error_mean"] for one in shown], color=OBSERVED, height=0.7)
        axis.set_yticks(place, [one["name"] for one in shown])
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.set_title("error in robust deviations: mean, and what one step in 100 is beyond", loc="left")

    return _svg(draw, 0.6 + BAR_INCHES * len(shown))


def scores(told: Mapping[str, Any]) -> str:
    """Return the median and the highest score of all entities over the time."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        _logarithmic(axis, "y")
        time_s = told["time_s"]
        axis.fill_between(
            time_s, *(np.fmax(told[name], SCORE_MIN) for name in ("median", "highest")), color="#c9d4df"
        )
        axis.plot(time_s, np.fmax(told["median"], SCORE_MIN), color=OBSERVED, linewidth=0.9)
        axis.axhline(1.0, color=EDGE, linewidth=0.9, linestyle=(0, (4, 2)))
        axis.set_title("median and highest score of all entities; above 1.0 is beyond the edge", loc="left")
        _times(axis, time_s)

    return _svg(draw, LOW)


def tail(told: Mapping[str, Any]) -> str:
    """Return how many episodes a week of an entity begin beyond which score, and what was fitted to it."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        _logarithmic(axis, "y")
        _logarithmic(axis, "x")
        counts = [one or np.nan for one in told["episodes_a_week"]]
        axis.plot(told["score"], counts, ".", color=OBSERVED, markersize=4, label="training data")
        fitted = told["fitted_score"], told["fitted_episodes_a_week"]
        axis.plot(*fitted, color=EXPECTED, linewidth=1, label="fitted tail")
        axis.axvline(1.0, color=EDGE, linewidth=0.9, linestyle=(0, (4, 2)), label="edge of normal")
        axis.axhline(told["budget"], color=EDGE, linewidth=0.5)
        axis.set_xlabel("score")
        axis.set_title("episodes an entity and week that begin beyond a score", loc="left")
        axis.legend(frameon=False)

    return _svg(draw, HIGH)


def window(told: Mapping[str, Any]) -> str:
    """Return a stretch of an entity: its score, and the leading signals observed and expected."""
    signals = told["signals"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots(len(signals) + 1, 1, sharex=True, squeeze=False)[:, 0]
        _logarithmic(axes[0], "y")
        axes[0].plot(told["time_s"], np.fmax(told["score"], SCORE_MIN), color=OBSERVED, linewidth=0.9)
        axes[0].axhline(1.0, color=EDGE, linewidth=0.9, linestyle=(0, (4, 2)))
        axes[0].set_title("score", loc="left", pad=2)
        for axis, signal in zip(axes[1:], signals, strict=True):
            for name, color in (("expected", EXPECTED), ("observed", OBSERVED)):
                line = np.array([np.nan if one is None else one for one in signal[name]])
                axis.plot(told["time_s"], line, color=color, linewidth=0.9)
            axis.set_title(signal["name"], loc="left", pad=2)
        for axis in axes:
            axis.axvline(told["judged_s"], color=ALARM if told["what"] == "worst" else EVENT, linewidth=0.7)
            axis.tick_params(length=2, width=0.5)
        _times(axes[-1], told["time_s"])

    return _svg(draw, 0.5 + SIGNAL_INCHES * (len(signals) + 1))


def _logarithmic(axis: Axes, which: str) -> None:
    """Make an axis logarithmic, with numbers that a person writes."""
    axis.set(**{f"{which}scale": "log"})
    of = axis.xaxis if which == "x" else axis.yaxis
    of.set_major_formatter(lambda value, _: f"{value:g}")
    of.set_minor_formatter(lambda *_: "")


def _times(axis: Axes, time_s: Sequence[float]) -> None:
    ticks = np.linspace(time_s[0], time_s[-1], TICKS)
    days = time_s[-1] - time_s[0] > 2 * 86_400.0
    said = [f"{datetime.fromtimestamp(one, UTC):{'%m-%d %H:%M' if days else '%H:%M:%S'}}" for one in ticks]
    axis.set_xticks(ticks, said)
    axis.set_xlim(time_s[0], time_s[-1])


def _svg(draw: Callable[[Figure], None], height: float) -> str:
    def make() -> Figure:
        from matplotlib.figure import Figure  # noqa: PLC0415 -- takes half a second, and only reports need it

        figure = Figure((WIDTH_INCHES, height), layout="constrained")
        draw(figure)
        return figure

    return as_svg(make)

"""What a dataset looks like, said as a stream's definition, for when nobody has written one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field

from detector.edge.recording import recorded_of
from detector.message_settings import Part, SignalSettings
from detector.stream.definition import REFRESH_STEPS, SILENCE_AUTO, Definition, Signal
from detector.stream.nouns import Doubles, Ints
from detector.train.dataset import Dataset, DatasetError

WINDOW_STEPS = 32
WRAP_32 = 2.0**32
SEEN_MIN = 0.001
"""A column that fewer of the records have is nearly empty."""
FALLS_MAX = 0.01
"""A column that falls in more than this share of its steps is no counter; a wrap is no fall."""
RISES_MIN = 0.05
"""A gauge that rises in fewer of its steps than this share may well never have fallen by chance,"""
RISES_COUNT_MIN = 20
"""and so may one that rose in fewer than so many: by chance once in a million."""


NOT_IN_THE_DATA = "# not in the data: change it to what your agents publish"
NO_KINDS = """\
# This recording holds rates and does not say which signals are counters in the messages, nor how they are
# scaled. Say so here, and train with --stream: the daemon refuses a bundle of gauges for counters."""

Positive = Annotated[float, Field(gt=0)]


class Recorded(Part):
    """What a recording says of its stream, see `edge.recording`; an old one knows less."""

    model_config = ConfigDict(extra="ignore")

    stream: str
    step_s: Positive
    signals: list[str]
    window_steps: int = Field(WINDOW_STEPS, ge=4)
    refresh_s: float | None = Field(None, ge=0)
    definitions: dict[str, SignalSettings] = Field({})


def infer(dataset: Dataset, name: str, recorded: Recorded | None = None) -> Definition:
    """Return a definition: text columns are the entity, never-falling ones counters, the rest gauges.

    Args:
        dataset: The data.
        name: Of the stream.
        recorded: What a recording says of its stream; it goes before what the data looks like.

    Raises:
        DatasetError: There is no signal, or no two records of an entity to tell a step from.
    """
    if not dataset.column:
        raise DatasetError("no numeric column: nothing to learn from")
    recorded = recorded or Recorded(stream=name, step_s=_step_s(dataset), signals=[])
    step_s = recorded.step_s
    # Recordings of several definitions may be read together: what only others have comes last.
    names = dict.fromkeys([*recorded.signals, *dataset.column])
    said = {name: settings.signal(name) for name, settings in recorded.definitions.items()}
    signals = tuple(
        said.get(column) or _signal(dataset, column) for column in names if column in dataset.column
    )
    return Definition(
        name=name,
        entity=dataset.labels,
        signals=signals,
        step_s=step_s,
        window_steps=recorded.window_steps,
        lateness_s=step_s,
        refresh_s=REFRESH_STEPS * step_s if recorded.refresh_s is None else recorded.refresh_s,
        silence_s=SILENCE_AUTO,
        expire_s=86400.0,
    )


def useful(dataset: Dataset, definition: Definition) -> tuple[Definition, list[str], list[str]]:
    """Return a definition without the signals that are hardly ever seen, and those that never change.

    Whoever wants to be told of their first change names them in the settings; a definition that nobody wrote
    is better without. Where nothing is left, all are kept.
    """
    columns = {name: dataset.column[name] for name in definition.signal_names}
    seen = {name: np.isfinite(values) for name, values in columns.items()}
    rare = [name for name in columns if seen[name].mean() < SEEN_MIN]
    still = [
        name
        for name, values in columns.items()
        if name not in rare and not _differences(dataset.entity[seen[name]], values[seen[name]]).any()
    ]
    kept = tuple(signal for signal in definition.signals if signal.name not in {*rare, *still})
    return (replace(definition, signals=kept), rare, still) if kept else (definition, [], [])


def _step_s(dataset: Dataset) -> float:
    spacing = _differences(dataset.entity, dataset.time_s)
    spacing = spacing[spacing > 0]
    if not len(spacing):
        raise DatasetError("no entity has two records: the step cannot be told")
    return float(np.format_float_positional(np.median(spacing), precision=3, fractional=False, trim="-"))


class _Course(NamedTuple):
    """How often a column rises and falls, in how many steps, and whether it may be a count at all."""

    rises: float
    falls: float
    steps: int
    positive: bool


def _course(dataset: Dataset, name: str) -> _Course:
    values = dataset.column[name]
    seen = np.isfinite(values)
    difference = _differences(dataset.entity[seen], values[seen])
    wraps = (difference > -WRAP_32) & (difference < -WRAP_32 / 2)
    falls, steps = (difference < 0) & ~wraps, max(len(difference), 1)
    positive = not (values[seen] < 0).any()
    return _Course(float((difference > 0).sum()) / steps, float(falls.sum()) / steps, steps, positive)


def _signal(dataset: Dataset, name: str) -> Signal:
    course = _course(dataset, name)
    counts = course.positive and course.rises > 0 and course.falls <= FALLS_MAX
    return Signal(name, kind="counter" if counts and not dataset.rates else "gauge", field=name)


def doubts(dataset: Dataset, definition: Definition, recorded: Recorded | None = None) -> Iterator[str]:
    """Say which signals do not look like the kind that the definition gives them.

    Args:
        dataset: The data.
        definition: The stream.
        recorded: What a recording says of its stream. It holds rates of what was a counter then, so only what
            was a gauge can be looked at.
    """
    kinds = {signal.name: signal.kind for signal in definition.signals if signal.name in dataset.column}
    if dataset.rates:
        was = recorded.definitions if recorded else {}
        yield from _doubts_of_recorded(dataset, kinds, {name: one.kind for name, one in was.items()})
        return
    courses = {name: _course(dataset, name) for name in kinds}
    growing = [name for name, course in courses.items() if kinds[name] == "gauge" and _grows(course)]
    falling = [
        f"{name} ({course.falls:.0%})"
        for name, course in courses.items()
        if kinds[name] == "counter" and course.falls > FALLS_MAX
    ]
    if growing:
        yield f"gauges that hardly ever fall; counters? {', '.join(growing)}"
    if falling:
        yield f"counters that fall, and in how many of their steps; gauges? {', '.join(falling)}"


def _doubts_of_recorded(dataset: Dataset, kinds: Mapping[str, str], was: Mapping[str, str]) -> Iterator[str]:
    others = [name for name, kind in kinds.items() if was.get(name, kind) != kind]
    growing = [
        name
        for name, kind in kinds.items()
        if kind == was.get(name) == "gauge" and _grows(_course(dataset, name))
    ]
    if others:
        yield f"recorded as another kind than the stream has now; record anew: {', '.join(others)}"
    if growing:
        yield (
            f"recorded as gauges that hardly ever fall; counters? {', '.join(growing)}; "
            'if so, set kind = "counter" and record anew'
        )


def _grows(course: _Course) -> bool:
    """Say whether values rise as a counter's do."""
    often = course.rises >= max(RISES_MIN, RISES_COUNT_MIN / course.steps)
    return course.positive and course.falls <= FALLS_MAX and often


def _differences(entity: Ints, values: Doubles) -> Doubles:
    """Return the differences between neighbours of the same entity, in time order."""
    order = np.argsort(entity, kind="stable")
    same = entity[order][1:] == entity[order][:-1]
    return np.asarray(np.diff(values[order])[same])


def as_toml(definition: Definition, *, kinds_known: bool = True) -> str:
    """Return the `[[streams]]` table of an inferred definition, with comments where it is a guess."""
    entity = ", ".join(f'"{label}"' for label in definition.entity)
    topic = "/".join(["telemetry", *(f"{{{label}}}" for label in definition.entity[:1]), definition.name])
    usual = definition.refresh_s == REFRESH_STEPS * definition.step_s
    lines = [
        "[[streams]]",
        f'name = "{definition.name}"',
        f'topic = "{topic}"  {NOT_IN_THE_DATA}',
        f'format = "{definition.format}"  {NOT_IN_THE_DATA}',
        f"entity = [{entity}]",
        f"step_s = {definition.step_s!r}",
        f"window_steps = {definition.window_steps}",
        *([] if usual else [f"refresh_s = {definition.refresh_s!r}"]),
        *([] if kinds_known else [NO_KINDS]),
        "[streams.signals]",
    ]
    lines += [f'"{signal.name}" = {{ {", ".join(_said(signal))} }}' for signal in definition.signals]
    return "\n".join(lines) + "\n"


def _said(signal: Signal) -> list[str]:
    """Return the keys and values of a signal in TOML: its kind, and what is not the default."""
    said = {"kind": signal.kind} | recorded_of(signal)
    return [f"{name} = {_toml(value)}" for name, value in said.items()]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)

"""What `detector train` says and asks: definition printed, progress shown, result named."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from detector.edge import recording
from detector.edge.calendar import CalendarError
from detector.model import bundle
from detector.model.design import AUTO, usual
from detector.planner import Planner
from detector.settings import Settings, SettingsError
from detector.stream.definition import Definition
from detector.train import dataset, infer
from detector.train.exclude import excluded
from detector.train.findings import findings
from detector.train.maintained import maintained
from detector.train.report import page
from detector.train.search import Candidate, Limits
from detector.train.select import Selection
from detector.train.timeline import Timeline
from detector.train.trainer import UNPROVEN, check, past_of, search, without_missing
from detector.train.trainer import train as train_bundle


def train(asked: argparse.Namespace, settings: Settings | None) -> int:
    """Train as the command line asked; return the exit code."""
    data, definition = prepare(asked.data, asked.stream, settings)
    talk = Console(stderr=True)
    wanted, found = len(definition.signals), len(without_missing(definition, data)[0].signals)
    signals = f"{wanted}" if found == wanted else f"{found} of {wanted}"
    talk.print(
        f"{len(data.time_s)} records of {len(data.entities)} entities, {signals} signals, "
        f"step {definition.step_s:g} s, window {definition.window_steps} steps"
    )
    data = _without_excluded(data, definition, asked.exclude)
    past = past_of(data, definition)
    for line in findings(past).lines():
        talk.print(line, highlight=False, soft_wrap=True)
    selection = None
    if asked.architecture == AUTO:
        selection = _search(asked, past, data, talk)
        design = selection.design
    else:
        design = usual(asked.architecture, found)
        if not design.is_baseline:
            talk.print(f"{design.architecture} {UNPROVEN}", highlight=False)
    with _bar(talk) as bar:
        task = bar.add_task(f"training {design.architecture}", total=asked.epochs, told="")

        def tell(epoch: int, epochs: int, loss: float, held_out: float) -> None:
            bar.update(task, completed=epoch, total=epochs, told=f"loss {loss:.4f}, held out {held_out:.4f}")

        version, fitted = train_bundle(
            data,
            past,
            asked.out,
            design,
            seed=asked.seed,
            epochs=asked.epochs,
            progress=tell,
            selection=selection,
        )
        epochs = fitted.metrics.get("epochs", 1.0)  # a baseline has none
        bar.update(task, completed=epochs, total=epochs)
    manifest = bundle.load(version).manifest
    if asked.report:
        asked.report.write_text(page(manifest), "utf-8")
    if asked.json:
        facts = {name: manifest.get(name) for name in ("architecture", "design", "selection", "held_out")}
        sys.stdout.write(orjson.dumps({"version": str(version), **facts}).decode() + "\n")
    else:
        print(version)  # noqa: T201 -- the result
    return 0


def _search(asked: argparse.Namespace, past: Timeline, data: dataset.Dataset, talk: Console) -> Selection:
    """Search for a design, and say what is found."""
    limits = Limits(asked.trials, asked.search_time, asked.jobs)
    with _bar(talk) as bar:
        task = bar.add_task("searching", total=1.0, told="")

        def tell(one: Candidate, share: float) -> None:
            bar.update(task, completed=share, told=f"{one.design.architecture} {one.found:.1%}")
            if one.finished:
                talk.print(f"{one.design}: {one.found:.1%} of the injected faults", highlight=False)

        selection = search(
            past,
            data,
            asked.out,
            among=asked.among,
            seed=asked.seed,
            epochs=asked.epochs,
            limits=limits,
            tell=tell,
        )
        bar.update(task, completed=1.0)
    talk.print(selection.why, highlight=False)
    return selection


def _bar(console: Console) -> Progress:
    """Return a bar with the time that is left, and a column `told`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def tell_unseen(data: dataset.Dataset, definition: Definition) -> None:
    """Name the signals that the data never has: they are misspelt, or nobody reports them."""
    _, empty = without_missing(definition, data)
    used = {column.name for column in definition.columns}
    unused = [name for name in data.column if name not in used]
    for what, names in (("never seen in this data", empty), ("in this data, and no signal", unused)):
        if names:
            print(f"{what}: {', '.join(names)}", file=sys.stderr)  # noqa: T201


def _tell_broken(data: dataset.Dataset) -> None:
    for problem in data.broken:
        print(f"left out, unreadable: {problem}", file=sys.stderr)  # noqa: T201


def _tell_doubts(data: dataset.Dataset, definition: Definition, recorded: infer.Recorded | None) -> None:
    for doubt in infer.doubts(data, definition, recorded):
        print(doubt, file=sys.stderr)  # noqa: T201


def prepare(
    paths: list[Path], name: str | None, settings: Settings | None
) -> tuple[dataset.Dataset, Definition]:
    """Read the data of a stream; infer and print its definition where the settings have none.

    Raises:
        SettingsError: The settings define no such stream, or several and none is named.
        DatasetError: The data does not do.
    """
    if settings is not None:
        definition = settings.stream(name).definition()
        data = dataset.read(paths, definition.entity)
        _tell_broken(data)
        check(data, definition)
        tell_unseen(data, definition)
        _tell_doubts(data, definition, metadata_of(data.files) if data.rates else None)
        return _without_maintenance(data, definition, settings), definition
    data = dataset.read(paths)
    _tell_broken(data)
    recorded = metadata_of(data.files) if data.rates else None
    name = name or (recorded.stream if recorded else paths[0].stem)
    definition, empty = without_missing(infer.infer(data, name, recorded), data)
    definition, rare, still = infer.useful(data, definition)
    for what, names in (("never seen", empty), ("hardly ever seen", rare), ("never changes", still)):
        if names:
            print(f"left out, {what}: {', '.join(names)}", file=sys.stderr)  # noqa: T201
    _tell_doubts(data, definition, recorded)
    kinds_known = not recorded or set(definition.signal_names) <= set(recorded.definitions)
    print(infer.as_toml(definition, kinds_known=kinds_known))  # noqa: T201 -- a result, ready for the settings
    return data, definition


def _without_maintenance(
    data: dataset.Dataset, definition: Definition, settings: Settings
) -> dataset.Dataset:
    """Leave out of the training what is of planned maintenance."""
    try:
        out = maintained(data, definition, Planner(settings.maintenance))
    except CalendarError as error:
        raise SettingsError(f"maintenance: {error}") from None
    if out.any():
        print(f"in maintenance, not learnt from: {out.sum()} records", file=sys.stderr)  # noqa: T201
    return replace(data, train=data.train & ~out)


def _without_excluded(data: dataset.Dataset, definition: Definition, files: list[Path]) -> dataset.Dataset:
    """Leave out of the training what files say."""
    out = excluded(data, definition, files)
    if files:
        print(f"excluded, not learnt from: {(out & data.train).sum()} records", file=sys.stderr)  # noqa: T201
    return replace(data, train=data.train & ~out)


def metadata_of(files: Sequence[Path]) -> infer.Recorded | None:
    """Return what the newest of some recordings says of its stream.

    Raises:
        DatasetError: It is of a later format, or makes no sense.
    """
    try:
        said = recording.read_metadata(files[-1])
        return None if said is None else infer.Recorded.model_validate(said)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise dataset.DatasetError(
            f"{files[-1]}: what the recording says of itself: {key}: {problem['msg']}"
        ) from None
    except ValueError as error:
        raise dataset.DatasetError(str(error)) from None

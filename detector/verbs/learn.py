"""train, score and evaluate: datasets in."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detector.arguments import OK, Verbs, above_zero, add_verb, cores, load_settings, natural, positive
from detector.model.design import ARCHITECTURES, AUTO, NETWORKS

if TYPE_CHECKING:
    from detector.model.bundle import Bundle
    from detector.planner import Planner
    from detector.stream.definition import Definition


def train(verbs: Verbs) -> None:
    parser = add_verb(verbs, "train", "Train a network on a dataset; add a version to a bundle.", _trained)
    parser.set_defaults(takes_settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; without, one is inferred")
    add = parser.add_argument
    what = "default: what a search finds to be best, a network only if it is better than pca and ewma"
    add("--architecture", default=AUTO, choices=[AUTO, *ARCHITECTURES], help=what)
    add("--among", type=_networks, default=NETWORKS, metavar="NAME,...", help="networks that are searched")
    add("--search-time", type=above_zero, default=300.0, metavar="SECONDS", help="of a search (default 300)")
    trials = "networks that a search tries at most (default 100)"
    add("--trials", type=positive, default=100, metavar="N", help=trials)
    jobs = "processes of a search, 1 GB each and the data (default: one a core)"
    add("--jobs", type=positive, default=cores(), metavar="N", help=jobs)
    exclude = "incidents and maintenance, not learnt from: .csv (start,end,entity columns), .ics, .toml"
    add("--exclude", type=Path, action="append", default=[], metavar="FILE", help=exclude)
    add("--seed", type=int, default=0, help="same seed and data, same network (default 0)")
    add("--epochs", type=positive, default=60, help="at most (default 60)")
    add("--report", type=Path, metavar="REPORT.html", help="write a page: why this one, and what it does")
    add("--json", action="store_true", help="the result for programs, in the place of the version's path")


def _networks(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in NETWORKS]:
        known = ", ".join(NETWORKS)
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no network; known: {known}")
    return names


def _trained(asked: argparse.Namespace) -> int:
    from detector.train import dialogue  # noqa: PLC0415

    settings = load_settings(asked) if asked.config or asked.stream or asked.flags else None
    return dialogue.train(asked, settings)


def score(verbs: Verbs) -> None:
    parser = add_verb(verbs, "score", "Score a dataset with the daemon's pipeline, at full speed.", _scored)
    _take_dataset_and_bundle(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="SCORES.parquet")


def _scored(asked: argparse.Namespace) -> int:
    from detector.evaluate import offline  # noqa: PLC0415
    from detector.model import runtime  # noqa: PLC0415
    from detector.train import dataset  # noqa: PLC0415

    loaded, definition, planner = _bundle_and_definition(asked)
    data = dataset.read(asked.data, definition.entity)
    rows = offline.score(data, definition, runtime.load_judge(loaded), asked.out, planner)
    print(f"{rows} scores in {asked.out}", file=sys.stderr)
    return OK


def evaluate(verbs: Verbs) -> None:
    what = "Hold scores and alarms against labels: what was found, after how long, what was false."
    parser = add_verb(verbs, "evaluate", what, _evaluated)
    _take_dataset_and_bundle(parser)
    add = parser.add_argument
    labels = "start,end,event,kind, any of the entity columns, and perhaps signals, with spaces between them"
    add("--labels", type=Path, required=True, metavar="LABELS.csv", help=labels)
    signals = "the signals in which events show: start,end, entity columns, signals"
    add("--interpretation", type=Path, metavar="FILE.csv", help=signals)
    report = (
        "write a page with a picture of each event and each false alarm; takes the data through once more"
    )
    add("--report", type=Path, metavar="REPORT.html", help=report)
    budget = "false alarms an entity and week; default: as in the settings, or 1"
    add("--budget", type=above_zero, metavar="N", help=budget)
    window = "the widest margin of VUS-PR, in steps (default 100, as TSB-AD takes it)"
    add("--vus-window", type=natural, default=100, metavar="STEPS", help=window)
    before = "an alarm that begins so shortly before an event finds it (default 10)"
    add("--before", type=natural, default=10, metavar="STEPS", help=before)
    after = "so long after its end an event still explains an alarm (default 0)"
    add("--after", type=natural, default=0, metavar="STEPS", help=after)
    connected = "alarms elsewhere during an event are its consequence, neither found nor false"
    add("--connected", action="store_true", help=connected)
    add("--seed", type=natural, default=0, help="of the random control (default 0)")
    add("--json", action="store_true", help="everything, for programs, in the place of the table")


def _evaluated(asked: argparse.Namespace) -> int:
    from detector.evaluate import dialogue  # noqa: PLC0415

    loaded, definition, planner = _bundle_and_definition(asked)
    return dialogue.evaluate(asked, loaded, definition, planner)


def _take_dataset_and_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; default: as it was trained")


def _bundle_and_definition(asked: argparse.Namespace) -> tuple[Bundle, Definition, Planner]:
    from detector.model import bundle  # noqa: PLC0415
    from detector.model.trained import definition_of  # noqa: PLC0415
    from detector.planner import Planner  # noqa: PLC0415

    if asked.config or asked.stream:
        settings = load_settings(asked)
        definition = settings.stream(asked.stream).definition()
        return (
            bundle.load_for(definition, asked.bundle, settings.bundles.public_key_file),
            definition,
            Planner(settings.maintenance),
        )
    loaded = bundle.load(asked.bundle)
    return loaded, definition_of(loaded.manifest), Planner([])

"""train and score: datasets in."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.arguments import OK, Verbs, add_verb, load_settings, positive


def train(verbs: Verbs) -> None:
    parser = add_verb(verbs, "train", "Train a network on a dataset; add a version to a bundle.", _trained)
    parser.set_defaults(takes_settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; without, one is inferred")
    what = "a network (default conv1d), or a baseline that it has to be better than: pca, ewma"
    parser.add_argument("--architecture", default="conv1d", choices=["conv1d", "pca", "ewma"], help=what)
    parser.add_argument("--seed", type=int, default=0, help="same seed and data, same network (default 0)")
    parser.add_argument("--epochs", type=positive, default=60, help="at most (default 60)")


def _trained(asked: argparse.Namespace) -> int:
    from detector.train import dialogue  # noqa: PLC0415

    settings = load_settings(asked) if asked.config or asked.stream or asked.flags else None
    return dialogue.train(asked, settings)


def score(verbs: Verbs) -> None:
    parser = add_verb(verbs, "score", "Score a dataset with the daemon's pipeline, at full speed.", _scored)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, required=True, metavar="SCORES.parquet")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; default: as it was trained")


def _scored(asked: argparse.Namespace) -> int:
    from detector.evaluate import offline  # noqa: PLC0415
    from detector.model import bundle, runtime  # noqa: PLC0415
    from detector.model.trained import definition_of  # noqa: PLC0415
    from detector.train import dataset  # noqa: PLC0415

    if asked.config or asked.stream:
        definition = load_settings(asked).stream(asked.stream).definition()
        loaded = bundle.load_for(definition, asked.bundle)
    else:
        loaded = bundle.load(asked.bundle)
        definition = definition_of(loaded.manifest)
    data = dataset.read(asked.data, definition.entity)
    rows = offline.score(data, definition, runtime.load_judge(loaded), asked.out)
    print(f"{rows} scores in {asked.out}", file=sys.stderr)
    return OK

"""The verbs and the exit codes.

Exit codes: 0 ok, 1 failed while running, 2 usage, 78 settings or bundle wrong. Results go to stdout, talk
goes to stderr. What a verb needs is imported by the verb, so that `--help` and `check` start in a fraction
of a second.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector import __version__
from detector.arguments import (
    FAILED,
    OK,
    WRONG_CONFIG,
    Verbs,
    add_verb,
    load_settings,
    positive,
    take_flags,
    usage,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    # TensorFlow tells of its CPU features on every start; its errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = _parser()
    flags, words = take_flags(sys.argv[1:] if arguments is None else arguments)
    asked = parser.parse_args(words)
    if flags and not asked.takes_settings:
        parser.error(f"no flag of this verb: --{next(iter(flags))}")
    asked.flags = flags
    try:
        return int(asked.verb(asked))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read stdout has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"detector: {error}", file=sys.stderr)
        return code


def _exit_code(error: Exception) -> int | None:
    """Return what an error that an operator can mend exits with; None for a bug."""
    name = type(error).__name__
    if name in {"SettingsError", "BundleError"}:
        return WRONG_CONFIG
    return FAILED if isinstance(error, OSError) or name in {"DatasetError", "ReplayError"} else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="detector", description="Anomaly detection on live network telemetry.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"detector {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for add in (_run, _record, _train, _score, _replay, _simulate, _check, _demo, _health):
        add(verbs)
    return parser


# run, record, health


def _run(verbs: Verbs) -> None:
    add_verb(verbs, "run", "Subscribe, score, export. The daemon.", _live, takes_settings=True)


def _record(verbs: Verbs) -> None:
    what = "Subscribe and write every step to Parquet, the trainer's food, until stopped."
    add_verb(verbs, "record", what, lambda asked: _live(asked, recording=True), takes_settings=True)


def _live(asked: argparse.Namespace, *, recording: bool = False) -> int:
    from detector import logs  # noqa: PLC0415
    from detector.daemon import Daemon  # noqa: PLC0415

    settings = load_settings(asked)
    logs.setup(settings.log.format, settings.log.level)
    return Daemon(settings, recording=recording).run()


def _health(verbs: Verbs) -> None:
    what = "Ask a running daemon whether it is healthy; exit 0 or 1."
    parser = add_verb(verbs, "health", what, _ask, takes_settings=True)
    parser.add_argument("--ready", action="store_true", help="and whether broker and subscription are there")


def _ask(asked: argparse.Namespace) -> int:
    import http.client  # noqa: PLC0415

    from detector import check  # noqa: PLC0415

    settings = load_settings(asked).http
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    try:
        line, healthy, ready = check.health(host, settings.port)
    except (OSError, http.client.HTTPException) as error:
        print(f"detector: no daemon answers on {host}:{settings.port}: {error}", file=sys.stderr)
        return FAILED
    print(line)
    return OK if healthy and (ready or not asked.ready) else FAILED


# check


def _check(verbs: Verbs) -> None:
    what = "Say whether settings and bundles are good."
    parser = add_verb(verbs, "check", what, _checked, takes_settings=True)
    parser.add_argument(
        "--message",
        nargs=2,
        metavar=("TOPIC", "PAYLOAD"),
        help="show what a message would become; PAYLOAD is text, @FILE or - for stdin",
    )


def _checked(asked: argparse.Namespace) -> int:
    from detector import check  # noqa: PLC0415

    settings = load_settings(asked)
    if asked.message:
        topic, payload = asked.message
        lines, good = check.message(settings, topic, _payload(payload))
    else:
        lines, good = check.everything(settings), True
    print("\n".join(lines))
    return OK if good else FAILED


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else os.fsencode(text)


# train, score


def _train(verbs: Verbs) -> None:
    parser = add_verb(verbs, "train", "Train a network on a dataset; add a version to a bundle.", _trained)
    parser.set_defaults(takes_settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; without, one is inferred")
    parser.add_argument("--architecture", default="conv1d", choices=["conv1d"])
    parser.add_argument("--seed", type=int, default=0, help="same seed and data, same network (default 0)")
    parser.add_argument("--epochs", type=positive, default=60, help="at most (default 60)")


def _trained(asked: argparse.Namespace) -> int:
    from detector.train import dialogue  # noqa: PLC0415

    settings = load_settings(asked) if asked.config or asked.stream or asked.flags else None
    return dialogue.train(asked, settings)


def _score(verbs: Verbs) -> None:
    parser = add_verb(verbs, "score", "Score a dataset with the daemon's pipeline, at full speed.", _scored)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, required=True, metavar="SCORES.parquet")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; default: as it was trained")


def _scored(asked: argparse.Namespace) -> int:
    from detector.evaluate import offline  # noqa: PLC0415
    from detector.model import bundle, runtime  # noqa: PLC0415
    from detector.train import dataset  # noqa: PLC0415

    if asked.config or asked.stream:
        definition = load_settings(asked).stream(asked.stream).definition()
        loaded = bundle.load_for(definition, asked.bundle)
    else:
        loaded = bundle.load(asked.bundle)
        definition = bundle.definition_of(loaded)
    data = dataset.read(asked.data, definition.entity)
    rows = offline.score(data, definition, runtime.load_judge(loaded), asked.out)
    print(f"{rows} scores in {asked.out}", file=sys.stderr)
    return OK


# replay, simulate, demo


def _replay(verbs: Verbs) -> None:
    what = "Publish a dataset to a broker, event time kept."
    parser = add_verb(verbs, "replay", what, _replayed, takes_settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--topic", required=True, metavar="TEMPLATE", help="such as telegraf/{device}/cpu")
    parser.add_argument("--format", default="telegraf-json", choices=["telegraf-json", "json", "value"])
    parser.add_argument("--stream", metavar="NAME", help="Telegraf's measurement; default: the file's name")
    parser.add_argument("--speed", type=float, default=1.0, help="times real time; 0: as fast as possible")


def _replayed(asked: argparse.Namespace) -> int:
    from detector.edge import recording, replay  # noqa: PLC0415

    stream = asked.stream or asked.data[0].stem
    broker = _broker(asked)
    try:
        if recording.is_recorded(asked.data):
            print(f"detector: {replay.RATES_WARNING}", file=sys.stderr)
        count = replay.publish(asked.data, asked.topic, asked.format, stream, **broker)
    except ValueError as error:
        return usage(f"replay: {error}")
    print(f"{count} messages published", file=sys.stderr)
    return OK


def _broker(asked: argparse.Namespace) -> dict[str, Any]:
    from detector.settings import password  # noqa: PLC0415

    mqtt = load_settings(asked).mqtt
    return {
        "host": mqtt.host,
        "port": mqtt.port,
        "username": mqtt.username,
        "password": password(mqtt),
        "qos": min(mqtt.qos, 1),
        "speed": asked.speed,
    }


def _simulate(verbs: Verbs) -> None:
    what = "Simulate a fabric with labelled faults: a dataset and its settings, or live over MQTT."
    parser = add_verb(verbs, "simulate", what, _simulated, takes_settings=True)
    parser.add_argument(
        "--out", type=Path, metavar="DIRECTORY", help="write data, labels, detector.toml here"
    )
    live = "publish to telegraf/<device>/interfaces and .../devices; stderr says when the first fault comes"
    parser.add_argument("--live", action="store_true", help=live)
    parser.add_argument("--format", default="parquet", choices=["parquet", "csv"], help="of the dataset")
    speed = 'of --live, times real time; with any but 1 (default), the streams need clock = "data"'
    parser.add_argument("--speed", type=float, default=1.0, help=speed)
    parser.add_argument("--seed", type=int, default=0, help="same seed, same fabric (default 0)")
    parser.add_argument("--devices", type=positive, default=8)
    parser.add_argument("--interfaces", type=positive, default=12, help="of each device")
    parser.add_argument("--hours", type=float, default=24.0, help="how long in all (default 24)")
    free = "free of faults, at the start (default: 3/4 of --hours; of --live alone, 180 cadences at most)"
    parser.add_argument("--train-hours", type=float, help=free)
    parser.add_argument("--cadence", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--start", type=float, metavar="SECONDS", help="since the epoch; default: by now")
    parser.add_argument("--plan", default="random", choices=["random", "each-kind-once", "none"])


def _simulated(asked: argparse.Namespace) -> int:
    if not asked.out and not asked.live:
        return usage("simulate: give --out DIRECTORY, --live, or both")
    from detector.edge.publisher import publish_messages  # noqa: PLC0415
    from detector.simulate import output, verb  # noqa: PLC0415

    try:
        simulation = verb.simulation_of(asked)
    except ValueError as error:
        return usage(f"simulate: {error}")
    print("\n".join(verb.told(simulation)))
    if asked.out:
        output.write(simulation, asked.out, asked.format)
        config = asked.out / verb.SETTINGS
        config.write_text(output.stream_settings(asked.out.resolve(), asked.cadence), "utf-8")
        print(f"dataset, labels and the settings to read them ({config}) written", file=sys.stderr)
    if asked.live:
        print(verb.hint(simulation, asked.speed, asked.out), file=sys.stderr)
        publish_messages(output.messages(simulation), **_broker(asked))
    return OK


def _demo(verbs: Verbs) -> None:
    parser = add_verb(verbs, "demo", "The whole product at work on a simulated fabric, in minutes.", _demoed)
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="what it makes (default .demo)")
    parser.add_argument("--seed", type=int, default=5537, help="the story; this one has no small faults")
    parser.add_argument("--port", type=int, default=9798, help="of the daemon's pages (default 9798)")


def _demoed(asked: argparse.Namespace) -> int:
    from detector import demo  # noqa: PLC0415

    return demo.demo(asked.directory, asked.seed, asked.port)


if __name__ == "__main__":
    sys.exit(main())

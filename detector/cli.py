"""The verbs and the exit codes.

Exit codes: 0 ok, 1 failed while running, 2 usage, 78 settings or bundle wrong. Results go to stdout, talk
goes to stderr. What a verb needs is imported by the verb, so that `--help` and `check` start in a fraction
of a second.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from detector import __version__

OK, FAILED, USAGE, WRONG_CONFIG = 0, 1, 2, 78
CONFIG = Path("/etc/detector/detector.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    # TensorFlow tells of its CPU features on every start; its errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = _parser()
    asked, rest = parser.parse_known_args(arguments)
    asked.flags = _flags(parser, rest, allowed=asked.takes_settings)
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


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    do: Callable[[argparse.Namespace], int],
    *,
    settings: bool = False,
) -> argparse.ArgumentParser:
    epilog = "Every setting is also a flag: --mqtt.host broker, --http.port 9798, ..." if settings else None
    parser = verbs.add_parser(name, help=what, description=what, epilog=epilog, allow_abbrev=False)
    parser.set_defaults(verb=do, takes_settings=settings)
    if settings:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help=f"settings; default {CONFIG} where it is"
        )
    return parser


def _flags(parser: argparse.ArgumentParser, rest: Sequence[str], *, allowed: bool) -> dict[str, str]:
    """Read what argparse left as `--section.key value` or `--section.key=value`."""
    flags: dict[str, str] = {}
    words = list(rest)
    while words:
        word = words.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not allowed or not word.startswith("--") or "." not in key:
            parser.error(f"unrecognized argument: {word}")
        if not equals:
            if not words:
                parser.error(f"{word} needs a value")
            value = words.pop(0)
        flags[key] = value
    return flags


def _settings(asked: argparse.Namespace) -> Settings:  # type: ignore[name-defined]  # noqa: F821
    from detector import settings  # noqa: PLC0415 -- pydantic takes 0.2 s

    path = asked.config or (CONFIG if CONFIG.exists() else None)
    return settings.load(path, asked.flags)


# run, record, health


def _run(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _verb(verbs, "run", "Subscribe, score, export. The daemon.", _live, settings=True)


def _record(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "Subscribe and write every step to Parquet, the trainer's food, until stopped."
    _verb(verbs, "record", what, lambda asked: _live(asked, recording=True), settings=True)


def _live(asked: argparse.Namespace, *, recording: bool = False) -> int:
    from detector import logs  # noqa: PLC0415
    from detector.daemon import Daemon  # noqa: PLC0415

    settings = _settings(asked)
    logs.setup(settings.log.format, settings.log.level)
    return Daemon(settings, recording=recording).run()


def _health(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _verb(verbs, "health", "Ask a running daemon whether it is healthy; exit 0 or 1.", _ask, settings=True)


def _ask(asked: argparse.Namespace) -> int:
    import http.client  # noqa: PLC0415

    settings = _settings(asked).http
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.port, timeout=5)
    try:
        connection.request("GET", "/-/healthy")
        answer = connection.getresponse()
        print(answer.read().decode("utf-8", "replace").strip())
        return OK if answer.status == http.HTTPStatus.OK else FAILED
    finally:
        connection.close()


# check


def _check(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(verbs, "check", "Say whether settings and bundles are good.", _checked, settings=True)
    parser.add_argument(
        "--message",
        nargs=2,
        metavar=("TOPIC", "PAYLOAD"),
        help="show what a message would become; PAYLOAD is text, @FILE or - for stdin",
    )


def _checked(asked: argparse.Namespace) -> int:
    from detector import check  # noqa: PLC0415

    settings = _settings(asked)
    if asked.message:
        topic, payload = asked.message
        lines, good = check.message(settings, topic, _payload(payload))
    else:
        lines, good = check.bundles(settings), True
    print("\n".join(lines))
    return OK if good else FAILED


def _payload(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


# train, score


def _train(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(verbs, "train", "Train a network on a dataset; add a version to a bundle.", _trained)
    parser.set_defaults(takes_settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's directory")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings that define the stream")
    parser.add_argument("--stream", metavar="NAME", help="which of its streams; without, one is inferred")
    parser.add_argument("--architecture", default="conv1d", choices=["conv1d"])
    parser.add_argument("--seed", type=int, default=0, help="same seed and data, same network (default 0)")
    parser.add_argument("--epochs", type=_positive, default=60, help="at most (default 60)")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _trained(asked: argparse.Namespace) -> int:
    from detector.train import dialogue  # noqa: PLC0415

    settings = _settings(asked) if asked.config or asked.stream or asked.flags else None
    return dialogue.train(asked, settings)


def _score(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(verbs, "score", "Score a dataset with the daemon's pipeline, at full speed.", _scored)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument("--bundle", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, required=True, metavar="SCORES.parquet")


def _scored(asked: argparse.Namespace) -> int:
    from detector.daemon import load_judge  # noqa: PLC0415
    from detector.evaluate import offline  # noqa: PLC0415
    from detector.model import bundle  # noqa: PLC0415
    from detector.train import dataset  # noqa: PLC0415

    loaded = bundle.load(asked.bundle)
    definition = bundle.definition_of(loaded)
    data = dataset.read(asked.data, definition.entity)
    rows = offline.score(data, definition, load_judge(loaded), asked.out)
    print(f"{rows} scores in {asked.out}", file=sys.stderr)
    return OK


# replay, simulate, demo


def _replay(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "Publish a dataset to a broker, event time kept."
    parser = _verb(verbs, "replay", what, _replayed, settings=True)
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="Parquet, CSV or folders of them")
    parser.add_argument(
        "--topic", required=True, metavar="TEMPLATE", help="as in telegraf/{device}/interface"
    )
    parser.add_argument("--format", default="telegraf-json", choices=["telegraf-json", "json", "value"])
    parser.add_argument("--speed", type=float, default=1.0, help="times real time; 0: as fast as possible")


def _replayed(asked: argparse.Namespace) -> int:
    from detector import settings as tree  # noqa: PLC0415
    from detector.edge import replay  # noqa: PLC0415

    mqtt = _settings(asked).mqtt
    count = replay.publish_dataset(
        asked.data, mqtt, tree.password(mqtt), template=asked.topic, format=asked.format, speed=asked.speed
    )
    print(f"{count} messages published", file=sys.stderr)
    return OK


def _simulate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "Simulate a leaf-spine fabric with labelled faults: a dataset, or live over MQTT."
    parser = _verb(verbs, "simulate", what, _simulated, settings=True)
    parser.add_argument("--out", type=Path, metavar="DIRECTORY", help="write the dataset and its labels here")
    parser.add_argument("--live", action="store_true", help="publish it to the broker")
    parser.add_argument("--format", default="parquet", choices=["parquet", "csv"], help="of the dataset")
    parser.add_argument("--speed", type=float, default=1.0, help="of --live, times real time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=_positive, default=8)
    parser.add_argument("--interfaces", type=_positive, default=12, help="of each device")
    parser.add_argument("--hours", type=float, default=24.0, help="how long in all (default 24)")
    parser.add_argument("--train-hours", type=float, default=18.0, help="free of faults, at the start")
    parser.add_argument("--cadence", type=float, default=10.0, metavar="SECONDS")
    parser.add_argument("--start", type=float, metavar="SECONDS", help="since the epoch; default: ends now")


def _simulated(asked: argparse.Namespace) -> int:
    from detector.simulate import dialogue  # noqa: PLC0415

    if bool(asked.out) == bool(asked.live):
        print("detector simulate: give --out DIRECTORY or --live", file=sys.stderr)
        return USAGE
    return dialogue.simulate(asked, _settings(asked).mqtt)


def _demo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _verb(
        verbs, "demo", "Show the whole product at work on a simulated fabric, in minutes.", _demoed
    )
    parser.add_argument("--directory", type=Path, default=Path(".demo"), help="what it makes (default .demo)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=9798, help="of the daemon's pages (default 9798)")


def _demoed(asked: argparse.Namespace) -> int:
    from detector import demo  # noqa: PLC0415

    return demo.demo(asked.directory, asked.seed, asked.port)


if __name__ == "__main__":
    sys.exit(main())

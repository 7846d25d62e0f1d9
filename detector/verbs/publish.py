"""replay and simulate: messages for a broker."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from detector.arguments import OK, Verbs, add_verb, load_settings, positive, usage


def replay(verbs: Verbs) -> None:
    what = "Publish a dataset to a broker, event time kept, or a capture as it came."
    parser = add_verb(verbs, "replay", what, _replayed, takes_settings=True)
    data = "datasets (Parquet, CSV), or captures (of record --raw, mosquitto_sub -F %%j or -v), or folders"
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help=data)
    topic = "of a dataset, such as telegraf/{device}/cpu; a capture has its own topics"
    parser.add_argument("--topic", metavar="TEMPLATE", help=topic)
    parser.add_argument("--format", default="telegraf-json", choices=["telegraf-json", "json", "value"])
    parser.add_argument("--stream", metavar="NAME", help="Telegraf's measurement; default: the file's name")
    parser.add_argument("--speed", type=float, default=1.0, help="times real time; 0: as fast as possible")
    retain = "publish a capture's retained messages too, for the broker to store; without, they are left out"
    parser.add_argument("--retain", action="store_true", help=retain)


def _replayed(asked: argparse.Namespace) -> int:
    from detector.edge.replay import is_capture  # noqa: PLC0415

    try:
        captured = is_capture(asked.data)
        if captured == bool(asked.topic):
            return usage(
                f"replay: {'a capture has its own topics' if captured else 'a dataset needs a --topic'}"
            )
        return _captures_replayed(asked) if captured else _datasets_replayed(asked)
    except ValueError as error:
        return usage(f"replay: {error}")


def _datasets_replayed(asked: argparse.Namespace) -> int:
    from detector.edge import recording, replay  # noqa: PLC0415

    stream = asked.stream or asked.data[0].stem
    broker = _broker(asked)
    if recording.is_recorded(asked.data):
        print(f"detector: {replay.RATES_WARNING}", file=sys.stderr)
    count = replay.publish(asked.data, asked.topic, asked.format, stream, **broker)
    print(f"{count} messages published", file=sys.stderr)
    return OK


def _captures_replayed(asked: argparse.Namespace) -> int:
    from detector.edge import replay  # noqa: PLC0415

    left_out: Counter[str] = Counter()
    count = replay.publish_captures(asked.data, left_out, retain=asked.retain, **_broker(asked))
    print(f"{count} messages published", file=sys.stderr)
    if left_out:
        why = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        print(f"detector: left out: {why}", file=sys.stderr)
    return OK


def _broker(asked: argparse.Namespace) -> dict[str, Any]:
    from detector.settings import password  # noqa: PLC0415

    mqtt = load_settings(asked).mqtt
    return {
        "host": mqtt.host,
        "port": mqtt.port,
        "username": mqtt.username,
        "password": password(mqtt),
        "protocol": mqtt.protocol,
        "transport": mqtt,
        "qos": mqtt.qos,
        "speed": asked.speed,
    }


def simulate(verbs: Verbs) -> None:
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

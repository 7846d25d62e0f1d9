"""The least that a subscriber can be: paho as it comes, and a callback that counts.

    python tests/benchmark/bare.py PORT FILTER [--json] [--protocol 5]

On SIGTERM it prints how many messages it was given, and ends.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

KEEPALIVE_S = 3600

count = 0


def on_message(_client: Client, _userdata: None, _message: MQTTMessage) -> None:
    global count  # noqa: PLW0603  # nothing is cheaper
    count += 1


def on_message_json(_client: Client, _userdata: None, message: MQTTMessage) -> None:
    global count  # noqa: PLW0603
    json.loads(message.payload)
    count += 1


def stop(*_signal: object) -> None:
    print(count, flush=True)
    sys.exit()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("filter")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--protocol", choices=("3.1.1", "5"), default="3.1.1")
    given = parser.parse_args()
    five = given.protocol == "5"
    protocol = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
    client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
    client.on_connect = lambda *_: client.subscribe(given.filter)
    client.on_message = on_message_json if given.json else on_message
    signal.signal(signal.SIGTERM, stop)
    client.connect("127.0.0.1", given.port, KEEPALIVE_S)
    client.loop_forever()


if __name__ == "__main__":
    main()

"""A Sparkplug edge made of pysparkplug: the node n1 of the group g1 with two pumps, as a process of its own.

It does what the lines of its standard input say: the name of a method and its arguments, as JSON. After each
it says `ok`, and `born` when it has published its births.
"""

import json
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import paho.mqtt.client
from pysparkplug import (
    Client,
    DataType,
    DBirth,
    DData,
    DDeath,
    Message,
    MessageType,
    Metric,
    NBirth,
    NDeath,
    QoS,
    Topic,
)

# paho-mqtt 2 has lost a method that did nothing in 1.6; the library still calls it.
paho.mqtt.client.Client.message_retry_set = lambda *_, **__: None

TYPES = {
    "Inlet/Temperature": DataType.FLOAT,
    "Level": DataType.INT16,
    "Pulses": DataType.UINT64,
    "State": DataType.STRING,
    "Serial": DataType.STRING,
}
ALIASES = {name: alias for alias, name in enumerate(TYPES)}
FIRST = {"Inlet/Temperature": 20.0, "Level": 0, "Pulses": 0, "State": "stopped", "Serial": "A-1"}
DEVICES = ("d1", "d2")


class Edge:
    """One session of the node. `births_ms` is the time of the values in its births."""

    def __init__(self, port, births_ms, birth=3):
        self.work = queue.Queue()
        self.births_ms = births_ms
        self.number = 0
        self.birth = Metric(births_ms, "bdSeq", DataType.INT64, birth)
        self.client = Client()
        self.client.set_will(self.message(MessageType.NDEATH, NDeath(births_ms, self.birth)))
        ncmd = Topic(message_type=MessageType.NCMD, group_id="g1", edge_node_id="n1")
        self.client.subscribe(ncmd, QoS.AT_LEAST_ONCE, self.obey)
        self.client.connect("127.0.0.1", port=port, callback=lambda _: self.work.put(["births"]))

    def obey(self, _, message):
        if any(one.name == "Node Control/Rebirth" and one.value for one in message.payload.metrics):
            self.work.put(["births"])

    def message(self, kind, payload, device=None):
        topic = Topic(message_type=kind, group_id="g1", edge_node_id="n1", device_id=device)
        return Message(topic, payload, QoS.AT_MOST_ONCE, retain=False)

    def send(self, kind, payload, device=None):
        self.client.publish(self.message(kind, payload, device))
        self.number = (self.number + 1) % 256

    def births(self):
        """Publish all births, as at the start."""
        self.number = 0
        self.send(MessageType.NBIRTH, NBirth(self.births_ms, self.number, [self.birth]))
        for device in DEVICES:
            self.device(device)

    def device(self, device):
        """Publish the birth of a device."""
        metrics = [Metric(self.births_ms, name, TYPES[name], FIRST[name], ALIASES[name]) for name in TYPES]
        self.send(MessageType.DBIRTH, DBirth(self.births_ms, self.number, metrics), device)

    def data(self, device, time_ms, values, *, historical=False):
        """Publish values by alias, and neither names nor types."""
        metrics = [
            Metric(time_ms, None, TYPES[name], value, ALIASES[name], is_historical=historical)
            for name, value in values.items()
        ]
        self.send(MessageType.DDATA, DData(time_ms, self.number, metrics), device)

    def history(self, device, time_ms, values):
        """Publish values that were stored."""
        self.data(device, time_ms, values, historical=True)

    def lose(self):
        """Count a message that never comes."""
        self.number = (self.number + 1) % 256

    def death(self, device, time_ms):
        """Publish the death of a device."""
        self.send(MessageType.DDEATH, DDeath(time_ms, self.number), device)


def main(port, births_ms):
    edge = Edge(port, births_ms)
    threading.Thread(
        target=lambda: [edge.work.put(json.loads(line)) for line in sys.stdin], daemon=True
    ).start()
    while True:
        name, *words = edge.work.get()
        getattr(edge, name)(*words)
        print("born" if name == "births" else "ok", flush=True)


class Remote:
    """An edge in another process."""

    def __init__(self, process):
        self.process = process

    def do(self, *words):
        """Have it do something; return when it is published."""
        self.say(*words)
        assert self.process.stdout.readline() == "ok\n"

    def be_born(self):
        """Have it publish its births once more; return when it has."""
        self.say("births")
        self.wait_until_born()

    def say(self, *words):
        """Tell it what to do."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def wait_until_born(self):
        """Return when it has published its births, at the start or once more."""
        assert self.process.stdout.readline() == "born\n"

    def die(self):
        """End it without a goodbye of its own, so that the broker publishes its will."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_edge(port, births_ms):
    """A started edge that is gone afterwards."""
    words = [sys.executable, "-m", "tests.support.sparkplug_edge", str(port), str(births_ms)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            edge = Remote(process)
            edge.wait_until_born()
            yield edge
        finally:
            process.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

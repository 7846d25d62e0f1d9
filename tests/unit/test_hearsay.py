"""A stream of devices tells of restarts; the counters of their interfaces, in another stream, start anew."""

import json

import numpy as np
import pytest

from detector.stream.definition import Signal, Witness
from detector.stream.nouns import Message
from detector.stream.pipeline import StreamPipeline
from detector.stream.streams import Streams
from tests.support.streams import START_S, definition

DEVICES = definition(
    Signal("load"),
    name="devices",
    topic="devices/{device}",
    witnesses=(Witness("sysUpTime", "uptime", 0.01), Witness("boot", "boot_id")),
)
PORTS = definition(
    Signal("octets", kind="counter", bits=32),
    name="ports",
    entity=("port", "device"),
    topic="ports/{device}/{port}",
    witness_stream="devices",
    expire_s=1000.0,
)


def streams():
    return Streams([StreamPipeline(PORTS, None), StreamPipeline(DEVICES, None)])


def told(topic, at_s, **fields):
    return Message(topic, json.dumps({"timestamp": START_S + at_s, **fields}).encode(), START_S + at_s)


def rates(fed, *messages, until_s):
    """Return the rates of the ports that these messages and the time until then give."""
    fed.feed(messages)
    found = {}
    for outcome in fed.streams[0].tick(START_S + until_s):
        for row, value, seen in zip(*outcome.steps[1:], strict=True):
            if seen[0]:
                found["/".join(fed.streams[0].roster.entities[row])] = float(value[0])
    return found


def both(at_s, octets):
    return [told(f"ports/{device}/{port}", at_s, octets=octets) for device in "ab" for port in "12"]


def test_a_restart_of_a_device_is_one_of_all_its_ports_and_of_no_other():
    fed = streams()
    fed.feed([told("devices/a", -5, sysUpTime=900_000, load=1), told("devices/b", -5, sysUpTime=900_000)])
    assert rates(fed, *both(-5, 1000), *both(5, 2000), until_s=10) == dict.fromkeys(
        ["1/a", "2/a", "1/b", "2/b"], 100
    )
    restarted = told("devices/a", 14, sysUpTime=500)
    assert rates(fed, *both(15, 3000), restarted, until_s=20) == {"1/b": 100, "2/b": 100}
    assert fed.streams[0].align.discontinuities.tolist() == [[2, 0, 0]]
    assert fed.streams[0].samples_total == 12, "what is overheard is no sample"


def test_a_device_that_runs_on_makes_a_wrap_of_a_fall():
    fed = streams()
    rates(fed, *both(-5, 2.0**32 - 1000), told("devices/a", -5, sysUpTime=900_000), until_s=0)
    runs_on = told("devices/a", 6, sysUpTime=901_100)
    assert rates(fed, *both(5, 1000), runs_on, until_s=10) == {"1/a": 200, "2/a": 200}
    assert fed.streams[0].align.discontinuities.tolist() == [[0, 2, 0]]


def test_any_witness_of_the_devices_is_believed():
    fed = streams()
    rates(fed, *both(-5, 1000), told("devices/a", -5, boot="x"), told("devices/b", -5, boot="x"), until_s=0)
    again = told("devices/a", 4, boot="y"), told("devices/b", 4, boot="x")
    assert rates(fed, *both(5, 2000), *again, until_s=10) == {"1/b": 100, "2/b": 100}


def test_who_is_not_known_yet_is_told_the_next_time():
    fed = streams()
    fed.feed([told("devices/a", -5, boot="x")])
    rates(fed, *both(-5, 1000), told("devices/a", -4, boot="x"), until_s=0)
    assert rates(fed, *both(5, 2000), told("devices/a", 4, boot="y"), until_s=10) == {"1/b": 100, "2/b": 100}


@pytest.mark.parametrize("devices_first", [True, False])
def test_of_one_step_it_does_not_matter_who_comes_first(devices_first):
    fed = streams()
    rates(fed, *both(-5, 1000), told("devices/a", -5, sysUpTime=900_000), until_s=0)
    restarted = told("devices/a", 4, sysUpTime=300)
    messages = [restarted, *both(5, 2000)] if devices_first else [*both(5, 2000), restarted]
    assert rates(fed, *messages, until_s=10) == {"1/b": 100, "2/b": 100}


def test_what_is_told_of_a_later_step_waits_for_it():
    fed = streams()
    rates(fed, *both(-5, 1000), told("devices/a", -5, boot="x"), until_s=0)
    fed.feed([*both(5, 2000), *both(15, 3000), told("devices/a", 14, boot="y")])
    assert len(rates(fed, until_s=10)) == 4
    assert rates(fed, until_s=20) == {"1/b": 100, "2/b": 100}


def test_what_is_told_late_counts_for_what_comes():
    fed = streams()
    rates(fed, *both(-5, 1000), told("devices/a", -5, sysUpTime=900_000), until_s=0)
    assert len(rates(fed, *both(5, 2000), until_s=10)) == 4, "nobody knew"
    fed.feed([told("devices/a", 6, sysUpTime=10)])
    assert rates(fed, *both(15, 3000), until_s=20) == {"1/b": 100, "2/b": 100}


def test_while_the_ports_say_nothing_what_is_told_of_them_does_not_pile_up():
    fed = streams()
    rates(fed, *both(5, 1000), until_s=10)
    for step in range(2, 50):
        rates(fed, told("devices/a", 10.0 * step, sysUpTime=1000 * step), until_s=10.0 * step)
    assert sum(len(part.row) for part in fed.streams[0].align._overheard) == 0


def test_what_waits_of_an_entity_is_forgotten_with_it():
    fed = streams()
    rates(fed, *both(5, 1000), until_s=10)
    fed.feed([told("devices/a", 15, boot="x")])
    fed.streams[0].forget(np.arange(4))
    assert sum(len(part.row) for part in fed.streams[0].align._overheard) == 0
    fed.feed([*both(15, 1000), told("devices/a", 15, boot="y")])
    fed.streams[0].align.restart()
    assert not fed.streams[0].align._overheard

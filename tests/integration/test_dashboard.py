"""Every query of the dashboard and the alerts, asked of a Prometheus that scrapes a daemon at work."""

import math
import time
from itertools import takewhile
from pathlib import Path
from threading import Event, Thread

import orjson
import pytest

from detector.edge.publisher import publish_messages
from tests.support import dashboard
from tests.support.bundles import DOWN
from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto
from tests.support.prometheus import prometheus, wait_until

RULES = Path(__file__).parents[2] / "config" / "prometheus" / "detector.rules.yml"
TAKES_A_DAY = {"Drift", "Budget used"}
"""Panels of what nobody knows sooner."""
LOST = "leaf3"
CUT = ("leaf2", ("Ethernet1", "Ethernet2"))
BROKEN = orjson.dumps({"fields": {"in_octets": "?", "out_octets": 1}, "tags": {"interface": "Ethernet1"}})


def settings(baseline):
    """The devices live on the clock of the wall, for what is measured against it; the rest replays."""
    before, _, after = baseline.settings("silence_s = 10.0").rpartition('clock = "data"')
    return f'{before}clock = "wall"{after}'


def now(baseline):
    """Yield the messages of the devices from now on."""
    published = [one for one in baseline.between(0, 300) if one[1].endswith("/devices")]
    shift_s = int(time.time()) - int(published[0][0])
    for time_s, topic, payload in published:
        record = orjson.loads(payload)
        record["timestamp"] += 1000 * shift_s
        yield time_s, topic, orjson.dumps(record)


def cut(published):
    """Return the messages with the counters of two links of a device as they were in the first of theirs."""
    before = {}
    for time_s, topic, payload in published:
        record = orjson.loads(payload)
        link = record["tags"]["device"], record["tags"]["interface"]
        if link[0] == CUT[0] and link[1] in CUT[1]:
            record["fields"] = before.setdefault(link, record["fields"])
        yield time_s, topic, orjson.dumps(record)


@pytest.fixture(scope="module")
def live(baseline, broker):
    """Publish the devices in real time, on a thread, while a test runs."""
    over = Event()
    messages = takewhile(lambda _: not over.is_set(), now(baseline))
    thread = Thread(
        target=publish_messages, args=(messages,), kwargs={"host": "127.0.0.1", "port": broker.port}
    )
    yield thread
    over.set()
    thread.join()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with running_mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def store(baseline, broker, live, tmp_path_factory):
    """Return a Prometheus whose detector has open episodes, a silent device, and refused some messages."""

    def publish(published):
        publish_messages(published, host="127.0.0.1", port=broker.port, qos=1, speed=0)

    with running(tmp_path_factory.mktemp("daemon"), settings(baseline), broker=broker.port) as daemon:
        daemon.wait_until_ready()
        live.start()
        with prometheus(
            tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{daemon.port}", rules=[RULES]
        ) as store:
            store.wait_until_scraped()  # a rate needs a value from before
            links = [one for one in baseline.between(0, 52) if one[1].endswith("/interfaces")]
            links += cut(
                one for one in baseline.between(52, 70, without=LOST) if one[1].endswith("/interfaces")
            )
            publish(
                [
                    *links,
                    (0.0, f"telegraf/{DOWN[0]}/interfaces", b"{"),
                    (0.0, "telegraf/x/interfaces", BROKEN),
                ]
            )
            yield store


@pytest.mark.parametrize(("title", "promql"), dashboard.queries())
def test_a_query_of_the_dashboard_has_an_answer(store, title, promql):
    def answered():
        return any(not math.isnan(float(one["value"][1])) for one in store.query(promql))

    if title in TAKES_A_DAY:
        assert not answered()
    else:
        wait_until(answered, lambda: f"{title}: {promql}: {store.query(promql)}")


def test_the_rules_load_and_none_of_them_fails(store):
    groups = store.get("/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == RULES.read_text().count("- alert:")
    wait_until(lambda: all(one["health"] == "ok" for one in _rules(store)), lambda: f"{_rules(store)}")


def _rules(store):
    return [rule for group in store.get("/api/v1/rules")["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("device", "links"), [(LOST, 4), (CUT[0], 2)])
def test_a_device_that_is_lost_and_one_with_links_that_are_cut_are_one_alert_each(store, device, links):
    def alerts():
        return [one for one in store.get("/api/v1/alerts")["alerts"] if one["labels"].get("device") == device]

    def of_groups():
        return [one for one in alerts() if one["labels"]["alertname"] == "DetectorGroupAnomaly"]

    wait_until(lambda: any(one["state"] == "firing" for one in of_groups()), lambda: f"{alerts()}")
    assert of_groups()[0]["annotations"]["summary"] == f"Group anomaly: device={device}"
    assert "of it has an alarm" in of_groups()[0]["annotations"]["description"]
    members = f'detector_grouped_active{{stream="interfaces",device="{device}"}}'
    wait_until(
        lambda: len(store.query(members)) == links, lambda: f"{store.query('detector_grouped_active')}"
    )
    alone = f'detector_anomaly_active{{device="{device}"}} == 1'
    assert len(store.query(alone)) == (0 if device == LOST else links)
    wait_until(lambda: len(alerts()) == 1, lambda: f"{alerts()}")

"""The journey of the data: simulated fabric, broker, daemon, Prometheus. The data is the clock."""

import orjson
import pytest

from detector.edge.publisher import publish_messages
from tests.support import bundles
from tests.support.bundles import CLEARED, DOWN
from tests.support.daemon import running
from tests.support.mosquitto import running_mosquitto
from tests.support.prometheus import prometheus, wait_until

LINK = f'device="{DOWN[0]}",interface="{DOWN[1]}"'
PEER = f'stream="devices",device="{CLEARED}"'
LOST = "leaf3"
"""The device that falls silent."""


class Journey:
    """Broker, daemon and Prometheus in a row; what is published at one end is asked for at the other."""

    def __init__(self, trained, broker, daemon, store):
        self.trained = trained
        self._broker = broker
        self._daemon = daemon
        self._store = store
        self._samples = 0

    def replay(self, start_s, end_s, without="", frozen=""):
        """Publish a span at once; return when Prometheus has scraped what the daemon made of it.

        The CPU load of a device may be `frozen`.
        """
        published = [
            (time_s, topic, freeze(payload) if topic == f"telegraf/{frozen}/devices" else payload)
            for time_s, topic, payload in self.trained.between(start_s, end_s, without)
        ]
        publish_messages(published, host="127.0.0.1", port=self._broker.port, speed=0)
        self._samples += bundles.samples(published)
        self._daemon.wait_for_samples(self._samples)
        wait_until(lambda: self.ask("sum(detector_samples_total)") == self._samples, lambda: self._daemon.log)

    def ask(self, promql):
        """Return the value of the one series of an answer; None where it is empty."""
        found = self._store.query(promql)
        assert len(found) <= 1, f"{promql}: {found}"
        return float(found[0]["value"][1]) if found else None


def freeze(payload):
    """Return a record of a device whose CPU load is always the same, and one that others have too."""
    record = orjson.loads(payload)
    record["fields"]["cpu_percent"] = 17.3
    return orjson.dumps(record)


@pytest.fixture(scope="module")
def journey(trained, tmp_path_factory):
    directories = [tmp_path_factory.mktemp(name) for name in ("broker", "daemon", "prometheus")]
    settings = trained.settings("silence_s = 10.0", "expire_s = 60.0")
    with (
        running_mosquitto(directories[0]) as broker,
        running(directories[1], settings, broker=broker.port) as daemon,
    ):
        daemon.wait_until_ready()
        with prometheus(directories[2], f"127.0.0.1:{daemon.port}") as store:
            yield Journey(trained, broker, daemon, store)


# The tests of this file are the chapters of one story, in this order.


def test_while_it_warms_up_an_entity_has_no_score(journey):
    journey.replay(0, 8)
    assert journey.ask('detector_entities{stream="devices",state="warming"}') == 4
    assert journey.ask("count(detector_anomaly_score)") is None
    assert journey.ask("count(detector_anomaly_active)") == journey.ask("sum(detector_entities)")


def test_a_full_window_has_a_score_and_quiet_time_is_normal(journey):
    journey.replay(8, 55)
    assert journey.ask("count(detector_anomaly_score)") == journey.ask("sum(detector_entities)")
    assert journey.ask(f"detector_anomaly_score{{{LINK}}}") < 1
    assert journey.ask(f"detector_anomaly_active{{{LINK}}}") == 0
    assert journey.ask(f'count({{__name__=~"detector_signal_.*",{LINK}}})') is None


def test_a_link_that_goes_down_is_an_episode_that_says_what_is_wrong(journey):
    journey.replay(55, 70)
    assert journey.ask(f"detector_anomaly_score{{{LINK}}}") > 1
    assert journey.ask(f"detector_anomaly_active{{{LINK}}}") == 1
    onset_s = journey.ask(f"detector_anomaly_onset_timestamp_seconds{{{LINK}}}")
    assert 60 <= onset_s - bundles.LIVE_S <= 65
    observed = journey.ask(f'detector_signal_observed{{signal="in_octets",{LINK}}}')
    expected = journey.ask(f'detector_signal_expected{{signal="in_octets",{LINK}}}')
    assert observed < expected / 10
    assert journey.ask(f'detector_signal_direction{{signal="in_octets",{LINK}}}') == -1
    assert journey.ask(f"sum(detector_signal_contribution_ratio{{{LINK}}})") == pytest.approx(1, abs=0.05)


def test_when_the_episode_is_over_its_signals_are_gone(journey):
    journey.replay(70, 140)
    assert journey.ask(f"detector_anomaly_active{{{LINK}}}") == 0
    assert journey.ask(f"detector_anomaly_score{{{LINK}}}") < 1
    assert journey.ask(f'count({{__name__=~"detector_(signal|anomaly_onset).*",{LINK}}})') is None


def test_a_bgp_clear_is_an_episode_of_the_device_that_was_cleared(journey):
    journey.replay(140, 170)
    assert journey.ask(f"detector_anomaly_active{{{PEER}}}") == 1
    assert journey.ask(f"detector_anomaly_score{{{PEER}}}") > 1
    others = f'stream="devices",device=~"leaf.*",device!="{CLEARED}"'
    assert journey.ask(f"max(detector_anomaly_active{{{others}}})") == 0


def test_a_device_that_stops_speaking_is_silent_and_has_no_score(journey):
    journey.replay(170, 195, without=LOST)
    assert journey.ask(f'min(detector_silence_active{{device="{LOST}"}})') == 1
    assert journey.ask(f'count(detector_anomaly_score{{device="{LOST}"}})') is None
    assert journey.ask(f'max(detector_silence_active{{device!="{LOST}"}})') == 0


def test_a_gauge_that_stands_still_while_its_peers_move_is_stuck(journey):
    journey.replay(195, 230, without=LOST, frozen=CLEARED)
    assert journey.ask(f'detector_stuck_active{{signal="cpu_percent",{PEER}}}') == 1
    assert journey.ask("count(detector_stuck_active)") == 1
    assert journey.ask('detector_spells_total{stream="devices",kind="stuck"}') == 1
    assert journey.ask("count(detector_slow_active)") is None


def test_the_series_of_a_device_that_has_vanished_vanish(journey):
    journey.replay(230, 270, without=LOST)
    assert journey.ask("count(detector_stuck_active)") is None
    assert journey.ask(f'count({{device="{LOST}"}})') is None
    assert journey.ask('sum(detector_entities{stream="devices"})') == 3

"""The daemon and a broker that is absent, comes, dies and comes back: one life, told in order."""

import signal

import pytest

from detector.edge.publisher import publish_messages
from tests.integration.test_mqtt_hostile import scripted_broker
from tests.support.bundles import samples
from tests.support.daemon import running
from tests.support.mosquitto import Mosquitto


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """Return a broker that is not running yet."""
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def daemon(baseline, broker, tmp_path_factory):
    with running(tmp_path_factory.mktemp("daemon"), baseline.settings(), broker=broker.port) as daemon:
        yield daemon


def replay(daemon, broker, published):
    """Publish at once; return when the daemon has judged it all."""
    before = daemon.total("detector_samples_total")
    publish_messages(published, host="127.0.0.1", port=broker.port, speed=0)
    daemon.wait_for_samples(before + samples(published))


def test_without_a_broker_the_daemon_answers_and_says_what_is_missing(daemon):
    daemon.wait_for(lambda: "cannot connect" in daemon.log)
    why = "nobody listens there; is the broker running, and mqtt.port right?"
    daemon.wait_for(lambda: daemon.get("/-/ready") == (503, f"the broker is not connected: {why}\n"))
    assert daemon.total("detector_mqtt_connect_failures_total", reason="refused") > 0
    assert daemon.get("/-/healthy") == (200, "ok\n")
    assert daemon.total("detector_mqtt_connected") == 0
    assert daemon.total("detector_mqtt_network_thread_alive") == 1


def test_when_the_broker_appears_it_becomes_ready_and_scores(daemon, broker, baseline):
    broker.start()
    daemon.wait_until_ready()
    replay(daemon, broker, baseline.between(0, 30))
    assert daemon.total("detector_mqtt_connected") == 1
    assert daemon.total("detector_mqtt_reconnects_total") == 0
    assert daemon.total("detector_windows_scored_total") > 0


def test_a_broker_that_is_killed_and_comes_back_is_subscribed_to_again(daemon, broker, baseline):
    scored = daemon.total("detector_windows_scored_total")
    broker.kill()
    daemon.wait_for(lambda: daemon.total("detector_mqtt_connected") == 0)
    assert daemon.get("/-/ready")[0] == 503
    broker.start()
    daemon.wait_until_ready()
    replay(daemon, broker, baseline.between(30, 45))
    assert daemon.total("detector_mqtt_reconnects_total") == 1
    assert daemon.total("detector_windows_scored_total") > scored
    assert daemon.total("detector_entities", state="ready") == daemon.total("detector_entities")


def test_after_all_that_sigterm_still_ends_it_with_0(daemon):
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.log


def test_a_broker_that_grants_and_does_not_serve_leaves_it_not_ready(fabric, tmp_path):
    with (
        scripted_broker([b""], suback=b"\x00\x00") as port,
        running(tmp_path, fabric.settings(bundles=False), verb="record", broker=port) as daemon,
    ):
        wanted = "the broker grants telegraf/+/interfaces and does not serve it"
        daemon.wait_for(lambda: wanted in daemon.get("/-/ready")[1])
        assert daemon.log.count("subscription unserved") == 2
        assert daemon.total("detector_subscription_unserved") == 2

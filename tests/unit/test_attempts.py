"""Failures to connect are told when they are new, and again while they last."""

import logging

import pytest

from detector.edge.attempts import AGAIN_S, Attempts
from detector.edge.failures import Failure
from detector.edge.snapshot_mqtt import ConnectFailure

REFUSED = Failure(ConnectFailure.REFUSED, "nobody listens")
EXPIRED = Failure(ConnectFailure.CERTIFICATE_EXPIRED, "renew it")


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attempts(clock, caplog):
    caplog.set_level(logging.DEBUG)
    return Attempts("reader", clock)


def told(caplog):
    lines = [
        (record.levelname, record.facts["reason"], record.facts["attempts"]) for record in caplog.records
    ]
    caplog.clear()
    return lines


def test_the_same_failure_is_told_once_until_it_lasts(attempts, clock, caplog):
    for _ in range(100):
        attempts.failed("a:1", REFUSED)
    assert told(caplog) == [("WARNING", "refused", 1)]
    clock.now_s += AGAIN_S
    attempts.failed("a:1", REFUSED)
    attempts.failed("a:1", REFUSED)
    assert told(caplog) == [("WARNING", "refused", 101)]
    assert attempts.failures["refused"] == 102


def test_another_reason_is_news_and_so_is_another_broker(attempts, caplog):
    attempts.failed("a:1", REFUSED)
    attempts.failed("b:1", REFUSED)
    attempts.failed("a:1", EXPIRED)
    attempts.failed("b:1", REFUSED)
    assert told(caplog) == [
        ("WARNING", "refused", 1), ("WARNING", "refused", 2), ("ERROR", "certificate_expired", 3),
    ]  # fmt: skip
    assert attempts.failure == "nobody listens"


def test_after_a_connection_a_failure_is_news(attempts, caplog):
    attempts.failed("a:1", REFUSED)
    attempts.succeeded()
    assert attempts.failure == ""
    attempts.failed("a:1", REFUSED)
    assert told(caplog) == [("WARNING", "refused", 1), ("WARNING", "refused", 1)]


def test_every_reason_is_counted_from_the_start(attempts):
    assert attempts.failures == dict.fromkeys(ConnectFailure, 0)

"""What the service manager hears, on a real datagram socket."""

import os
import socket

import pytest

from detector.edge import systemd


@pytest.fixture
def manager(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield receiver


def test_facts_arrive_as_one_datagram_a_line_each(manager):
    systemd.notify(READY="1", STATUS="running")
    assert manager.recv(4096) == b"READY=1\nSTATUS=running"


def test_an_abstract_socket_is_reached(monkeypatch):
    name = f"detector-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        systemd.notify(WATCHDOG="1")
        assert receiver.recv(4096) == b"WATCHDOG=1"


def test_a_line_break_in_a_status_begins_no_fact(manager):
    systemd.notify(STATUS="lost\nREADY=1")
    assert manager.recv(4096) == b"STATUS=lost READY=1"


def test_text_that_is_no_unicode_is_sent_as_it_can_be(manager):
    systemd.notify(STATUS="\udcff")
    assert manager.recv(4096) == b"STATUS=?"


def test_without_a_manager_nothing_happens(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify(READY="1")


@pytest.mark.parametrize("address", ["/nonexistent/notify", "/" + "x" * 200, "relative-and-not-there"])
def test_a_manager_that_is_gone_is_no_matter(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify(READY="1")


def test_a_manager_that_reads_nothing_does_not_stop_the_daemon(manager, monkeypatch):
    monkeypatch.setattr(systemd, "SEND_S", 0.001)
    for _ in range(600):  # more than a socket holds
        systemd.notify(STATUS="x" * 1000)


@pytest.mark.parametrize(
    ("usec", "pid", "every_s"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),  # meant for another process
        (None, None, None),
        ("", None, None),
        ("0", None, None),
        ("soon", None, None),
        ("-5", None, None),
    ],
)
def test_a_sign_of_life_is_due_twice_in_the_managers_patience(monkeypatch, usec, pid, every_s):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_s() == every_s

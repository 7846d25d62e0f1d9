"""What the HTTP edge answers, asked over a real socket."""

import gzip
import http.client
import json
import logging
import socket
import threading
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from detector.edge import http as edge
from detector.edge import metrics
from detector.edge.pages import page
from detector.edge.snapshot import Example
from detector.edge.snapshot_groups import GroupsSnapshot
from detector.stream.identity import alarm_id
from detector.stream.nouns import Alarm
from tests.support import snapshots


class Holder:
    """Stands in for the daemon: holds the newest snapshot."""

    snapshot = None

    def read(self):
        if isinstance(self.snapshot, Exception):
            raise self.snapshot
        return self.snapshot


@pytest.fixture(scope="module")
def served():
    holder = Holder()
    registry = CollectorRegistry()
    metrics.register(registry, holder.read)
    with edge.HttpServer("127.0.0.1", 0, holder.read, registry) as server:
        yield holder, server


@pytest.fixture
def ask(served):
    """Return a function that asks the server, which has the snapshot of everything unless told."""
    holder, server = served
    holder.snapshot = snapshots.snapshot()

    def ask(path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, body

    ask.holder = holder
    return ask


def test_healthy_says_ok_even_before_the_first_snapshot(ask):
    ask.holder.snapshot = None
    status, headers, body = ask("/-/healthy")
    assert (status, body) == (200, b"ok\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_ready_says_starting_before_the_first_snapshot(ask):
    ask.holder.snapshot = None
    status, _, body = ask("/-/ready")
    assert (status, body) == (503, b"starting\n")


def test_ready_says_every_reason_on_a_line(ask):
    ask.holder.snapshot = snapshots.snapshot(missing=("broker away", "stream x: warming"))
    status, _, body = ask("/-/ready")
    assert (status, body) == (503, b"broker away\nstream x: warming\n")


def test_ready_is_200_when_nothing_is_missing(ask):
    assert ask("/-/ready")[0] == 200


def test_metrics_are_plain_text_unless_asked_otherwise(ask):
    status, headers, body = ask("/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'detector_anomaly_score{device="leaf1",interface="Eth1/1",stream="interfaces"} 3.5\n' in body


def test_metrics_are_openmetrics_when_accepted(ask):
    _, headers, body = ask("/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_an_unreadable_accept_header_gets_plain_text(ask):
    status, headers, _ = ask("/metrics", Accept="application/openmetrics-text; version=x")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")


def test_metrics_are_compressed_when_accepted(ask):
    _, headers, body = ask("/metrics", Accept_Encoding="deflate, gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert b"# TYPE detector_anomaly_score gauge\n" in gzip.decompress(body)


def test_the_same_path_with_a_query_is_the_same(ask):
    assert ask("/-/healthy?x=1")[0] == 200


def test_head_has_the_headers_and_no_body(served):
    with socket.create_connection(("127.0.0.1", served[1].port), timeout=30) as client:
        client.sendall(b"HEAD /-/healthy HTTP/1.0\r\n\r\n")
        answer = client.makefile("rb").read()  # http.client would hide a body
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"\r\nContent-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/x", "/metrics/", "/../etc/passwd", "/%00"])
def test_an_unknown_path_is_404(ask, path):
    assert ask(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_another_method_is_405(ask, method):
    status, headers, _ = ask("/metrics", method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_bug_is_a_500_and_a_line_in_the_log(ask, caplog):
    ask.holder.snapshot = RuntimeError("seen in the log")
    status, _, body = ask("/metrics")
    assert (status, body) == (500, b"internal error, see the log\n")
    assert "seen in the log" in caplog.text


def test_requests_are_not_logged(ask, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    ask("/metrics")
    ask("/x")
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_it_serves_in_one_daemon_thread_named_http(served):
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "http"] == [True]


def test_a_client_that_says_nothing_does_not_hold_up_the_others(ask, served):
    with socket.create_connection(("127.0.0.1", served[1].port)):
        assert ask("/-/healthy")[0] == 200


def test_a_silent_client_is_let_go(served, monkeypatch):
    assert 0 < edge._Handler.timeout <= 60
    monkeypatch.setattr(edge._Handler, "timeout", 0.05)
    with socket.create_connection(("127.0.0.1", served[1].port), timeout=30) as client:
        assert client.recv(1) == b""


def test_a_connection_too_many_is_refused_with_503(monkeypatch):
    monkeypatch.setattr(edge, "CONNECTIONS_MAX", 1)
    with edge.HttpServer("127.0.0.1", 0, lambda: None, CollectorRegistry()) as server:
        address = ("127.0.0.1", server.port)
        # Connections are accepted in order: the first holds the only place when the second comes.
        with socket.create_connection(address), socket.create_connection(address, timeout=30) as second:
            assert second.recv(100).startswith(b"HTTP/1.0 503 ")


def test_a_taken_port_is_an_error(served):
    with pytest.raises(OSError, match="in use"):
        edge.HttpServer("127.0.0.1", served[1].port, lambda: None, CollectorRegistry())


def test_a_closed_server_answers_no_more():
    server = edge.HttpServer("127.0.0.1", 0, lambda: None, CollectorRegistry())
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_it_listens_on_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"NO IPv6 HERE: {error}")
    with edge.HttpServer("::1", 0, lambda: None, CollectorRegistry()) as server:
        socket.create_connection(("::1", server.port), timeout=30).close()


def test_the_page_names_the_signals_of_an_open_episode_in_their_units(ask):
    _, headers, body = ask("/")
    text = body.decode()
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<b>ifHCInOctets</b> ↓ 1,024 B/s <small>expected 12,350,000 B/s, 75%</small>" in text
    assert "<b>ifOperStatus</b> not seen <small>expected 1, 25%</small>" in text
    assert "2023-11-14 22:11:50 UTC" in text
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert f'href="{path}"' in text


def test_the_page_escapes_what_the_network_says(ask):
    text = ask("/")[2].decode()
    assert "&lt;i&gt;" in text
    assert "<i>" not in text


def test_the_page_shows_the_highest_scores_first_and_says_how_many_more(ask):
    entities = tuple((f"device{index}", "x") for index in range(130))
    score = np.arange(130, dtype=np.float32)
    score[7] = np.nan
    ask.holder.snapshot = snapshots.snapshot(streams=(snapshots.stream(entities=entities, score=score),))
    text = ask("/")[2].decode()
    assert "30 more" in text
    assert "device29<" not in text
    assert text.index("device129<") < text.index("device128<") < text.index("device30<")


def test_an_open_episode_that_lost_its_score_leads_the_page(ask):
    silent = snapshots.stream(
        entities=(("a", "1"), ("b", "1")),
        score=np.array([0.5, np.nan], np.float32),
        active=np.array([False, True]),
        onset_s=np.array([np.nan, snapshots.NOW_S]),
    )
    ask.holder.snapshot = snapshots.snapshot(streams=(silent,))
    text = ask("/")[2].decode()
    assert text.index("<b>b</b>") < text.index("<b>a</b>")


def test_the_page_works_before_the_first_snapshot_and_without_entities(ask):
    ask.holder.snapshot = None
    assert b"Not ready: starting" in ask("/")[2]
    ask.holder.snapshot = snapshots.snapshot(streams=(snapshots.stream(),))
    assert b"No entities yet" in ask("/")[2]


def test_the_entities_are_json_with_null_for_what_is_unknown(ask):
    _, headers, body = ask("/api/v1/entities")
    content = json.loads(body)
    first, *_, last = content["entities"]
    assert headers["Content-Type"] == "application/json"
    assert first["labels"] == {"device": "leaf1", "interface": "Eth1/1"}
    assert (first["score"], first["active"], first["onset_s"]) == (3.5, True, snapshots.NOW_S - 90)
    assert [signal["signal"] for signal in first["signals"]] == ["ifHCInOctets", "ifOperStatus", "ifInErrors"]
    assert first["signals"][1]["observed"] is None
    assert (last["score"], last["onset_s"], last["state"]) == (None, None, "unscored")


def test_an_entity_has_the_id_of_its_alarm_and_that_of_its_group(ask):
    content = json.loads(ask("/api/v1/entities")[2])["entities"]
    at_s = snapshots.NOW_S
    anomalous, silent = content[0], next(one for one in content if one["state"] == "silent")
    assert anomalous["id"] == alarm_id(Alarm.ANOMALY, "interfaces", ("leaf1", "Eth1/1"), at_s - 90)
    assert silent["id"] == alarm_id(Alarm.SILENCE, "interfaces", ('sp"ine\\1', "a\nb <i>"), at_s - 5)
    assert anomalous["group"] == silent["group"] == snapshots.groups().episodes[0].id
    assert {(one["id"], one["group"]) for one in content if one not in (anomalous, silent)} == {(None, None)}


def test_who_is_slow_and_what_is_stuck_is_on_the_page_and_in_the_entities(ask):
    text = ask("/")[2].decode()
    assert "1 anomalous, 1 slow, 1 stuck, 1 in maintenance;" in text
    assert "each <b>60 s</b> <small>expected 10 s</small>" in text
    assert "<b>ifInErrors</b> stuck at 0.5 1/s since 2023-11-14 22:08:20 UTC <small>5 min</small>" in text
    content = json.loads(ask("/api/v1/entities")[2])["entities"]
    assert [one["spells"] for one in content[:3]] == [
        [],
        [
            {
                "what": "stuck",
                "id": content[1]["spells"][0]["id"],
                "signal": "ifInErrors",
                "onset_s": snapshots.NOW_S - 300,
                "observed": 0.5,
                "expected": None,
            }
        ],
        [
            {
                "what": "slow",
                "id": content[2]["spells"][0]["id"],
                "signal": None,
                "onset_s": snapshots.NOW_S - 600,
                "observed": 60.0,
                "expected": 10.0,
            }
        ],
    ]


def test_who_is_silent_since_nobody_knows_when_has_no_id(ask):
    stream = replace(snapshots.interfaces(), last_sample_s=np.full(4, np.nan))
    ask.holder.snapshot = snapshots.snapshot(streams=(stream,))
    content = json.loads(ask("/api/v1/entities")[2])["entities"]
    assert [one["id"] for one in content if one["state"] == "silent"] == [None]


def test_the_alarms_of_groups_are_json(ask):
    _, headers, body = ask("/api/v1/groups")
    assert headers["Content-Type"] == "application/json"
    (group,) = json.loads(body)["groups"]
    member, _ = group.pop("members")
    assert member == {"stream": "interfaces", "labels": {"device": "leaf1", "interface": "Eth1/1"}}
    assert group == {
        "id": "1hf7yat0019s42kv3",
        "level": ["device"],
        "labels": {"device": "leaf1"},
        "onset_s": snapshots.NOW_S - 90,
        "anomalous": 1,
        "entities": 2,
        "members_total": 2,
    }


def test_the_alarms_of_groups_are_none_before_the_first_snapshot(ask):
    ask.holder.snapshot = None
    assert json.loads(ask("/api/v1/groups")[2]) == {"time_s": None, "groups": []}


def test_the_streams_are_json_with_null_for_what_is_unknown(ask):
    _, headers, body = ask("/api/v1/streams")
    assert headers["Content-Type"] == "application/json"
    interfaces, peers = json.loads(body)["streams"]
    assert interfaces == {
        "stream": "interfaces",
        "states": {"ready": 2, "warming": 1, "silent": 1},
        "anomalous": 1,
        "bundle": {
            "version": "20231101-1",
            "architecture": "conv1d",
            "trained_s": snapshots.NOW_S - 86400,
        },
        "budget_used": 2.5,
        "budget_exceeded": True,
        "drift": {"ifHCInOctets": 1.5, "ifOperStatus": None, "ifInErrors": 0.25},
        "retrain_advised": True,
    }
    unknown = ("bundle", "budget_used", "budget_exceeded", "retrain_advised")
    assert {peers[key] for key in unknown} == {None}


def test_the_streams_are_none_before_the_first_snapshot(ask):
    ask.holder.snapshot = None
    assert json.loads(ask("/api/v1/streams")[2]) == {"time_s": None, "streams": []}


def test_the_page_says_how_a_stream_keeps_its_budget_and_that_it_has_drifted(ask):
    text = ask("/")[2].decode()
    known = "conv1d 20231101-1; alarms of a week 2.5 times the budget, beyond chance; "
    assert f"{known}drift 1.5 (ifHCInOctets), train again" in text
    assert "no bundle<" in text
    calm = replace(snapshots.interfaces(), budget_exceeded=False, retrain_advised=False)
    ask.holder.snapshot = snapshots.snapshot(streams=(calm,))
    assert "2.5 times the budget; drift 1.5 (ifHCInOctets)<" in ask("/")[2].decode()


def test_the_page_leads_with_the_alarms_of_groups(ask):
    text = ask("/")[2].decode()
    assert "device <b>leaf1</b> <small>1hf7yat0019s42kv3</small><td class=num>1 of 2" in text
    assert "<div>leaf1 Eth1/1 <small>interfaces</small></div>" in text
    assert text.index("<h2>Groups") < text.index("<h2>Entities") < text.index("<th>Entity")
    ask.holder.snapshot = snapshots.snapshot(groups=GroupsSnapshot())
    assert b"<h2>Groups" not in ask("/")[2]


def test_the_page_names_few_members_of_few_groups(ask):
    (one,) = snapshots.groups().episodes
    many = replace(one, members=one.members * 5, members_total=3000)
    ask.holder.snapshot = snapshots.snapshot(groups=GroupsSnapshot(episodes=(many,) * 130))
    text = ask("/")[2].decode()
    assert text.count("<small>and 2,995 more</small>") == 100
    assert "<p>30 more.</p>" in text


def test_a_broken_bound_is_told_first_with_its_key(ask):
    stream = snapshots.interfaces()
    (episode,) = stream.episodes
    broken = replace(
        episode,
        contribution=np.array([1.0, 0.0, 0.0], np.float32),
        observed=np.array([1024.5, 7.0, 0.0], np.float32),
        bound=np.array([np.nan, 5.0, np.nan], np.float32),
    )
    ask.holder.snapshot = snapshots.snapshot(streams=(replace(stream, episodes=(broken,)),))
    first, second, _ = json.loads(ask("/api/v1/entities")[2])["entities"][0]["signals"]
    assert (first["signal"], first["breach"], first["bound"]) == ("ifOperStatus", "valid_max", 5.0)
    assert (second["signal"], second["breach"], second["bound"]) == ("ifHCInOctets", None, None)
    assert "<b>ifOperStatus</b> ↑ 7 <small>valid_max 5, 0%</small>" in ask("/")[2].decode()


def test_who_is_in_maintenance_or_muted_is_told(ask):
    entities = json.loads(ask("/api/v1/entities")[2])["entities"]
    told = {tuple(one["labels"].values()): (one["maintenance"], one["muted"]) for one in entities}
    assert told["leaf1", "Eth1/1"] == (False, False)
    assert told["leaf1", "Eth1/2"] == (True, False)
    assert told["leaf2", "Eth1/1"] == (False, True)
    page = ask("/")[2].decode()
    assert "<td>ready <small>in maintenance</small>" in page
    assert "<td>warming <small>muted</small>" in page
    assert "1 in maintenance; conv1d" in page


def test_the_entities_are_an_empty_list_before_the_first_snapshot(ask):
    ask.holder.snapshot = None
    content = json.loads(ask("/api/v1/entities")[2])
    assert content == {"time_s": None, "missing": ["starting"], "entities": []}


def test_the_page_shows_what_was_refused_last_and_nothing_of_it_is_markup():
    example = Example("net/<script>alert(1)</script>", '{"a": "<img onerror=x>&"}')
    text = page(snapshots.snapshot(examples={"not_json": example}))
    assert "<script>" not in text
    assert "<img" not in text
    assert "not_json<td>net/&lt;script&gt;alert(1)&lt;/script&gt;<td><code>{&quot;a&quot;" in text
    assert "Refused last" not in page(snapshots.snapshot(examples={}))

"""The example configuration and the alerts, judged by Prometheus itself."""

import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from detector.edge import metrics
from detector.edge.http import HttpServer
from detector.edge.snapshot_groups import GroupsSnapshot
from tests.support import snapshots
from tests.support.programs import program
from tests.support.prometheus import prometheus, wait_until

CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
TESTS = sorted((CONFIG / "tests").glob("*.test.yml"))


def promtool(*arguments):
    """Run promtool where the files are; return its exit code and what it says."""
    command = [program("promtool"), *arguments]
    result = subprocess.run(command, cwd=CONFIG, text=True, capture_output=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_promtool_accepts_the_configuration_and_the_rules_it_names():
    code, said = promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert code == 0, said
    assert "rules found" in said


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_alerts_fire_when_they_should_and_only_then(path):
    code, said = promtool("test", "rules", f"tests/{path.name}")
    assert code == 0, said


def test_every_alert_has_a_test():
    alerts = {
        line.split()[-1]
        for line in (CONFIG / "detector.rules.yml").read_text().splitlines()
        if "- alert:" in line
    }
    tested = {
        line.split()[-1] for path in TESTS for line in path.read_text().splitlines() if "alertname:" in line
    }
    assert alerts == tested


@pytest.mark.parametrize(
    ("groups", "alert", "labels"),
    [
        (GroupsSnapshot(), "DetectorAnomaly", {"device": "leaf1", "interface": "Eth1/1"}),
        (snapshots.groups(), "DetectorGroupAnomaly", {"device": "leaf1", "level": "device"}),
    ],
)
def test_a_real_prometheus_scrapes_the_http_edge_and_raises_one_alert(tmp_path, groups, alert, labels):
    registry = CollectorRegistry()
    told = snapshots.snapshot(groups=groups)
    metrics.register(registry, lambda: told)
    with (
        HttpServer("127.0.0.1", 0, lambda: told, registry) as server,
        prometheus(tmp_path, f"127.0.0.1:{server.port}", rules=[CONFIG / "detector.rules.yml"]) as store,
    ):
        store.wait_until_scraped()
        firing = 'ALERTS{alertname=~"DetectorAnomaly|DetectorGroupAnomaly", alertstate="firing"}'
        wait_until(lambda: store.query(firing), lambda: f"no alert: {store.get('/api/v1/rules')}")
        (found,) = [one["metric"] for one in store.query(firing)]
        assert found["alertname"] == alert
        assert labels.items() <= found.items()

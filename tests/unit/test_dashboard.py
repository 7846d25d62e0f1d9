"""The Grafana dashboard asks for what is exported."""

import json
import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from detector.edge import metrics
from tests.support import dashboard, snapshots


@pytest.fixture(scope="module")
def exported():
    """Return the names of all series of a snapshot in which everything occurs."""
    registry = CollectorRegistry()
    plain = snapshots.snapshot()
    broken = snapshots.out_of_range(snapshots.interfaces())
    metrics.register(registry, lambda: replace(plain, streams=(broken, *plain.streams[1:])))
    return {sample.name for family in registry.collect() for sample in family.samples}


def test_the_schema_is_recent_and_the_data_source_is_a_variable():
    content = json.loads(dashboard.PATH.read_text())
    assert content["schemaVersion"] >= 39
    assert content["templating"]["list"][0]["type"] == "datasource"
    sources = [panel["datasource"]["uid"] for panel in dashboard.panels()]
    assert set(sources) == {"${datasource}"}


@pytest.mark.parametrize("panel", dashboard.panels(), ids=lambda panel: panel["title"])
def test_every_panel_has_a_query_a_unit_and_a_description(panel):
    assert panel["targets"]
    assert all(target["expr"] for target in panel["targets"])
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"]


def test_no_two_panels_overlap_and_none_is_wider_than_the_page():
    cells = []
    for panel in json.loads(dashboard.PATH.read_text())["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells += [
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        ]
    assert len(set(cells)) == len(cells)


@pytest.mark.parametrize(("title", "promql"), dashboard.queries())
def test_every_name_in_a_query_is_exported(title, promql, exported):
    names = set(re.findall(r"\b(?:detector|process)_\w+", promql))
    assert names
    assert names <= exported
    assert "$" not in promql


def test_the_variable_of_streams_reads_a_name_that_is_exported(exported):
    variable = json.loads(dashboard.PATH.read_text())["templating"]["list"][1]
    assert re.search(r"\((\w+),", variable["definition"])[1] in exported
    assert variable["query"]["query"] == variable["definition"]


def test_every_name_in_an_alert_is_exported(exported):
    rules = dashboard.PATH.parents[1] / "prometheus" / "detector.rules.yml"
    names = set(re.findall(r"\b(?:detector|process)_\w+(?=[{\[ )])", re.sub("#.*", "", rules.read_text())))
    assert "detector_anomaly_active" in names
    assert names <= exported

"""The report of a training: numbers that are true, in the manifest, and a page that stands alone."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from detector.cli import main
from detector.model import bundle
from detector.model.design import Design
from detector.train.figures import figures
from detector.train.fit import fit
from detector.train.inject import KINDS, SIZES
from detector.train.judge import Arena, folds, judge
from detector.train.learn import Course
from detector.train.report import page
from detector.train.search import Candidate
from detector.train.select import select
from detector.train.trainer import train
from tests.support.pasts import past
from tests.unit.test_bundles import Data, edit

PAST = past(3, 1600, 3)


@pytest.fixture(name="selection", scope="module")
def _selection():
    candidates = []
    for name in ("pca", "ewma"):
        results = [judge(Arena(PAST, fold, 0), Design(name), 0, 1) for fold in folds(PAST)]
        candidates.append(Candidate(Design(name), results, finished=True))
    given_up = Candidate(Design("gru"), [replace(candidates[0].results[0], found=0.1)])
    return select([*candidates, given_up])


@pytest.fixture(name="fitted", scope="module")
def _fitted():
    return fit(PAST, Design("pca"), 0, 1, lambda *_: None)


@pytest.fixture(name="told", scope="module")
def _told(fitted, selection):
    return figures(PAST, fitted, selection)


@pytest.fixture(name="version", scope="module")
def _version(tmp_path_factory, selection):
    out = tmp_path_factory.mktemp("report")
    settings = {"seed": 0, "epochs": 1, "progress": lambda *_: None}
    return train(Data, PAST, out, Design("pca"), **settings, selection=selection)[0]


def test_figures_are_json_and_short(told):
    text = json.dumps(told, allow_nan=False)
    assert json.loads(text) == told
    assert len(text) < 100_000


def test_cases_are_those_of_all_folds_the_chosen_one_first(told, selection):
    assert [one["architecture"] for one in told["cases"]] == ["pca", "ewma"]
    cases = told["cases"][0]["cases"]
    assert [tuple(case[:2]) for case in cases] == [(kind, size) for kind in KINDS for size in SIZES]
    faults = sum(case.faults for result in selection.chosen.results for case in result.cases)
    assert sum(case[3] for case in cases) == faults


def test_a_stretch_shows_what_was_observed_and_expected_in_raw_units(told, fitted):
    worst = told["windows"][0]
    assert worst["what"] == "worst"
    (entity,) = worst["entity"]
    row = PAST.entities.index((entity,))
    at = worst["time_s"].index(worst["judged_s"])
    position = int(worst["judged_s"] / 60.0) - int(PAST.step[0])
    index = PAST.definition.signal_names.index(worst["signals"][0]["name"])
    assert worst["signals"][0]["observed"][at] == pytest.approx(PAST.value[row, position, index], rel=1e-3)
    assert abs(worst["signals"][0]["expected"][at] - PAST.value[row, position, index]) < 40.0
    assert worst["score"][at] == pytest.approx(max(told["scores"]["highest"]), rel=1e-3)
    entities = [one["entity"] for one in told["windows"] if one["what"] == "worst"]
    assert len(entities) == len(set(map(tuple, entities))), "each worst one is of another entity"


def test_the_fitted_tail_meets_the_budget_at_the_edge_of_normal(told):
    tail = told["tail"]
    at_edge = np.interp(0.0, np.log(tail["fitted_score"][::-1]), np.log(tail["fitted_episodes_a_week"][::-1]))
    assert np.exp(at_edge) == pytest.approx(tail["budget"], rel=0.2)


def test_errors_are_in_deviations_and_raw_units(told, fitted):
    for index, one in enumerate(told["signals"]):
        scale = float(fitted.scaling.scale[:, index].mean())
        assert one["error_raw"] == pytest.approx(one["error_mean"] * scale, rel=0.3)
        assert one["error_p99"] > one["error_mean"]


class Links(HTMLParser):
    """Collects what a page asks for."""

    def __init__(self):
        super().__init__()
        self.asked, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.asked += [value for name, value in attrs if name in {"src", "href"}]
        self.open.append(tag)


def test_the_page_stands_alone_and_says_what_was_chosen_and_why(version):
    text = page(bundle.load(version).manifest)
    links = Links()
    links.feed(text)
    assert links.asked
    assert all(one.startswith("data:image/svg+xml,") for one in links.asked)
    assert "script" not in links.open
    assert "mathdefault" not in text
    assert re.search(r"<tr class=chosen><th>1 pca", text)
    assert re.search(r"<tr class=given-up><th>3 gru", text)
    assert "no network" not in text or "finds" in text
    for title in ("Candidates", "Faults of each kind and size", "Errors", "Observed and expected"):
        assert f"<h2>{title}</h2>" in text


def test_a_name_is_no_markup(version):
    manifest = json.loads(json.dumps(dict(bundle.load(version).manifest)))
    manifest["stream"]["name"] = "<b>x"
    manifest["selection"]["why"] = "<script>"
    manifest["figures"]["windows"][0]["entity"] = ["<i>"]
    text = page(manifest)
    assert "<b>x" not in text
    assert "<script>" not in text
    assert "<i>" not in text


def test_a_course_is_drawn_where_something_was_taught(version):
    manifest = json.loads(json.dumps(dict(bundle.load(version).manifest)))
    assert "<h2>Learning</h2>" not in page(manifest)
    course = Course([0.3, 0.2, 0.15], [0.3, 0.25, 0.26])
    manifest["figures"]["course"] = {"loss": course.loss, "held_out_loss": course.held_out_loss}
    assert "<h2>Learning</h2>" in page(manifest)


def test_the_page_of_a_bundle_can_be_made_again_and_of_an_old_one_not(tmp_path, version, capsys):
    file = tmp_path / "report.html"
    assert main(["bundle", "show", str(version), "--report", str(file)]) == 0
    assert file.read_text("utf-8") == page(bundle.load(version).manifest)
    edit(version, lambda manifest: manifest.pop("figures"))
    assert main(["bundle", "show", str(version), "--report", str(file)]) == 78
    assert "train it again to have a report" in capsys.readouterr().err


def test_too_little_data_to_choose_by_has_a_page_too(tmp_path):
    settings = {"seed": 0, "epochs": 1, "progress": lambda *_: None}
    version, _ = train(Data, past(3, 200, 2), tmp_path, Design("pca"), **settings)
    assert "<h2>Candidates</h2>" not in page(bundle.load(version).manifest)

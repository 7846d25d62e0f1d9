"""A training as a page: why this design, how it was learnt, what it expects, what it finds.

Drawn from a manifest alone, so that the page of any bundle can be made again. One file without anything from
elsewhere: it can be mailed, archived, and looked at without a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from detector.evaluate.page import STYLE, image, utc
from detector.train import drawings
from detector.train.findings import Findings

Manifest = Mapping[str, Any]


def page(manifest: Manifest) -> str:
    """Return the page of a manifest with figures.

    Raises:
        ValueError: There are none in it: it is of an older training.
    """
    figures = manifest.get("figures")
    if not figures:
        raise ValueError("trained before there were figures: train it again to have a report")
    stream = escape(manifest["stream"]["name"])
    body = "".join(
        [
            *_summary(manifest),
            *_candidates(manifest),
            *_cases(figures),
            *_learning(figures),
            *_windows(figures),
        ]
    )
    return _PAGE.format(name=stream, style=STYLE, body=body)


def _summary(manifest: Manifest) -> Iterator[str]:
    data, selection = manifest["data"], manifest["selection"]
    yield f"<p><b>{escape(selection['why'])}.</b>"
    if "warning" in selection:
        yield f"<p class=warning>{escape(selection['warning'])}."
    stream = manifest["stream"]
    days = (data["end_s"] - data["start_s"]) / 86_400.0
    facts = [
        ("Trained on", f"{utc(data['start_s'])} to {utc(data['end_s'])}, {days:.1f} days"),
        ("Records", f"{data['records']:,} of {data['entities']:,} entities"),
        (
            "Windows",
            f"{stream['window_steps']} steps of {stream['step_s']:g} s, {len(stream['signals'])} signals",
        ),
        ("Longest hole", f"{data['hole_s']:g} s"),
        ("Looked like incidents", f"{manifest['held_out'].get('suspected_share', 0.0):.2%} of the windows"),
        ("Design", _design(manifest)),
    ]
    lines = "".join(f"<tr><th>{name}<td>{escape(value)}" for name, value in facts)
    yield f"<table>{lines}</table>"
    names = ("unseen", "hole_s", "drift", "constant", "alike")
    for line in Findings(**{name: data[name] for name in names}).lines():
        yield f"<p>{escape(line[0].upper() + line[1:])}."


def _design(one: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in one["design"].items())
    return f"{one['architecture']}{': ' if told else ''}{told}"


def _candidates(manifest: Manifest) -> Iterator[str]:
    told = manifest["selection"].get("candidates", [])
    if not told:
        return
    named = [{**one, "name": f"{number} {one['architecture']}"} for number, one in enumerate(told, 1)]
    chosen = next(
        (
            one["name"]
            for one in named
            if (one["architecture"], one["design"]) == (manifest["architecture"], manifest["design"])
        ),
        "",
    )
    yield "<h2>Candidates</h2>"
    yield _image(drawings.candidates(named, chosen))
    head = "".join(f"<th class=num>{name}" for name in ("Found", "±", "Error", "µs a window"))
    lines = "".join(_candidate(one, one["name"] == chosen) for one in named)
    yield f"<div class=wide><table class=candidates><tr><th>Candidate<th>Design{head}{lines}</table></div>"
    yield (
        "<p>Found: of faults injected into later time, at the budget, the mean over the folds and its "
        "standard error. Error: of the newest step, in robust deviations. Grey: given up early.</p>"
    )


def _candidate(one: Mapping[str, Any], is_chosen: bool) -> str:  # noqa: FBT001 -- of a row
    found = one["found_ratio"]
    mean = sum(found) / len(found)
    spread = (sum((each - mean) ** 2 for each in found) / max(len(found) - 1, 1) / len(found)) ** 0.5
    numbers = (
        f"{mean:.1%}",
        f"{spread:.1%}" if len(found) > 1 else "-",
        f"{sum(one['error']) / len(one['error']):.3f}",
        f"{one['window_us']:.1f}",
    )
    kind = " class=chosen" if is_chosen else "" if one["finished"] else " class=given-up"
    told = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in one["design"].items())
    return f"<tr{kind}><th>{escape(one['name'])}<td>{escape(told)}" + "".join(
        f"<td class=num>{number}" for number in numbers
    )


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cases(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is found of each kind and size of fault, as a table of colors, the chosen one first."""
    if not figures["cases"]:
        return
    yield "<h2>Faults of each kind and size</h2><div class=maps>"
    for one in figures["cases"]:
        kinds = list(dict.fromkeys(case[0] for case in one["cases"]))
        sizes = list(dict.fromkeys(case[1] for case in one["cases"]))
        share = {(kind, size): found / max(faults, 1) for kind, size, found, faults in one["cases"]}
        head = "".join(f"<th class=num>{size:g}" for size in sizes)
        lines = "".join(
            f"<tr><th>{kind}" + "".join(_cell(share[kind, size]) for size in sizes) for kind in kinds
        )
        caption = f"<caption>{escape(one['architecture'])}</caption>"
        yield f"<table class=map>{caption}<tr><th>{head}{lines}</table>"
    yield "</div><p>Columns: the size in robust deviations. Found at the budget.</p>"


def _cell(share: float) -> str:
    return f"<td class=num style='background:rgb(42 157 92 / {share:.2f})'>{share:.0%}"


def _learning(figures: Mapping[str, Any]) -> Iterator[str]:
    if figures["course"]["loss"]:
        yield "<h2>Learning</h2>" + _image(drawings.courses(figures["course"]))
    yield "<h2>Errors</h2>" + _image(drawings.errors(figures["signals"]))
    yield "<h2>Scores of the training data</h2>" + _image(drawings.scores(figures["scores"]))
    yield _image(drawings.tail(figures["tail"]))


def _windows(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Observed and expected</h2>"
    for one in figures["windows"]:
        name = escape(" ".join(one["entity"]) or "all")
        caption = f"<b>{one['what'].capitalize()}</b> {name}, {utc(one['judged_s'])}"
        yield f"<figure><figcaption>{caption}</figcaption>"
        yield _image(drawings.window(one)) + "</figure>"


def _image(svg: str) -> str:
    return f"<div class=wide>{image(svg)}</div>"


_PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>detector train: {name}</title>
<style>
{style}
.warning {{ border-left: .3rem solid #d03b3b; padding-left: .6rem }}
.wide {{ overflow-x: auto }} .wide img {{ min-width: 36rem }}
.chosen {{ background: #2a9d5c33 }} .given-up {{ opacity: .55 }}
.maps {{ display: flex; flex-wrap: wrap; gap: 1.5rem }} .map {{ width: auto }}
caption {{ font-weight: 600; text-align: left }}
@media (max-width: 45rem) {{ .candidates tr > :nth-child(2) {{ display: none }} }}
</style>
<h1>detector train: {name}</h1>
{body}
"""

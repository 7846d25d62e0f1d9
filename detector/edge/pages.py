"""Snapshot -> what people and scripts read: the page, the entities as JSON, readiness."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

import numpy as np
import orjson

from detector.edge.explained import signals_of
from detector.edge.pages_groups import groups_table
from detector.edge.pages_spells import spells_by_entity, spells_html, spells_json
from detector.edge.pages_streams import stream_line
from detector.edge.snapshot import OpenEpisode, Snapshot, StreamSnapshot
from detector.stream.identity import alarm_id
from detector.stream.nouns import Alarm, Spell

ROWS_MAX = 100  # nobody reads further, and a phone renders it at once
LEADING_MAX = 3  # signals named for an open episode
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


class _Row(NamedTuple):
    stream: StreamSnapshot
    at: int
    episode: OpenEpisode | None
    group: str | None  # the id of the episode of a group that it is in
    spells: tuple[Spell, ...]

    @property
    def alarm_id(self) -> str | None:
        """The id of its episode, or of its silence."""
        stream, at = self.stream, self.at
        if stream.active[at]:
            return alarm_id(Alarm.ANOMALY, stream.name, stream.entities[at], float(stream.onset_s[at]))
        if not stream.told_silent[at] or math.isnan(stream.last_sample_s[at]):
            return None
        return alarm_id(Alarm.SILENCE, stream.name, stream.entities[at], float(stream.last_sample_s[at]))


def missing(snapshot: Snapshot | None) -> tuple[str, ...]:
    """Return what readiness waits for, a line each; empty means ready."""
    return ("starting",) if snapshot is None else snapshot.missing


def entities_json(snapshot: Snapshot | None) -> bytes:
    """Return all entities as a JSON object, highest score first; what is unknown is null."""
    rows = [] if snapshot is None else _rows(snapshot, None)
    content = {
        "time_s": None if snapshot is None else snapshot.time_s,
        "missing": missing(snapshot),
        "entities": [_entity(row) for row in rows],
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)  # which writes NaN as null


def page(snapshot: Snapshot | None) -> str:
    """Return the HTML page: the entities with the highest scores, and why they are anomalous."""
    reasons = missing(snapshot)
    ready = "".join(f"<p class=bad>Not ready: {escape(reason)}</p>" for reason in reasons)
    parts = (_summary, _groups, _table, _refused)
    body = "" if snapshot is None else "".join(part(snapshot) for part in parts)
    return _PAGE.format(ready=ready or "<p class=good>Ready</p>", body=body)


def _rows(snapshot: Snapshot, rows_max: int | None) -> list[_Row]:
    """Highest score first, none last; an open episode that lost its score (it fell silent) leads.

    Who is slow or has a stuck signal comes with those at the edge of normal.
    """
    places = [(stream, index) for stream in snapshot.streams for index in range(len(stream.entities))]
    if not places:
        return []
    score = np.concatenate([stream.score for stream in snapshot.streams])
    active = np.concatenate([stream.active for stream in snapshot.streams])
    score = np.where(active & np.isnan(score), np.inf, score)
    spells = {stream.name: spells_by_entity(stream) for stream in snapshot.streams}
    odd = np.array([stream.entities[index] in spells[stream.name] for stream, index in places])
    score = np.where(odd, np.fmax(score, 1.0), score)
    order = np.argsort(-score, kind="stable")[:rows_max].tolist()  # NaN sorts last
    episodes = {
        (stream.name, episode.entity): episode for stream in snapshot.streams for episode in stream.episodes
    }
    grouped = snapshot.groups.grouped
    return [
        _Row(stream, index, episodes.get(key), grouped.get(key), spells[key[0]].get(key[1], ()))
        for stream, index in (places[place] for place in order)
        for key in [(stream.name, stream.entities[index])]
    ]


def _entity(row: _Row) -> dict[str, Any]:
    stream, at, episode, group, spells = row
    active = bool(stream.active[at])
    return {
        "stream": stream.name,
        "labels": dict(zip(stream.labels, stream.entities[at], strict=True)),
        "state": stream.state[at].value,
        "score": stream.score[at],
        "active": active,
        "id": row.alarm_id,
        "group": group,
        "maintenance": bool(stream.in_maintenance[at]),
        "muted": bool(stream.muted[at]),
        "onset_s": stream.onset_s[at] if active else None,
        "last_sample_s": stream.last_sample_s[at],
        "signals": [] if episode is None else list(_signals(stream, episode)),
        "spells": spells_json(stream.name, spells),
    }


def _signals(stream: StreamSnapshot, episode: OpenEpisode) -> Iterator[dict[str, Any]]:
    return signals_of(stream.signals, stream.units, episode)


def _summary(snapshot: Snapshot) -> str:
    mqtt = "connected" if snapshot.mqtt.connected and snapshot.mqtt.thread_alive else "away"
    lines = [f"<li>{_utc(snapshot.time_s)} <li>Broker <b>{mqtt}</b>"]
    lines += [f"<li>{stream_line(stream)}" for stream in snapshot.streams]
    return f"<ul>{''.join(lines)}</ul>"


def _groups(snapshot: Snapshot) -> str:
    return groups_table(snapshot, lambda time_s: _since(time_s, snapshot.time_s))


def _table(snapshot: Snapshot) -> str:
    total = sum(len(stream.entities) for stream in snapshot.streams)
    rows = "".join(_tr(row, snapshot.time_s) for row in _rows(snapshot, ROWS_MAX))
    more = f"<p>{total - ROWS_MAX:,} more with lower scores or none.</p>" if total > ROWS_MAX else ""
    head = "<tr><th>Entity<th class=num>Score<th>State<th>Open since<th>Leading signals"
    return f"<table><thead>{head}<tbody>{rows}</table>{more}" if rows else "<p>No entities yet.</p>"


def _refused(snapshot: Snapshot) -> str:
    """The last that each reason struck: text of whoever may publish, so all of it is escaped."""
    if not snapshot.examples:
        return ""
    rows = "".join(
        f"<tr><td>{escape(reason)}<td>{escape(one.of)}<td><code>{escape(one.what)}</code>"
        for reason, one in sorted(snapshot.examples.items())
    )
    return f"<h2>Refused last</h2><table><tbody>{rows}</table>"


def _tr(row: _Row, now_s: float) -> str:
    stream, at, episode, _, spells = row
    active = bool(stream.active[at])
    score = float(stream.score[at])
    labels = " ".join(f"<b>{escape(value)}</b>" for value in stream.entities[at])
    name = f"{escape(stream.name)} {row.alarm_id or ''}".rstrip()
    told = [] if episode is None else _signals(stream, episode)
    leading = [one for one in told if one["contribution"] > 0 or one["breach"]][:LEADING_MAX]
    odd = spells_html(stream, spells, _number, lambda time_s: _since(time_s, now_s))
    onset_s = float(stream.onset_s[at])
    cells = (
        f"<td>{labels} <small>{name}</small>",
        f"<td class=num>{'&ndash;' if math.isnan(score) else f'{score:.2f}'}",
        f"<td>{_state(stream, at)}",
        f"<td>{_since(onset_s, now_s)}" if active else "<td>",
        f"<td>{''.join(_signal(**signal) for signal in leading)}{odd}",
    )
    return f"<tr{' class=open' if active else ''}>{''.join(cells)}"


def _state(stream: StreamSnapshot, at: int) -> str:
    state = "anomalous" if stream.active[at] else escape(stream.state[at].value)
    maintenance = " <small>in maintenance</small>" if stream.in_maintenance[at] else ""
    return state + maintenance + (" <small>muted</small>" if stream.muted[at] else "")


def _signal(
    signal: str,
    unit: str,
    contribution: float,
    direction: float,
    observed: float,
    expected: float,
    breach: str | None,
    bound: float,
) -> str:
    arrow = "↑" if direction > 0 else "↓"
    of = f" {escape(unit)}".rstrip()
    seen = "not seen" if math.isnan(observed) else f"{arrow} {_number(observed)}{of}"
    wanted = "" if math.isnan(expected) else f"expected {_number(expected)}{of}, "
    wanted = f"{breach} {_number(bound)}{of}, " if breach else wanted
    return f"<div><b>{escape(signal)}</b> {seen} <small>{wanted}{contribution:.0%}</small></div>"


def _number(value: float) -> str:
    """Four digits, and thousands apart: `12,340,000`, `0.1234`."""
    return f"{float(f'{value:.4g}'):,.15g}"


def _utc(time_s: float) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # a data clock may be anywhere
        return "&ndash;"


def _since(time_s: float, now_s: float) -> str:
    return f"{_utc(time_s)} <small>{_span(now_s - time_s)}</small>"


def _span(duration_s: float) -> str:
    if not duration_s >= 0:
        return ""
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if duration_s >= unit_s:
            return f"{duration_s / unit_s:.0f} {unit}"
    return f"{duration_s:.0f} s"


_PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=refresh content=15>
<title>detector</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 0 1rem 2rem }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 .3rem }}
h1 {{ display: inline-block; font-size: 1.3rem; margin: 1rem 1.5rem .5rem 0 }}
nav {{ display: inline-block }} nav a {{ margin-right: 1rem }}
p {{ margin: .5rem 0 }} ul {{ list-style: none; margin: .5rem 0 1rem; padding: 0 }}
.good, .bad {{ border-left: 4px solid #2a9d5c; padding-left: .5rem }} .bad {{ border-color: #d03b3b }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .4rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }}
tr {{ border-bottom: 1px solid #8884 }} .open {{ background: #d03b3b1c }}
.num {{ font-variant-numeric: tabular-nums; text-align: right }} small {{ opacity: .7 }}
@media (max-width: 40rem) {{
  thead {{ display: none }} tbody, tr, td {{ display: block }} tr {{ padding: .4rem 0 }}
  td {{ padding: .05rem .4rem }} td:nth-child(n+2):nth-child(-n+4) {{ display: inline-block }}
  .num {{ text-align: left }} .num::before {{ content: "Score " }}
}}
</style>
<h1>detector</h1>
<nav><a href="/metrics">metrics</a><a href="/-/healthy">healthy</a><a href="/-/ready">ready</a
><a href="/api/v1/entities">entities as JSON</a><a href="/api/v1/groups">groups as JSON</a
><a href="/api/v1/streams">streams as JSON</a></nav>
{ready}
{body}
"""

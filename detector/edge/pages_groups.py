"""Snapshot -> what people and scripts read of alarms of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import orjson

from detector.edge.snapshot import Snapshot
from detector.edge.snapshot_groups import OpenGroupEpisode

ROWS_MAX = 100  # as of the entities
NAMED_MAX = 5  # members in a row of the page; the JSON has more


def groups_json(snapshot: Snapshot | None) -> bytes:
    """Return the open episodes of groups as a JSON object, the oldest first."""
    labels = {} if snapshot is None else _labels(snapshot)
    content = {
        "time_s": None if snapshot is None else snapshot.time_s,
        "groups": [] if snapshot is None else [_group(one, labels) for one in _sorted(snapshot)],
    }
    return orjson.dumps(content)


def groups_table(snapshot: Snapshot, time: Callable[[float], str]) -> str:
    """Return the table of open episodes of groups, empty where there is none; `time` shows one in HTML."""
    episodes = _sorted(snapshot)
    if not episodes:
        return ""
    rows = "".join(_tr(one, time) for one in episodes[:ROWS_MAX])
    more = f"<p>{len(episodes) - ROWS_MAX:,} more.</p>" if len(episodes) > ROWS_MAX else ""
    head = "<tr><th>Group<th class=num>Anomalous<th>Open since<th>Members"
    return f"<h2>Groups</h2><table><thead>{head}<tbody>{rows}</table>{more}<h2>Entities</h2>"


def _sorted(snapshot: Snapshot) -> list[OpenGroupEpisode]:
    return sorted(snapshot.groups.episodes, key=lambda one: one.id)


def _labels(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    return {stream.name: stream.labels for stream in snapshot.streams}


def _group(episode: OpenGroupEpisode, labels: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {
        "id": episode.id,
        "level": episode.group.level,
        "labels": dict(zip(episode.group.level, episode.group.values, strict=True)),
        "onset_s": episode.onset_s,
        "anomalous": episode.anomalous,
        "entities": episode.entities,
        "members_total": episode.members_total,
        "members": [
            {"stream": stream, "labels": dict(zip(labels[stream], entity, strict=True))}
            for stream, entity in episode.members
        ],
    }


def _tr(episode: OpenGroupEpisode, time: Callable[[float], str]) -> str:
    pairs = zip(episode.group.level, episode.group.values, strict=True)
    group = " ".join(f"{escape(name)} <b>{escape(value)}</b>" for name, value in pairs)
    members = "".join(
        f"<div>{escape(' '.join(entity))} <small>{escape(stream)}</small></div>"
        for stream, entity in episode.members[:NAMED_MAX]
    )
    more = episode.members_total - min(len(episode.members), NAMED_MAX)
    cells = (
        f"<td>{group} <small>{episode.id}</small>",
        f"<td class=num>{episode.anomalous:,} of {episode.entities:,}",
        f"<td>{time(episode.onset_s)}",
        f"<td>{members}{f'<small>and {more:,} more</small>' if more else ''}",
    )
    return f"<tr class=open>{''.join(cells)}"

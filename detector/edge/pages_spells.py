"""Snapshot -> what people and scripts read: who is slow, and what is stuck."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from detector.edge.snapshot import StreamSnapshot
from detector.stream.identity import spell_id
from detector.stream.nouns import Alarm, Entity, Spell


def spells_by_entity(stream: StreamSnapshot) -> dict[Entity, tuple[Spell, ...]]:
    """Return the spells of a stream, by whose they are."""
    found: dict[Entity, tuple[Spell, ...]] = {}
    for spell in stream.spells:
        found[spell.entity] = (*found.get(spell.entity, ()), spell)
    return found


def spells_json(stream: str, spells: Iterable[Spell]) -> list[dict[str, Any]]:
    """Return spells of a stream as the API has them; what does not apply is null."""
    return [
        {
            "what": spell.what.value,
            "id": spell_id(stream, spell),
            "signal": spell.signal or None,
            "onset_s": spell.onset_s,
            "observed": spell.observed,
            "expected": spell.usual,
        }
        for spell in spells
    ]


def spells_html(
    stream: StreamSnapshot,
    spells: Iterable[Spell],
    number: Callable[[float], str],
    since: Callable[[float], str],
) -> str:
    """Return spells for a cell of the page; `since` shows a time in HTML."""
    units = dict(zip(stream.signals, stream.units, strict=True))
    lines = []
    for one in spells:
        if one.what is Alarm.SLOW:
            line = f"each <b>{number(one.observed)} s</b> <small>expected {number(one.usual)} s</small>"
        else:
            value = f"{number(one.observed)} {escape(units[one.signal])}".rstrip()
            line = f"<b>{escape(one.signal)}</b> stuck at {value} since {since(one.onset_s)}"
        lines.append(f"<div>{line}</div>")
    return "".join(lines)

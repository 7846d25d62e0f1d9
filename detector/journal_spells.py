"""What the daemon's log says of slow entities and stuck signals: when it begins, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice

from detector.logs import say
from detector.stream.definition import Definition
from detector.stream.groups import Gathering, Groups
from detector.stream.identity import spell_id
from detector.stream.nouns import Alarm, Spell

LOG = logging.getLogger("detector.daemon")

SPELLS_TOLD = 20
"""Spells with a line of their own in a step; of an agent that serves a cache there are hundreds."""


def tell_spells(
    definition: Definition,
    begun: Sequence[Spell],
    over: Sequence[Spell],
    groups: Groups,
    gathering: Gathering,
) -> None:
    """Log the spells of a step that began, and those that are over; within an alarm of a group no warning."""
    units = {signal.name: signal.unit for signal in definition.signals}
    for spell in islice(begun, SPELLS_TOLD):
        episode = groups.episode_of((definition.name, spell.entity))
        group = {"group": episode.id} if episode else {}
        level = logging.INFO if episode else logging.WARNING
        _say_of(definition, spell, spell.what, level, **_facts(spell, units), **group)
    for spell in islice(over, SPELLS_TOLD):
        lasted_s = spell.time_s - spell.onset_s
        parted = gathering.parted.get((definition.name, spell.entity))
        group = {"group": parted.id} if parted else {}
        _say_of(definition, spell, f"{spell.what} over", logging.INFO, lasted_s=lasted_s, **group)
    for event, spells, level in (("begun", begun, logging.WARNING), ("over", over, logging.INFO)):
        if len(spells) > SPELLS_TOLD:
            more = len(spells) - SPELLS_TOLD
            say(LOG, f"slow and stuck, more {event}", level, stream=definition.name, spells=more)


def _facts(spell: Spell, units: dict[str, str]) -> dict[str, object]:
    if spell.what is Alarm.SLOW:
        return {"interval_s": round(spell.observed, 3), "expected_s": round(spell.usual, 3)}
    return {"value": f"{spell.observed:.6g} {units[spell.signal]}".rstrip()}


def _say_of(definition: Definition, spell: Spell, event: str, level: int, /, **facts: object) -> None:
    labels: dict[str, object] = dict(zip(definition.entity, spell.entity, strict=True))
    labels["stream"] = definition.name
    if spell.signal:
        labels["signal"] = spell.signal
    id_ = spell_id(definition.name, spell)
    say(LOG, event, level, **{**labels, "id": id_, "onset_s": spell.onset_s, **facts})

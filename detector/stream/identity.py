"""The name of an episode: short, sortable by time, and the same wherever the same episode is found again.

Seventeen characters of Crockford's base 32 (no i, l, o, u): nine are the onset in milliseconds, eight a
digest of whose it is. So a restart and `detector score` give the same episode the same id, and of a hundred
thousand episodes of one millisecond two share one at most once in two hundred times.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from detector.stream.nouns import Alarm, Entity, Spell

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS, _DIGEST_BYTES, _DIGIT_BITS = 45, 5, 5


def episode_id(onset_s: float, *whose: str) -> str:
    """Return the id of an episode that began at `onset_s`; from 1970 to 3084 ids sort by their onsets.

    Args:
        onset_s: Seconds since the epoch.
        whose: The stream and the values of the entity's labels, or anything else that nobody else has.
    """
    text = repr(whose).encode("utf-8", "surrogatepass")
    digest = int.from_bytes(blake2b(text, digest_size=_DIGEST_BYTES).digest())
    time_ms = min(max(round(1000 * onset_s), 0), (1 << _TIME_BITS) - 1)
    number = time_ms << 8 * _DIGEST_BYTES | digest
    digits = (_TIME_BITS + 8 * _DIGEST_BYTES) // _DIGIT_BITS
    return "".join(ALPHABET[number >> _DIGIT_BITS * place & 31] for place in reversed(range(digits)))


def alarm_id(alarm: Alarm, stream: str, entity: Entity, onset_s: float) -> str:
    """Return the id of an alarm of an entity."""
    return episode_id(onset_s, alarm, stream, *entity)


def spell_id(stream: str, spell: Spell) -> str:
    """Return the id of a spell, of an entity or of one of its signals."""
    whose = (*spell.entity, spell.signal) if spell.signal else spell.entity
    return alarm_id(spell.what, stream, whose, spell.onset_s)

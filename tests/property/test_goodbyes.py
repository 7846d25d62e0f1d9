"""Goodbyes between records: cut into batches anywhere, they come to the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.stream.nouns import Batch, State
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import START_S, definition, judge

ENTITIES = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"))
LABELS = st.sampled_from([{"device": "a"}, {"device": "b"}, {"port": "x"}, {"device": "a", "port": "y"}])
EVENTS = st.lists(ENTITIES | LABELS | st.none(), max_size=40)
"""A record of an entity, a goodbye to labels, or ten seconds that pass."""


def batches(events, cuts):
    """Yield batches that end where a cut or the time says so, and what time it is if that goes on."""
    batch, now_s = Batch(), START_S
    for event, cut in zip(events, cuts, strict=True):
        if event is None:
            now_s += 10.0
            yield batch, now_s
            batch = Batch()
            continue
        if cut:
            yield batch, None
            batch = Batch()
        if isinstance(event, dict):
            batch.silenced.append((len(batch.entities), event))
        else:
            batch.record.append(len(batch.entities))
            batch.entities.append(event)
            batch.times_s.append(now_s)
            batch.signal.append(0)
            batch.value.append(1.0)
    yield batch, now_s + 10.0


def lived(events, cuts):
    """Return what was told, and who is silent in the end."""
    names = ("device", "port")
    stream = StreamPipeline(definition(entity=names, clock="wall", silence_s=25.0), judge())
    told = []
    for batch, now_s in batches(events, cuts):
        stream.add(batch, np.array(batch.times_s))
        outcomes = stream.tick(now_s) if now_s else ()
        told += [(one.time_s, set(one.silenced), set(one.speaking_again)) for one in outcomes]
    states = zip(stream.roster.entities, stream.bench.states(), strict=True)
    return told, {entity for entity, state in states if state is State.SILENT}


def gone(events):
    """Return, by the plain rule, who said goodbye and has not spoken since."""
    gone, known = set(), set()
    for event in events:
        if isinstance(event, dict):
            wanted = [(event.get("device"), event.get("port"))]
            gone |= {one for one in known for d, p in wanted if d in (None, one[0]) and p in (None, one[1])}
        elif event is not None:
            known.add(event)
            gone.discard(event)
    return gone


@given(events=EVENTS, cuts=st.lists(st.booleans(), min_size=40, max_size=40))
def test_goodbyes_come_to_the_same_wherever_the_batches_are_cut(events, cuts):
    cuts = cuts[: len(events)]
    told, silent = lived(events, cuts)
    assert (told, silent) == lived(events, [False] * len(events))
    assert gone(events) <= silent

"""Groups of entities whose alarms a test makes up."""

from collections.abc import Iterable, Sequence

import numpy as np

from detector.stream.groups import Gathering, Groups
from detector.stream.nouns import Closure, Entity, Onset, Outcome, Spell, Steps
from detector.stream.pipeline import StreamPipeline
from tests.support.streams import definition

NOTHING = Steps(0, np.zeros(0, np.int64), np.zeros((0, 1), np.float32), np.zeros((0, 1), bool))
WEEK_S = 7 * 86400.0


def stream(name: str, labels: Sequence[str], entities: Iterable[Entity], **changed: object) -> StreamPipeline:
    """Return a stream that knows entities; it has no bundle, so all of them count."""
    changed = {"entities_max": 1_000_000} | changed
    one = StreamPipeline(definition(name=name, entity=tuple(labels), **changed), None)
    one.rows_of(list(entities))
    return one


def interfaces(
    sites: int = 1, devices: int = 10, ports: int = 24, **changed: object
) -> tuple[StreamPipeline, list[Entity]]:
    """Return a stream of interfaces, and them: `("s0", "d0", "p0")` and so on."""
    entities = [
        (f"s{site}", f"d{site}.{device}", f"p{port}")
        for site in range(sites)
        for device in range(devices)
        for port in range(ports)
    ]
    return stream("interfaces", ("site", "device", "port"), entities, **changed), entities


class Story:
    """What happens to the entities of some streams, told to their groups."""

    def __init__(self, *streams: StreamPipeline) -> None:
        self.streams = {one.definition.name: one for one in streams}
        self.groups = Groups(streams)
        self.open: dict[tuple[str, Entity], float] = {}

    def tell(
        self,
        time_s: float,
        begin: Iterable[Entity] = (),
        end: Iterable[Entity] = (),
        silent: Iterable[Entity] = (),
        speaking: Iterable[Entity] = (),
        stream: str = "interfaces",
        onset_s: float | None = None,
        **spells: Sequence[Spell],
    ) -> Gathering:
        """Let episodes begin (at `onset_s`, noticed at `time_s`) and end, entities fall silent and speak."""
        return self.outcome(time_s, begin, end, silent, speaking, stream, onset_s, **spells)[1]

    def outcome(
        self,
        time_s: float,
        begin: Iterable[Entity] = (),
        end: Iterable[Entity] = (),
        silent: Iterable[Entity] = (),
        speaking: Iterable[Entity] = (),
        stream: str = "interfaces",
        onset_s: float | None = None,
        **spells: Sequence[Spell],
    ) -> tuple[Outcome, Gathering]:
        """Return what was told, too; `spells` are those that have `begun` and are `over`."""
        one = self.streams[stream]
        since_s = time_s if onset_s is None else onset_s
        onsets = [Onset(one.roster.get(entity) or 0, entity, since_s) for entity in begin]
        closures = [Closure(0, entity, since_s, time_s, 2.0) for entity in end]
        silent = list(silent)
        one.bench.silence.spoken_s[one.roster.find(silent)] = since_s
        outcome = Outcome(time_s, NOTHING, None, onsets, closures, silent, list(speaking), **spells)
        return outcome, self.groups.take(one, outcome)

    def names(self, entities: Iterable[Entity], stream: str = "interfaces") -> list[tuple[str, Entity]]:
        """Return what the groups call entities."""
        return [(stream, entity) for entity in entities]

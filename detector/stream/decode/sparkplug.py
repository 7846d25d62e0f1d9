"""Format `sparkplug`: Sparkplug B 3.0, metrics in protobuf on topics that say what a message is.

    spBv1.0/GROUP/NBIRTH/NODE          a node is born: all its metrics, with name, type, alias and value
    spBv1.0/GROUP/DDATA/NODE/DEVICE    what has changed of a device, by name or by alias
    spBv1.0/GROUP/NDEATH/NODE          its last will: the node is gone, and its devices with it

The decoder reads the topic itself: `group`, `node` and `device` are labels. A signal's `field` is the name
of a metric, or a template of names whose levels are labels too, such as `Ports/{port}/In Octets`. Where a
birth is missing, or may be, the node is asked for it by what is put into `Batch.replies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from detector.stream.decode.labels import beside
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.decode.sparkplug_births import Births, Known, NodeName, Table
from detector.stream.decode.times import TIME_MAX_S
from detector.stream.decode.topic import Template
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message

NAMESPACE: Final = "spBv1.0"
NAMES_MAX: Final = 50_000
"""Names of metrics that are remembered with what they mean. Beyond, all are looked at anew."""
NAME_BYTES_MAX: Final = 512
"""A longer name means nothing: it would be remembered, and somebody could send many."""

_NODE_LEVELS: Final = 4
_NO_TABLE: Final[Table] = {}

Labels = tuple[tuple[str, str], ...]
Groups = dict[tuple[Labels, int], dict[str, Any]]
"""The fields of each record of a message: those of one entity at one time, in milliseconds."""


class _Address(NamedTuple):
    """What a topic says. `device` is empty of a message of the node itself."""

    kind: str  # BIRTH | DATA | DEATH
    node: NodeName
    device: str

    def labels(self) -> dict[str, str]:
        group, node = self.node
        named = {"group": group, "node": node}
        return {**named, "device": self.device} if self.device else named


def sparkplug_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: The topic leaves out a part of what a node says, or a field is no template of names.
    """
    levels = Template(definition.topic).filter.split("/")
    of_some_kind = levels[2:3] not in (["#"], ["+"], [])
    if levels[0] != NAMESPACE or levels[-1] != "#" or of_some_kind or len(levels) > _NODE_LEVELS + 1:
        raise ValueError(
            f"stream {definition.name!r}: the topic of format sparkplug takes in all that a node says,"
            f" as {NAMESPACE}/# or {NAMESPACE}/GROUP/# do"
        )
    return _Edges(definition).decode


def topic_labels(topic: str) -> dict[str, str]:
    """Return the labels that a topic gives by itself, as `check` shows them."""
    address = _parse_topic(topic)
    return {} if isinstance(address, Drop) else address.labels()


def named_values(payload: bytes) -> dict[str, Any]:
    """Return the values of a payload by the names of their metrics, as `check` shows them."""
    from detector.stream.decode import sparkplug_payload  # noqa: PLC0415 -- see there

    return sparkplug_payload.named_values(payload)


class _Edges:
    """The decoder of one stream, with what it remembers of the nodes."""

    def __init__(self, definition: Definition) -> None:
        from detector.stream.decode import sparkplug_payload  # noqa: PLC0415 -- see there

        self._payload = sparkplug_payload
        layout = replace(definition.layout, time="timestamp", time_unit="ms")
        self._append = record_appender(replace(definition, layout=layout))
        self._known = names_reader(definition)
        self._births = Births(definition)
        self._labels = definition.entity

    def decode(self, message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        """Read a message; see `Decoder`."""
        address = _parse_topic(message.topic)
        if isinstance(address, Drop):
            return address
        if not message.payload and address.kind != "DEATH":
            return Drop.PAYLOAD_EMPTY
        payload = self._payload.parse_payload(message.payload)
        if isinstance(payload, Drop):
            return payload
        if address.kind == "DEATH" and not address.device:
            return self._part(self._births.end(address.node, self._payload.birth_number(payload)), batch)
        self._count(address, payload, message.arrival_s, batch)
        if address.kind == "DEATH":
            return self._part(self._births.end_device(address.node, address.device), batch)
        if address.kind == "BIRTH":
            self._births.learn(address.node, address.device, self._table(payload), message.arrival_s)
        return self._read(address, payload, labels, message.arrival_s, batch)

    def _count(self, address: _Address, payload: Any, arrival_s: float, batch: Batch) -> None:
        """Notice which messages are missing before this one: a birth may be among them."""
        if address.kind == "BIRTH" and not address.device:
            self._births.begin(address.node, self._payload.birth_number(payload), arrival_s)
        missed = self._births.hear(address.node, arrival_s, self._payload.sequence_number(payload))
        if missed:
            batch.missed += missed
            self._ask(address.node, arrival_s, batch)

    def _table(self, payload: Any) -> Table:
        """Return what a birth names of the stream's signals."""
        table: dict[int | bytes, Known] = {}
        for metric in payload.metrics:
            known = self._known(metric.name)
            if known:
                table[metric.name] = known._replace(datatype=metric.datatype)
                if metric.HasField("alias"):
                    table[metric.alias] = table[metric.name]
        return table

    def _read(
        self, address: _Address, payload: Any, labels: Mapping[str, str], arrival_s: float, batch: Batch
    ) -> Drop | None:
        """Append the records of a message, and ask for what it takes to understand the rest."""
        groups, unknown = self._groups(address, payload, batch)
        own = address.labels()
        before = len(batch.entities)

        def append(record: tuple[tuple[Labels, int], dict[str, Any]]) -> Drop | None:
            (more, time_ms), fields = record
            named = {**own, **dict(more)}
            stamped = {"timestamp": time_ms or None}
            return self._append(fields, named, stamped, None, beside(labels, named), arrival_s, batch)

        refusal = append_all(list(groups.items()), append, batch)
        if refusal is None:
            self._births.remember(address.node, address.device, batch.entities[before:], arrival_s)
        if not unknown:
            return refusal
        self._ask(address.node, arrival_s, batch)
        if refusal is Drop.NO_SIGNAL:
            return Drop.ALIAS_UNKNOWN
        batch.dropped[Drop.ALIAS_UNKNOWN] += unknown
        return refusal

    def _groups(self, address: _Address, payload: Any, batch: Batch) -> tuple[Groups, int]:
        """Return the fields of each record, and how many metrics only a birth could explain."""
        table = self._births.table(address.node, address.device)
        unexplained = table is None or self._births.doubted(address.node, address.device)
        groups: Groups = {}
        unknown = 0
        for metric in payload.metrics:
            if metric.name:
                known = (table or _NO_TABLE).get(metric.name) or self._known(metric.name)
            elif unexplained:
                unknown += metric.HasField("alias")
                continue
            else:
                known = (table or _NO_TABLE).get(metric.alias) if metric.HasField("alias") else None
            if known is None:
                continue
            if metric.is_historical:
                batch.dropped[Drop.HISTORICAL] += 1
                continue
            value = self._payload.read_value(metric, metric.datatype or known.datatype)
            if value is Drop.ALIAS_UNKNOWN:
                unknown += 1
            elif value is not None:
                fields = groups.setdefault((known.labels, metric.timestamp or payload.timestamp), {})
                if known.field in fields:
                    batch.dropped[Drop.DUPLICATE] += 1
                fields[known.field] = value
        return groups, unknown

    def _ask(self, node: NodeName, arrival_s: float, batch: Batch) -> None:
        """Ask a node for its births; of a time that is none nobody can ask."""
        if 0 <= arrival_s < TIME_MAX_S and self._births.may_ask(node, arrival_s):
            topic = f"{NAMESPACE}/{node[0]}/NCMD/{node[1]}"
            batch.replies.append((topic, self._payload.rebirth(arrival_s)))

    def _part(self, entities: list[Entity], batch: Batch) -> Drop | None:
        """Say goodbye for entities; a death that nobody dies is of no use to the stream."""
        for entity in entities:
            labels = dict(zip(self._labels, entity, strict=True))
            batch.silenced.append((len(batch.entities), labels))
        return None if entities else Drop.NO_SIGNAL


def _parse_topic(topic: str) -> _Address | Drop:
    levels = topic.split("/")
    if len(levels) < _NODE_LEVELS or levels[2] in ("NCMD", "DCMD"):
        return Drop.NO_SIGNAL  # such as spBv1.0/STATE/HOST: what others say to each other
    whose, kind = levels[2][:1], levels[2][1:]
    depth = {"N": _NODE_LEVELS, "D": _NODE_LEVELS + 1}.get(whose)
    if depth != len(levels) or kind not in ("BIRTH", "DATA", "DEATH"):
        return Drop.WRONG_SHAPE
    return _Address(kind, (levels[1], levels[3]), levels[4] if depth > _NODE_LEVELS else "")


def names_reader(definition: Definition) -> Callable[[bytes], Known | None]:
    """Return a function of the name of a metric that says which field it is, of no known type yet.

    Raises:
        ValueError: A field is no template of names.
    """
    exact: dict[bytes, Known] = {}
    templates: list[tuple[str, Template]] = []
    for field in signal_fields(definition):
        if "{" not in field:
            exact[field.encode()] = Known(field, (), 0)
            continue
        try:
            templates.append((field, Template(field)))
        except ValueError as error:
            raise ValueError(f"field {field!r}: {error}") from None
    if not templates:
        return exact.get
    found: dict[bytes, Known | None] = {}

    def read(name: bytes) -> Known | None:
        known = found.get(name)
        if known is None and name not in found and len(name) <= NAME_BYTES_MAX:
            if len(found) >= NAMES_MAX:
                found.clear()
            known = found[name] = exact.get(name) or _fitting(templates, name)
        return known

    return read


def _fitting(templates: list[tuple[str, Template]], name: bytes) -> Known | None:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    for field, template in templates:
        labels = template.match(text)
        if labels is not None:
            return Known(field, tuple(labels.items()), 0)
    return None

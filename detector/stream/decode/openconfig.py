"""Format `openconfig`: gNMI in JSON, as gnmic, pygnmi and protobuf's JSON mapping write it.

Events of gnmic, one a message or many; its notifications; and the notifications of gNMI itself, bare or in
the responses that carry them::

    [{"name": "if", "timestamp": 1700000000000000000, "tags": {"interface_name": "et1", "source": "r1"},
      "values": {"/interfaces/interface/state/counters/in-octets": 1}}]
    {"source": "r1", "timestamp": 1700000000000000000, "prefix": "interfaces/interface[name=et1]",
     "updates": [{"Path": "state/counters", "values": {"state/counters": {"in-octets": "1"}}}]}
    {"update": {"timestamp": "1700000000000000000", "prefix": {"target": "r1", "elem": [...]},
                "update": [{"path": {"elem": [...]}, "val": {"uintVal": "1"}}], "delete": [...]}}

A signal's field is the end of a leaf's path: `in-octets`, or `interface/state/counters/in-octets`, which no
subinterface has. Of several leaves of an entity that fit, the first counts. The keys of a path are labels by
the names that gnmic has for them, `<element>_<key>`; `source`, `target` and what else is beside the updates
are labels too. Where an entry of a list is deleted, the entity that it was is silent.

What Telegraf makes of gNMI is `telegraf-json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from detector.stream.decode.documents import parse_document
from detector.stream.decode.gnmi import Labels, Take, Tree, WholeTree
from detector.stream.decode.gnmi_values import plain_value
from detector.stream.decode.labels import ReadEntity, entity_reader
from detector.stream.decode.records import RECORDS_MAX, Decode, append_all, record_appender, signal_fields
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message

_SYNC: Final = ("sync-response", "sync_response", "syncResponse")  # the device has sent all that there is
_CONTENTS: Final = ("updates", "update", "deletes", "delete")
_EVENT: Final = frozenset({"name", "timestamp", "tags", "values", "deletes"})
_NO_TAGS: Final[Mapping[str, Any]] = {}


class _Notification(NamedTuple):
    """A notification, what is around it, the labels of all that it says, and the prefix of its paths."""

    body: Mapping[str, Any]
    envelope: Mapping[str, Any]
    tags: Mapping[str, Any]
    prefix: str
    updates: list[Any]
    deletes: list[Any]


class _Record(NamedTuple):
    """What a notification or an event says of one entity, and where its time and further labels are."""

    tags: Mapping[str, Any]
    fields: dict[str, Any]
    body: Mapping[str, Any]
    envelope: Mapping[str, Any] | None  # of an event none: its name is no label


_Part = _Notification | _Record | Drop  # a record is an event


def openconfig_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: A field is no path, or has keys.
    """
    paths = dict(definition.layout.labels)
    sources = (*definition.entity, *(source for source, _ in definition.layout.patterns))
    tree = Tree(signal_fields(definition), [paths.get(source, source) for source in sources])
    append_record = record_appender(definition)
    read_entity = entity_reader(definition)
    names = definition.entity

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        document = parse_document(message.payload)
        if isinstance(document, Drop):
            return document

        def append(one: _Record | Drop) -> Drop | None:
            if isinstance(one, Drop):
                return one
            return append_record(
                one.fields, one.tags, one.body, one.envelope, labels, message.arrival_s, batch
            )

        if _has_values(document) and not document.get("deletes"):
            return append(_event(document, tree))
        parts = _parts(document, tree)
        gone = [entity for part in parts for entity in _gone(part, tree, labels, read_entity)]
        batch.silenced += [(len(batch.entities), dict(zip(names, one, strict=True))) for one in gone]
        refusal = append_all(_records(parts, tree), append, batch)
        if not gone or refusal is None:
            return refusal
        batch.dropped.update([refusal] if refusal is not Drop.NO_SIGNAL else [])
        return None

    return decode


def openconfig_names(message: Message) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the labels of the first entity in a message and all values, by the names that settings have."""
    document, tree = parse_document(message.payload), WholeTree()
    records = [one for one in _records(_parts(document, tree), tree) if isinstance(one, _Record)]
    values = {name: value for one in records for name, value in one.fields.items()}
    around = dict(records[0].envelope or {}) if records else {}
    beside = {name: text for name, text in around.items() if isinstance(text, str)}
    return (beside | dict(records[0].tags) if records else {}), values


def looks_like_openconfig(document: Mapping[str, Any]) -> bool:
    """Say whether an object has the shape of what this format reads, and not only a name or two of it."""
    if {"name", "timestamp"} <= document.keys() <= _EVENT:
        return isinstance(document.get("values"), dict) or isinstance(document.get("deletes"), list)
    several = document.get("notification")
    inside = several[0] if isinstance(several, list) and several else document.get("update")
    synced = any(isinstance(document.get(name), bool) for name in _SYNC)
    return synced or _looks_like_notification(document) or _looks_like_notification(inside)


def _looks_like_notification(one: Any) -> bool:
    if not isinstance(one, dict) or "timestamp" not in one:
        return False
    updates = next((one[name] for name in ("updates", "update") if name in one), None)
    if not isinstance(updates, list):
        return updates is None and any(isinstance(one.get(name), list) for name in ("deletes", "delete"))
    return all(isinstance(update, dict) and ("path" in update or "Path" in update) for update in updates[:1])


def _parts(document: Any, tree: Tree) -> list[_Part]:
    """Return the events and notifications that a document is or holds, or why it has none."""
    if isinstance(document, list):
        return [part for one in document for part in _parts_of(one, tree)]
    return _parts_of(document, tree)


def _has_values(document: Any) -> bool:
    """Say whether a document is an event of gnmic that has values; a merged one may have deletes too."""
    return (
        isinstance(document, dict) and isinstance(document.get("values"), dict) and "updates" not in document
    )


def _parts_of(document: Any, tree: Tree) -> list[_Part]:
    if not isinstance(document, dict):
        return [Drop.WRONG_SHAPE]
    if _has_values(document):
        deletes = [_notification(document, document, tree)] if document.get("deletes") else []
        return [*deletes, _event(document, tree)]
    held, several = document.get("update"), document.get("notification")
    if isinstance(held, dict):
        return [_notification(held, document, tree)]
    if isinstance(several, list):
        return [_notification(one, document, tree) for one in several]
    if any(name in document for name in _CONTENTS):
        return [_notification(document, document, tree)]
    return [Drop.NO_SIGNAL if any(name in document for name in _SYNC) else Drop.WRONG_SHAPE]


def _notification(body: Any, envelope: Mapping[str, Any], tree: Tree) -> _Notification | Drop:
    if not isinstance(body, dict):
        return Drop.WRONG_SHAPE
    updates = body.get("updates") or body.get("update") or []
    deletes = body.get("deletes") or body.get("delete") or []
    written, tags = body.get("prefix"), body.get("tags", {})  # an event of deletes has tags
    prefix = tree.prefix(written)
    lists = isinstance(updates, list) and isinstance(deletes, list)
    if not lists or not isinstance(tags, dict) or prefix is None:
        return Drop.WRONG_SHAPE
    if max(len(updates), len(deletes)) > RECORDS_MAX:
        return Drop.RECORDS_MAX
    beside = {name: envelope[name] for name in tree.labels if name in envelope}
    if isinstance(written, dict) and written.get("target"):
        beside["target"] = written["target"]
    return _Notification(body, envelope, {**beside, **tags}, prefix, updates, deletes)


def _event(document: Mapping[str, Any], tree: Tree) -> _Record | Drop:
    tags = document.get("tags", _NO_TAGS)
    if not isinstance(tags, dict):
        return Drop.WRONG_SHAPE
    return _Record(tags, tree.fields_at(document["values"]), document, None)


def _records(parts: list[_Part], tree: Tree) -> list[_Record | Drop]:
    """Return what parts say of each entity, and why something in them is refused."""
    records: list[_Record | Drop] = []
    for part in parts:
        if isinstance(part, _Notification):
            records += _updated(part, tree)
        elif isinstance(part, Drop) or (part.fields and not (records and _merge(records[-1], part))):
            records.append(part)
    return records


def _merge(last: _Record | Drop, event: _Record) -> bool:
    """Put what an event says into the one before it, where it is of the same entity and time; say whether.

    gnmic makes an event of every leaf.
    """
    if isinstance(last, Drop) or last.envelope is not None or not last.fields.keys().isdisjoint(event.fields):
        return False
    same = last.tags == event.tags and last.body.get("timestamp") == event.body.get("timestamp")
    if same:
        last.fields.update(event.fields)
    return same


def _updated(part: _Notification, tree: Tree) -> list[_Record | Drop]:
    """Return what the updates of a notification say of each entity, and why one is refused."""
    records: dict[Labels, dict[str, Any]] = {}

    def take(labels: Labels, field: str, value: Any) -> None:
        fields = records.get(labels)
        if fields is None:
            fields = records[labels] = {}
        fields.setdefault(field, value)

    refused = [why for update in part.updates if (why := _take_update(update, part.prefix, tree, take))]
    found = [
        _Record({**part.tags, **dict(labels)}, fields, part.body, part.envelope)
        for labels, fields in records.items()
    ]
    return [*found, *refused]


def _take_update(update: Any, prefix: str, tree: Tree, take: Take) -> Drop | None:
    """Hand over the leaves of an update that are fields, or return why it is refused."""
    if not isinstance(update, dict):
        return Drop.WRONG_SHAPE
    path = tree.path(update.get("Path", update.get("path")), prefix)
    if path is None:
        return Drop.WRONG_SHAPE
    values = update.get("values")
    if isinstance(values, dict):
        for value in values.values():
            tree.take_leaves(path, value, take)
    elif "val" in update:
        tree.take_leaves(path, plain_value(update["val"]), take)
    else:  # some scripts put what protobuf has in `val` beside the path
        value = plain_value({name: one for name, one in update.items() if name != "path"})
        tree.take_leaves(path, value, take)
    return None


def _gone(part: _Part, tree: Tree, labels: Mapping[str, str], read_entity: ReadEntity) -> Iterator[Entity]:
    """Yield the entities that are deleted: of each, the last key of a path is a label."""
    if not isinstance(part, _Notification):
        return
    for written in part.deletes:
        path = tree.path(written, part.prefix)
        if path is None or not path.last:
            continue
        tags = {**part.tags, **dict(path.labels)}
        entity = read_entity(labels, tags, part.envelope)
        others = {name: value for name, value in tags.items() if name not in dict(path.last)}
        if isinstance(entity, tuple) and isinstance(read_entity(labels, others, part.envelope), Drop):
            yield entity

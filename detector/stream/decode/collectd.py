"""Format `collectd`: what collectd's mqtt plugin publishes, one value list a message.

The topic says what it is, the payload when and how much, and ends with a NUL::

    collectd/<host>/<plugin>[-<instance>]/<type>[-<instance>]        epoch.ms:value[:value...]
    collectd/r1/interface-eth0/if_octets                             1760000000.250:215961585:395391

A signal's field names one value, `[<plugin>[-<instance>]/]<type>[-<instance>][.<source>]`: `if_octets.rx`,
`load.shortterm`, `memory-used`, `aggregation-cpu-average/cpu-idle`. The source is its name in collectd's
types.db, or its index, as in `if_octets.0`; a type of one value needs none. Without a plugin, values of any
plugin are meant. Without the type's instance, a type that has none is meant, or any where `type_instance` is
a label of the entity.

The labels are `plugin`, `plugin_instance` (of the plugin interface, its name), `type` and `type_instance`;
the host is a level of the template. Whether a value is a counter depends on the plugin's setting
`StoreRates`: with false, counters arrive as they were counted; with true, its default, as rates, which are
gauges. The stream's definition says which.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from math import isfinite, nan
from typing import Final, NamedTuple

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.memory import remembering
from detector.stream.decode.records import Decode, signal_fields, write
from detector.stream.decode.times import TIME_MAX_S
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

PAYLOAD_BYTES_MAX: Final = 2048
"""The plugin's own limit, MQTT_MAX_MESSAGE_SIZE."""
NAMES_MAX: Final = 20_000
"""Pairs of plugin and type of which is remembered what they name. Hosts share them, and a large switch has
four types for each of 512 interfaces. Beyond, all are read anew."""
NAME_CHARS_MAX: Final = 257
"""Of a plugin or type with its instance: collectd has 128 for each, and a dash between them."""

_TYPES = {
    ("rx", "tx"): (
        "if_octets if_packets if_errors if_dropped io_octets io_packets ib_octets ib_packets node_octets "
        "serial_octets memcached_octets mysql_octets"
    ),
    ("read", "write"): (
        "disk_octets disk_ops disk_time disk_merged disk_latency io_ops ps_disk_octets ps_disk_ops "
        "arc_l2_bytes"
    ),
    ("vf_rx", "vf_tx"): "vf_bytes vf_packets vf_dropped",
    ("minflt", "majflt"): "ps_pagefaults vmpage_faults",
    ("shortterm", "midterm", "longterm"): "load",
    ("queries", "responses"): "dns_octets",
    ("used", "free"): "df",
    ("in", "out"): "vmpage_io",
    ("io_time", "weighted_io_time"): "disk_io_time",
    ("processes", "threads"): "ps_count",
    ("user", "syst"): "ps_cputime",
    ("uncompressed", "compressed"): "compression",
    ("state", "reason"): "domain_state",
    ("value", "threshold"): "voltage_threshold",
    ("current", "worst", "threshold", "pretty"): "smart_attribute",
    ("current", "target", "minlimit", "maxlimit"): "arc_size",
    ("demand_data", "demand_metadata", "prefetch_data", "prefetch_metadata"): "arc_counts",
    ("hits", "inserts", "not_cached", "lowmem_prunes", "queries_in_cache"): "mysql_qcache",
    ("running", "connected", "cached", "created"): "mysql_threads",
}
SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    name: sources for sources, names in _TYPES.items() for name in names.split()
}
"""The data sources of the types that have several, as in types.db; of others they have an index only."""

_DIGITS_MAX = 4  # no message has room for more values
_VALUES_MIN = 2  # the time and one value
_NOW = b"N"  # the protocol's word for the time of arrival
_UNDEFINED = b"U"  # and for a gauge that was not measured, which is NaN to it as well


class _Named(NamedTuple):
    """What the last two levels say: labels, and columns with their places in the payload."""

    tags: Mapping[str, str]
    columns: tuple[tuple[int, int], ...]


_NOTHING = _Named({}, ())


def collectd_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: A field leaves open which of several values it means, or names one that its type lacks.
    """
    wanted = signal_fields(definition)
    for field in wanted:
        _check_field(definition.name, field)
    paths = dict(definition.layout.labels)
    sources = (*definition.entity, *(source for source, _ in definition.layout.patterns))
    any_instance = "type_instance" in {paths.get(source, source) for source in sources}
    read_entity = remembering(entity_reader(definition), definition)
    known: dict[tuple[str, str], _Named] = {}

    def named(plugin: str, kind: str) -> _Named:
        if max(len(plugin), len(kind)) > NAME_CHARS_MAX:
            return _NOTHING
        if len(known) >= NAMES_MAX:
            known.clear()
        what = known[plugin, kind] = _read_levels(plugin, kind, wanted, any_instance=any_instance)
        return what

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        levels = message.topic.rsplit("/", 2)
        plugin, kind = levels[-2:] if len(levels) > 1 else ("", "")
        tags, columns = known.get((plugin, kind)) or named(plugin, kind)
        values = _split(message.payload)
        if isinstance(values, Drop):
            return values
        signals, numbers = _pick(values, columns, batch)
        if not signals:
            return Drop.NO_SIGNAL
        entity = read_entity(labels, tags, None)
        if isinstance(entity, Drop):
            return entity
        time_s = message.arrival_s if values[0] == _NOW else values[0]
        if not (isinstance(time_s, float) and 0 < time_s < TIME_MAX_S):
            return Drop.TIME_UNREADABLE
        write(batch, entity, time_s, signals, numbers)
        return None

    return decode


def collectd_names(message: Message) -> tuple[Mapping[str, str], Mapping[str, float | bytes]]:
    """Return the labels and the values of a message, by the names that settings have for them."""
    kind = message.topic.rpartition("/")[2]
    values = _split(message.payload)
    numbers = [] if isinstance(values, Drop) else values[1:]
    sources = SOURCES.get(kind.partition("-")[0], ("value",))
    ends = [*(f".{name}" for name in sources), *(f".{index}" for index in range(len(sources), len(numbers)))]
    names = [kind] if len(numbers) == 1 else [kind + end for end in ends]
    plugin = message.topic.rpartition("/")[0].rpartition("/")[2]
    tags = _read_levels(plugin, kind, (), any_instance=True).tags
    return {name: text for name, text in tags.items() if text}, dict(zip(names, numbers, strict=False))


def _split(payload: bytes) -> list[float | bytes] | Drop:
    """Return the time and the values, those that are no number as they are; or why the payload has none."""
    text = payload.rstrip(b"\0\n")
    if not text:
        return Drop.PAYLOAD_EMPTY
    values = text.split(b":") if len(text) <= PAYLOAD_BYTES_MAX else []
    if len(values) < _VALUES_MIN or b"_" in text:  # `float` takes the underscores of Python's literals
        return Drop.MALFORMED
    try:
        return [float(value) for value in values]
    except ValueError:
        numbers = [_number(value) for value in values]
    return Drop.MALFORMED if isinstance(numbers[0], bytes) and numbers[0] != _NOW else numbers


def _number(text: bytes) -> float | bytes:
    try:
        return nan if text == _UNDEFINED else float(text)
    except ValueError:
        return text


def _pick(
    values: Sequence[float | bytes], columns: Iterable[tuple[int, int]], batch: Batch
) -> tuple[list[int], list[float]]:
    """Return the signals seen and their values; count what is no finite number."""
    signals: list[int] = []
    numbers: list[float] = []
    for column, place in columns:
        value = values[place] if place < len(values) else None
        if isinstance(value, bytes):
            batch.dropped[Drop.NOT_A_NUMBER] += 1
        elif value is not None and isfinite(value):
            signals.append(column)
            numbers.append(value)
        elif value is not None:
            batch.dropped[Drop.NOT_FINITE] += 1
    return signals, numbers


def _check_field(stream: str, field: str) -> None:
    """Refuse what can be seen to be wrong of a field; that its type is known here is not asked."""
    name = field.rpartition("/")[2]
    kind, _, source = name.rpartition(".") if "." in name else (name, "", "")
    sources = SOURCES.get(kind.partition("-")[0])
    if sources and source not in sources and not (source.isdecimal() and int(source) < len(sources)):
        known = ", ".join(f"{kind}.{name}" for name in sources)
        raise ValueError(f"stream {stream!r}: signal field {field!r} is none of {known}")


def _read_levels(plugin: str, kind: str, wanted: Sequence[str], *, any_instance: bool) -> _Named:
    """Return what the last two levels of a topic name."""
    plugin_name, _, plugin_instance = plugin.partition("-")
    type_name, _, type_instance = kind.partition("-")
    names = {kind, type_name} if any_instance else {kind}
    names |= {f"{one}/{name}" for name in names for one in (plugin, plugin_name)}
    sources = SOURCES.get(type_name, ("value",))
    places = [_place(field, names, sources) for field in wanted]
    tags = {
        "plugin": plugin_name,
        "plugin_instance": plugin_instance,
        "type": type_name,
        "type_instance": type_instance,
    }
    return _Named(tags, tuple((column, place) for column, place in enumerate(places) if place))


def _place(field: str, names: Container[str], sources: Sequence[str]) -> int:
    """Return at which place of the payload a field stands, after the time; 0 where at none."""
    if field in names:
        return 1
    name, _, source = field.rpartition(".")
    if name not in names:
        return 0
    if source in sources:
        return sources.index(source) + 1
    return int(source) + 1 if source.isascii() and source.isdigit() and len(source) <= _DIGITS_MAX else 0

"""Format `influx`: the line protocol, as Telegraf's `outputs.mqtt` writes it by default.

One metric a message, or with `layout = "batch"` a line for each of many::

    interface,agent_host=10.0.0.1,ifName=Gi0/0/1 ifHCInOctets=42i,ifDescr="to core" 1760000000000000000

Fields are signals, tags are labels. With `layout = "field"` a topic ends in the name of a field, and the
payload is its bare value: `{signal}` at the end of the stream's topic reads that.

Only fields that are signals are looked at; the others may be anything. Bytes that are not UTF-8 become
U+FFFD, as in Telegraf's JSON: descriptions of interfaces are in no known encoding, and it passes them on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from detector.stream.decode.labels import label_sources
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.decode.topic import template_of
from detector.stream.decode.value import value_decode
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

Tags = Mapping[str, str]
Fields = dict[str, float | str]
Parts = tuple[str, str, str]
"""Of a line: the series, the fields, the time."""

_AROUND: Final = "\ufeff\0 \t\r\n"
_STAMP_DIGITS_MAX: Final = 19  # of an int64
_BOOLEANS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}

# Outside of strings a backslash escapes the separator behind it, and is itself before anything else. A string
# begins behind a "=" and ends before a separator. It may hold line breaks: as strict as this is, no two
# attempts that begin on different lines read far over the same text, so the time is linear whatever comes.
_STRING: Final = r'"(?>[^"\\]++|\\.)*+"'
_SERIES: Final = r"(?>[^ \t\n]++|(?<=\\)[ \t])++"
_FIELDS: Final = rf'(?>[^ \t\n"]++|(?<=\\)[ \t]|(?<==){_STRING}(?=[, \t\n]|\Z))++'
_LINES = re.compile(
    rf"(?:(?![ \t]*\#)[ \t]*+{_SERIES}[ \t]++{_FIELDS}(?:[ \t]++[^\n]*+)?+(?=\n|\Z)|[^\n]++)", re.DOTALL
)
_PARTS = re.compile(rf"({_SERIES})[ \t]++({_FIELDS})(?:[ \t]++([^\n]*+))?+\Z", re.DOTALL)
_STRINGS = re.compile(_STRING, re.DOTALL)
_KEY = re.compile(r"(?<!\\),((?>[^=,\\]++|\\.)++)=")
_COMMA = re.compile(r"(?<!\\),")
_EQUALS = re.compile(r"(?<!\\)=")
_ESCAPE = re.compile(r"\\([,= ])")
_STRING_ESCAPE = re.compile(r'\\(["\\])')


def influx_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: The topic has `{signal}`, and a name of metrics is asked for; or see `value_decode`.
    """
    if "signal" in template_of(definition).labels:
        if definition.layout.metric:
            raise ValueError(f"stream {definition.name!r}: a bare value is of no metric that has a name")
        return value_decode(definition)
    append_record = record_appender(definition)
    time = definition.layout.time
    names = {*signal_fields(definition), *([time] if time else ())}
    read_plainly, read_carefully = plain_reader(names), careful_reader(names)
    read_tags = tags_reader(definition.layout.metric, label_sources(definition))

    def append(line: str, message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        parts = split_plainly(line)
        fields = read_plainly(parts[1]) if parts is not None else None
        if parts is None or fields is None:
            parts = split_carefully(line)
            if parts is None:
                return Drop.MALFORMED
            fields = read_carefully(parts[1])
        if not fields:
            return Drop.NO_SIGNAL if "=" in parts[1] else Drop.MALFORMED
        tags = read_tags(parts[0])
        if isinstance(tags, Drop):
            return tags
        stamped = fields if time in fields else _stamped(time or "timestamp", parts[2])
        return append_record(fields, tags, stamped, None, labels, message.arrival_s, batch)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        text = message.payload.decode("utf-8", "replace").strip(_AROUND)
        if "\n" not in text and text[:1] != "#":
            return append(text, message, labels, batch) if text else Drop.PAYLOAD_EMPTY
        return append_all(split_lines(text), lambda line: append(line, message, labels, batch), batch)

    return decode


def influx_document(payload: bytes) -> dict[str, Any]:
    """Return all that is in a payload, as Telegraf would have written it in JSON."""
    lines = split_lines(payload.decode("utf-8", "replace").strip(_AROUND))
    parts = [one for line in lines if (one := split_carefully(line))]
    return {"metrics": [_document(*one) for one in parts]}


def _document(series: str, fields: str, stamp: str) -> dict[str, Any]:
    names = [_ESCAPE.sub(r"\1", key) for key in _KEY.findall("," + _STRINGS.sub("", fields))]
    return {
        "name": metric_of(series),
        "tags": all_tags(series),
        "fields": careful_reader(names)(fields),
        **({"timestamp": stamp} if stamp else {}),
    }


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without comments and blank lines; a string may hold line breaks."""
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    if '"' in text and ("\\" in text or any(line.count('"') % 2 for line in lines)):
        lines = _LINES.findall(text)
    stripped = (line.strip(" \t\r") for line in lines)
    return [line for line in stripped if line and line[0] != "#"]


def split_plainly(line: str) -> Parts | None:
    """Return the parts of a line; None where only `split_carefully` can tell.

    Of every string an empty one is left, or what a device says of itself might be taken for a field.
    """
    if "\\" in line or "\t" in line:
        return None
    series, _, rest = line.partition(" ")
    if '"' in rest:
        parts = rest.split('"')
        rest = '""'.join(parts[::2])
        ends = rest.count('"",') + rest.count('"" ') + rest.endswith('""')
        if len(parts) % 2 == 0 or not rest.count('=""') == ends == len(parts) // 2:
            return None
    fields, _, stamp = rest.partition(" ")
    return (series, fields, stamp) if series and fields else None


def split_carefully(line: str) -> Parts | None:
    """Return the parts of a line as the grammar has them; None where it does not follow it."""
    match = _PARTS.match(line)
    return (match[1], match[2], match[3] or "") if match else None


def plain_reader(names: Iterable[str]) -> Callable[[str], Fields | None]:
    """Return a function that gives those of the fields of `split_plainly` that have one of the names.

    It gives None where one of them does not look like a number.
    """
    written = _written(names)
    find = re.compile(rf",({_any_of(written)})=(?:([-+.0-9eE]++)[iu]?+(?![^,])|)").findall

    def read(fields: str) -> Fields | None:
        try:
            return {written[key]: float(number) for key, number in find("," + fields)}
        except ValueError:
            return None

    return read


def careful_reader(names: Iterable[str]) -> Callable[[str], Fields]:
    """Return a function that gives those of the fields of `split_carefully` that have one of the names.

    What does not look like a number becomes text; others say whether that stands for one.
    """
    written = _written(names)
    find = re.compile(
        rf"{_STRING}|(?<!\\),({_any_of(written)})=(?:([-+.0-9eE]++)[iu]?+(?![^,])|({_STRING}|[^,]*+))",
        re.DOTALL,
    ).findall

    def read(fields: str) -> Fields:
        found = find("," + fields)
        return {written[key]: _value(number, other) for key, number, other in found if key}

    return read


def _written(names: Iterable[str]) -> dict[str, str]:
    """Return the names of fields by what is written in their place."""
    return {re.sub(r"([,= ])", r"\\\1", name): name for name in names}


def _any_of(written: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in written)


def _value(number: str, other: str) -> float | str:
    if other[:1] == '"':
        return _STRING_ESCAPE.sub(r"\1", other[1:-1])
    try:
        return float(number) if number else _BOOLEANS[other]
    except (ValueError, KeyError):
        return number or other


def tags_reader(metric: str, names: Iterable[str]) -> Callable[[str], Tags | Drop]:
    """Return a function that gives those tags of a series that have one of the names.

    Args:
        metric: The name of the metric whose series it has to be, or that series is refused; empty: of any.
        names: Of the tags.
    """
    find = re.compile(rf",({_any_of(names)})=([^,]*+)").findall

    def read(series: str) -> Tags | Drop:
        escaped = "\\" in series
        name = metric_of(series) if escaped else series.partition(",")[0]
        if not name:
            return Drop.MALFORMED
        if metric and name != metric:
            return Drop.NO_SIGNAL
        return all_tags(series) if escaped else dict(find(series))

    return read


def metric_of(series: str) -> str:
    """Return the name of the metric that a series is of."""
    return _ESCAPE.sub(r"\1", _COMMA.split(series, 1)[0])


def all_tags(series: str) -> Tags:
    """Return the tags of a series."""
    pairs = (_EQUALS.split(tag, 1) for tag in _COMMA.split(series)[1:] if _EQUALS.search(tag))
    return {_ESCAPE.sub(r"\1", key): _ESCAPE.sub(r"\1", value) for key, value in pairs}


def _stamped(time: str, stamp: str) -> dict[str, int | str]:
    """Return a line's time where it is looked for."""
    if stamp.isdecimal() and len(stamp) <= _STAMP_DIGITS_MAX:
        return {time: int(stamp)}
    return {time: stamp} if stamp else {}

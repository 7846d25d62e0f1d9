"""Format `senml`: Sensor Measurement Lists (RFC 8428), as JSON and as CBOR.

A pack is an array of records. What a record says as a base holds for those after it::

    [{"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1.320067464e+09, "bu": "%RH", "v": 20, "n": "humidity"},
     {"u": "Cel", "n": "temperature", "v": 23.5, "t": 60}]

One format for both, since the first byte tells them apart: CBOR has arrays where UTF-8 begins no character.
So a stream may read from gateways and from the sensors behind them.

A record's name is the base name and its own. Its signal is the first of these that the stream has: its own
name (`humidity`); what follows the last `/` or `:` of the whole name; its unit (`Cel`), for names that are
only of a device. The label `name` is the rest: the base name, what is before the last `/` or `:`, or the
whole name. A sum is the signal with `.sum` behind it. A time below 2**28 counts from now.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

from detector.stream.decode.cbor import parse_cbor
from detector.stream.decode.documents import parse_document
from detector.stream.decode.records import RECORDS_MAX, Decode, append_all, record_appender, signal_fields
from detector.stream.decode.times import parse_time
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

RELATIVE_S: Final = 2.0**28
"""Times below it count from now; as times of their own they would be before July 1978."""
VERSIONS: Final = frozenset((*range(1, 11), 26))
"""RFC 8428 is 10, its drafts were below; 26 adds the units of RFC 9100, and units are for people here."""
DEPTH_MAX: Final = 2
"""The pack and its records; their values are plain."""
NAME_CHARS_MAX: Final = 512
"""Of a whole name: an entity's label and a signal. A base name is copied for every record after it."""

_CBOR_LABELS: Final = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_LABELS: Final = frozenset((*_CBOR_LABELS.values(), "ct", "bct"))  # RFC 9193 adds content formats
_ARRAYS = (b"\x80", b"\x9f")  # the first byte of a CBOR array, from and to
_SELF_DESCRIBED = b"\xd9\xd9\xf7"  # or of a document that says that it is CBOR
_NUMBER = (int, float)
_BASES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "bn": str,
    "bu": str,
    "bt": _NUMBER,
    "bv": _NUMBER,
    "bs": _NUMBER,
    "bver": _NUMBER,
}
_JOINTS = "/:._-"  # what a base name may end with and its label need not
_NOT_A_NUMBER = b""  # what binary data is to whoever wants numbers

_Record = Mapping[Any, Any]
_Place = tuple[str, str, float]  # the label, the signal and the time
_FindPlace = Callable[[_Record, _Record], _Place | Drop]


class _Measured(NamedTuple):
    """What was measured of one name at one time."""

    name: str
    time_s: float
    fields: dict[str, Any]


def senml_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format."""
    append_record = record_appender(definition)
    wanted = frozenset(signal_fields(definition))

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        pack = _parse(message.payload)
        if isinstance(pack, Drop):
            return pack
        now_s = message.arrival_s
        found = _read_pack(pack, lambda record, bases: _place(record, bases, wanted, now_s))
        if isinstance(found, Drop):
            return found

        def append(one: _Measured | Drop) -> Drop | None:
            if isinstance(one, Drop):
                return one
            return append_record(one.fields, {"name": one.name}, None, None, labels, one.time_s, batch)

        return append_all(found, append, batch)

    return decode


def looks_like_senml(record: Mapping[str, Any]) -> bool:
    """Say whether the first record of a pack in JSON has labels of SenML and no others.

    It has a name, or there are bases in it for those that follow.
    """
    known = all(label in _LABELS or label.endswith("_") for label in record)
    return known and ("n" in record or any(label in record for label in _BASES))


class _Everything:
    """All signals that there may be."""

    def __contains__(self, _signal: object) -> bool:
        return True


def senml_names(message: Message) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the labels and the values of a pack, by the names that settings have for them."""
    pack = _parse(message.payload)
    if isinstance(pack, Drop):
        return {}, {}
    found = _read_pack(pack, lambda record, bases: _place(record, bases, _Everything(), message.arrival_s))
    measured = [] if isinstance(found, Drop) else [one for one in found if isinstance(one, _Measured)]
    values = {signal: value for one in measured for signal, value in one.fields.items()}
    return ({"name": measured[0].name} if measured else {}), values


def _parse(payload: bytes) -> list[Any] | Drop:
    """Return the records of a pack, or why it is none."""
    pack = parse_cbor(payload, DEPTH_MAX) if begins_like_cbor(payload) else parse_document(payload)
    if isinstance(pack, Drop):
        return pack
    if not isinstance(pack, list):
        return Drop.WRONG_SHAPE
    return pack if len(pack) <= RECORDS_MAX else Drop.RECORDS_MAX


def begins_like_cbor(payload: bytes) -> bool:
    """Say whether the first byte of a payload is that of an array in CBOR; no text has it there."""
    return _ARRAYS[0] <= payload[:1] <= _ARRAYS[1] or payload.startswith(_SELF_DESCRIBED)


def _read_pack(pack: list[Any], place: _FindPlace) -> list[_Measured | Drop] | Drop:
    """Return what the records measured, or why one was refused; a Drop where the whole pack is."""
    bases: dict[str, Any] = {}
    found: list[_Measured | Drop] = []
    for record in pack:
        if not isinstance(record, dict):
            found.append(Drop.WRONG_SHAPE)
            continue
        named = {_CBOR_LABELS.get(label, label): value for label, value in record.items()}
        if not _take_bases(named, bases):
            return Drop.WRONG_SHAPE
        values = _values(named, bases)
        if values:
            _add(found, values, place(named, bases))
    return found


def _take_bases(record: _Record, bases: dict[str, Any]) -> bool:
    """Take the bases of a record over; say whether the pack may be read on."""
    for label, value in record.items():
        if label in _BASES:
            if not isinstance(value, _BASES[label]):
                return False
            bases[label] = value
        elif isinstance(label, str) and label.endswith("_"):  # "must be understood"
            return False
    return bases.get("bver", 10) in VERSIONS


def _values(record: _Record, bases: _Record) -> dict[str, Any]:
    """Return what a record measured, by what is put behind the signal."""
    values: dict[str, Any] = {}
    value = next((record[label] for label in ("v", "vb", "vs") if record.get(label) is not None), None)
    if record.get("vd") is not None:
        value = _NOT_A_NUMBER
    if isinstance(record.get("v"), _NUMBER):
        value = record["v"] + bases.get("bv", 0)
    if value is not None:
        values[""] = value
    total = record.get("s")
    if isinstance(total, _NUMBER) or (total is None and values and "bs" in bases):
        total = (total or 0) + bases.get("bs", 0)
    if total is not None:
        values[".sum"] = total
    return values


def _place(record: _Record, bases: _Record, wanted: Container[str], now_s: float) -> _Place | Drop:
    """Return the name, the signal and the time of what a record measured, or why it is refused."""
    base, own, unit = bases.get("bn", ""), record.get("n", ""), record.get("u", bases.get("bu", ""))
    if not (isinstance(own, str) and isinstance(unit, str) and 0 < len(base) + len(own) <= NAME_CHARS_MAX):
        return Drop.WRONG_SHAPE
    for name, signal in _readings(base, own, unit):
        if signal in wanted or f"{signal}.sum" in wanted:
            time_s = _time_s(record.get("t", 0), bases.get("bt", 0), now_s)
            return Drop.TIME_UNREADABLE if time_s is None else (name, signal, time_s)
    return Drop.NO_SIGNAL


def _readings(base: str, own: str, unit: str) -> Iterator[tuple[str, str]]:
    """Yield the ways to read a name as one of an entity and one of a signal, the likeliest first."""
    if base and own:
        yield base.rstrip(_JOINTS), own
    whole = base + own
    cut = max(whole.rfind("/"), whole.rfind(":"))
    yield whole[: max(cut, 0)], whole[cut + 1 :]
    yield whole, unit


def _time_s(time: Any, base: float, now_s: float) -> float | None:
    if not isinstance(time, _NUMBER):
        return None
    total = base + time
    return parse_time(total if total >= RELATIVE_S else now_s + total)


def _add(found: list[_Measured | Drop], values: Mapping[str, Any], place: _Place | Drop) -> None:
    """Add what a record measured to what the one before it did, where name and time are the same."""
    if isinstance(place, Drop):
        found.append(place)
        return
    name, signal, time_s = place
    fields = {signal + end: value for end, value in values.items()}
    last = found[-1] if found else None
    same = isinstance(last, _Measured) and (last.name, last.time_s) == (name, time_s)
    if isinstance(last, _Measured) and same and last.fields.keys().isdisjoint(fields):
        last.fields.update(fields)
    else:
        found.append(_Measured(name, time_s, fields))

"""What the JSON formats share: a record's fields become samples of one entity at one time."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, Final

from detector.stream.decode.labels import entity_reader
from detector.stream.decode.memory import remembering
from detector.stream.decode.numbers import number_of, words_of
from detector.stream.decode.paths import find, parse_path
from detector.stream.decode.times import time_reader
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Entity, Message

RECORDS_MAX: Final = 10_000
"""Of one message: as many records of a hundred bytes as fit into the default payload limit of 1 MiB."""

_NUMBER = (int, float)  # bool is an int: true is 1. `int | float` would be built anew at every value

Decode = Callable[[Message, Mapping[str, str], Batch], Drop | None]
"""Of a message, the labels that its topic gave, and the batch to append to; see `Decoder`."""

AppendRecord = Callable[[Mapping[str, Any], Any, Any, Any, Mapping[str, str], float, Batch], Drop | None]
ReadAll = Callable[[Mapping[str, Any]], tuple[float, ...] | None]
ReadValues = Callable[[Mapping[str, Any], Batch], tuple[list[int], list[float]]]


def signal_fields(definition: Definition) -> tuple[str, ...]:
    """Return where the payload has each column: a name or a dotted path."""
    return tuple(column.field or column.name for column in definition.columns)


def values_reader(definition: Definition, first: int = 0) -> ReadValues:
    """Return a function of (fields, batch) that gives the columns seen, from `first` on, and their values.

    A field that is null is not seen. Text is the number that it says or, as one of the signal's words,
    stands for. What is no number, or not finite, is counted in `batch.dropped`; nothing else of the batch is
    touched.
    """
    columns = tuple(
        (index, field, path if len(path := parse_path(field)) > 1 else None)
        for index, field in enumerate(signal_fields(definition))
        if index >= first
    )
    words = tuple(words_of(column) for column in definition.columns)

    def read(fields: Mapping[str, Any], batch: Batch) -> tuple[list[int], list[float]]:
        signals: list[int] = []
        values: list[float] = []
        for index, field, path in columns:
            value = fields.get(field)
            if value is None and path is not None:
                value = find(fields, path)
            if value is None:
                continue
            if not isinstance(value, _NUMBER):
                value = number_of(value, words[index])
                if isinstance(value, Drop):
                    batch.dropped[value] += 1
                    continue
            number = float(value)
            if isfinite(number):
                signals.append(index)
                values.append(number)
            else:
                batch.dropped[Drop.NOT_FINITE] += 1
        return signals, values

    return read


def all_reader(definition: Definition) -> ReadAll:
    """Return a function of fields that gives the values of all signals, in the order of the columns.

    It gives None unless each of them is under its own name and a finite number, as in nearly every message.
    Then all are read, and found to be numbers, by two calls: only numbers can be added up.
    """
    names = signal_fields(definition)
    pick = itemgetter(*names)
    single = len(names) == 1

    def read(fields: Mapping[str, Any]) -> tuple[float, ...] | None:
        try:
            values: tuple[float, ...] = (pick(fields),) if single else pick(fields)
            return values if isfinite(sum(values)) else None
        except (KeyError, TypeError, OverflowError):  # not there, not a number, an integer beyond float64
            return None

    return read


def record_appender(definition: Definition, taken: Container[str] = ()) -> AppendRecord:
    """Return a function that appends one record and its samples, or gives the reason why not.

    It takes what the payload says and where: fields (values), tags (labels), stamped (the time), the
    envelope around them; then the labels of the topic, the arrival in seconds, and the batch. A record
    without a signal is NO_SIGNAL whatever else it lacks: it is not the stream's. What counters are judged by
    may be in the record or the envelope, as a device that lists its interfaces tells its uptime once.

    Args:
        definition: The stream.
        taken: Fields that are signals, and so are not the time.
    """
    read_all = all_reader(definition)
    read_values = values_reader(definition)
    read_entity = remembering(entity_reader(definition), definition)
    read_time = time_reader(definition.layout, taken)
    every_column = range(len(definition.columns))
    read_told = values_reader(definition, len(definition.signals))
    is_told = len(definition.columns) > len(definition.signals)

    def append(
        fields: Mapping[str, Any],
        tags: Any,
        stamped: Any,
        envelope: Any,
        labels: Mapping[str, str],
        arrival_s: float,
        batch: Batch,
    ) -> Drop | None:
        signals: Sequence[int] = every_column
        values: Sequence[float] | None = read_all(fields)
        if values is None:
            signals, values = read_values(fields, batch)
            if not signals:
                return Drop.NO_SIGNAL
            if is_told and isinstance(envelope, dict):
                told = zip(*read_told(envelope, batch), strict=True)
                more = [(column, value) for column, value in told if column not in signals]
                signals = [*signals, *(column for column, _ in more)]
                values = [*values, *(value for _, value in more)]
        entity = read_entity(labels, tags, envelope)
        if isinstance(entity, Drop):
            return entity
        time_s = read_time(stamped, envelope, arrival_s)
        if time_s is None:
            return Drop.TIME_UNREADABLE
        write(batch, entity, time_s, signals, values)
        return None

    return append


def write(
    batch: Batch, entity: Entity, time_s: float, signals: Sequence[int], values: Sequence[float]
) -> None:
    """Append one record and its samples."""
    entities = batch.entities
    batch.record += [len(entities)] * len(signals)
    entities.append(entity)
    batch.times_s.append(time_s)
    batch.signal.extend(signals)
    batch.value.extend(values)


def append_all(records: Sequence[Any], append: Callable[[Any], Drop | None], batch: Batch) -> Drop | None:
    """Append every record of a message; return why, where not one was taken.

    Beside records that were taken, the others are counted in `batch.dropped`, one count each. Where
    none was, the message is dropped for the first reason that says more than that nothing was in it.
    A message of more than `RECORDS_MAX` records is refused as a whole, with RECORDS_MAX.
    """
    if len(records) > RECORDS_MAX:
        return Drop.RECORDS_MAX
    refused = [reason for record in records if (reason := append(record)) is not None]
    if len(refused) == len(records):
        return next((reason for reason in refused if reason is not Drop.NO_SIGNAL), Drop.NO_SIGNAL)
    batch.dropped.update(refused)
    return None

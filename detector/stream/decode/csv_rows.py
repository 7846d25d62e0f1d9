"""Format `csv`: rows of cells, under a line that names the columns or under names from the settings.

A row is a record, a message may have many; an empty cell is one that was not seen::

    timestamp,host,interface,rx_bytes,tx_bytes
    1458229140,raynor,"GigabitEthernet0/1, uplink",123456,

The delimiter is what `Layout.delimiter` says. Quotes as RFC 4180 has them; white space before a cell does not
count.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from detector.stream.decode.numbers import plain_number
from detector.stream.decode.records import Decode, append_all, record_appender, signal_fields
from detector.stream.definition import Definition
from detector.stream.nouns import Batch, Drop, Message

DELIMITERS_REFUSED: Final = frozenset('"\r\n\0')
"""What has another meaning to the format."""

Row = list[str]


def csv_decode(definition: Definition) -> Decode:
    """Return the `decode` of a stream of this format.

    Raises:
        ValueError: The delimiter is not one character that can be one, or a column stands twice.
    """
    named, split_rows = _columns(definition), rows_splitter(_delimiter(definition))
    wanted = tuple(dict.fromkeys(signal_fields(definition)))
    append_record = record_appender(definition, taken=wanted)

    def append(
        columns: Row, row: Row | None, message: Message, labels: Mapping[str, str], batch: Batch
    ) -> Drop | None:
        if row is None or (len(row) != len(columns) and not _fits(row, len(columns))):
            return Drop.MALFORMED
        record = dict(zip(columns, row, strict=False))
        if "" in row:
            record = {column: cell for column, cell in record.items() if cell}
        fields = _fields(wanted, record)
        return append_record(fields, record, record, None, labels, message.arrival_s, batch)

    def decode(message: Message, labels: Mapping[str, str], batch: Batch) -> Drop | None:
        text = _text(message.payload)
        if not text.strip():
            return Drop.PAYLOAD_EMPTY
        rows = split_rows(text)
        if not rows:
            return Drop.NO_SIGNAL
        columns = named or rows[0]
        if columns is None:
            return Drop.MALFORMED
        records = [row for row in rows if row != columns]
        return append_all(records, lambda row: append(columns, row, message, labels, batch), batch)

    return decode


def csv_document(definition: Definition, payload: bytes) -> list[dict[str, float | str]]:
    """Return all that is in a payload: an object for each row."""
    rows = rows_splitter(definition.layout.delimiter)(_text(payload))
    columns = list(definition.layout.columns) or (rows[0] if rows else None) or []
    return [
        {column: plain_number(cell) for column, cell in zip(columns, row, strict=False) if cell}
        for row in rows
        if row is not None and row != columns
    ]


def rows_splitter(delimiter: str) -> Callable[[str], list[Row | None]]:
    """Return a function that gives the rows of a text; None for each that does not follow the format.

    Rows without any cell are none.
    """
    dialect = csv.reader((), delimiter=delimiter, skipinitialspace=True, strict=True).dialect

    def split(text: str) -> list[Row | None]:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        if '"' in text:  # a cell may go on in the next line
            lines = [f"{line}\n" for line in lines]
        reader = csv.reader(lines, dialect)
        rows: list[Row | None] = []
        while True:
            try:
                rows.extend(reader)
            except csv.Error:
                rows.append(None)
            else:
                return [row for row in rows if row is None or any(row)]

    return split


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").strip("\ufeff\0\r\n")


def _fits(row: Row, columns: int) -> bool:
    """Say whether a row has a cell for each column and no other but empty ones, as after a last delimiter."""
    return len(row) >= columns and not any(row[columns:])


def _fields(wanted: Sequence[str], record: Mapping[str, str]) -> Mapping[str, float | str]:
    """Return the cells that are signals: numbers where they are, text that may stand for one otherwise."""
    try:
        cells = [record[field] for field in wanted]
        together = "".join(cells)
        if together.isascii() and "_" not in together:  # where Python's idea of a number is everybody's
            return dict(zip(wanted, map(float, cells), strict=True))
    except (KeyError, ValueError):
        pass
    return {field: plain_number(record[field]) for field in wanted if field in record}


def _columns(definition: Definition) -> Row:
    columns = list(definition.layout.columns)
    for column in columns:
        if column and columns.count(column) > 1:
            raise ValueError(f"stream {definition.name!r}: column {column!r} stands twice")
    return columns


def _delimiter(definition: Definition) -> str:
    delimiter = definition.layout.delimiter
    if len(delimiter) != 1 or delimiter in DELIMITERS_REFUSED:
        raise ValueError(f"stream {definition.name!r}: {delimiter!r} cannot be the delimiter of columns")
    return delimiter

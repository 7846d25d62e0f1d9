"""A table is the same as rows of cells, however they are written, and as JSON."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from detector.stream.decode import decoder
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Message

COLUMNS = ("device", "temp", "up_time", "ts", "more")
SIGNALS = (Signal("temp"), Signal("up_time", words=(("so so", 0.5),)))
DELIMITERS = (",", ";", "\t", "|")
DOCUMENTS = decoder(Definition("x", ("device",), SIGNALS, 10.0, 60, "t/#", "json", Layout(time="ts")))
ROWS = {
    delimiter: decoder(
        Definition("x", ("device",), SIGNALS, 10.0, 60, "t/#", "csv", Layout(time="ts", delimiter=delimiter))
    )
    for delimiter in DELIMITERS
}

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\ufeff"), max_size=6)
CELLS = (
    st.sampled_from(
        ["", "so so", "1_0", "nan", "-inf", "true", '"', "a\nb", ", ", "\u0667", "1760000000", "2025-10-09"]
    )
    | st.floats().map(str)
    | st.integers(-(2**63), 2**64).map(str)
    | TEXT
)
TABLE = st.lists(
    st.fixed_dictionaries({"device": TEXT.filter(str.strip), **dict.fromkeys(COLUMNS[1:], CELLS)}), max_size=5
)


def written(table, **how):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, **how)
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode()


def decode(reader, payload):
    batch = Batch()
    return reader.decode(Message("t/x", payload, 1_760_000_003.5), {}, batch), batch


@given(
    TABLE,
    st.sampled_from(DELIMITERS),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_is_the_same_as_rows_and_as_json(table, delimiter, quoting, end):
    rows = written(table, delimiter=delimiter, quoting=quoting, lineterminator=end)
    documents = [{column: cell for column, cell in row.items() if cell} for row in table]
    assert decode(ROWS[delimiter], rows) == decode(DOCUMENTS, json.dumps(documents).encode())

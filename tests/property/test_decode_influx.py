"""A metric is the same as a line and as JSON, and a line is the same however it is read."""

import json
import math
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from detector.stream.decode import decoder, influx
from detector.stream.definition import Definition, Layout, Signal
from detector.stream.nouns import Batch, Message

ARRIVAL_S = 1_760_000_003.5

NAMES = ("a", "b c", "d,e", "f=g", "h\\i", "ü")
SIGNALS = tuple(Signal(name, words=(("up", 1.0), ('say "x\\y"', 2.0))) for name in NAMES)
LINES = Definition(
    "x", ("host", "if name"), SIGNALS, 10.0, 60, "t/#", "influx", Layout(time_unit="ns", metric="m, n")
)
DOCUMENTS = replace(LINES, format="telegraf-json", layout=Layout(time_unit="s", metric="m, n"))
READ_LINES, READ_DOCUMENTS = decoder(LINES), decoder(DOCUMENTS)

# A line has no way to say a backslash before a separator of its own, nor a line break.
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
TAG = TEXT.filter(lambda text: not text.endswith("\\"))
KEY = st.sampled_from(NAMES) | TAG.filter(lambda text: '"' not in text)
VALUE = (
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8)
    | st.sampled_from(["up", 'say "x\\y"', '",a=1,b="', "7", "# ", "\n"])
)
METRICS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["m, n", "m", "n"]),
        "tags": st.dictionaries(st.sampled_from(["host", "if name"]) | TAG, TAG, max_size=4),
        "fields": st.dictionaries(KEY, VALUE, min_size=1, max_size=6),
        "timestamp": st.none() | st.integers(1, 4 * 10**9),
    }
)


def escaped(text, characters):
    for character in characters:
        text = text.replace(character, "\\" + character)
    return text


def value(one):
    if isinstance(one, str):
        return '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(one, int) and not isinstance(one, bool):
        return f"{one}{'i' if one < 2**63 else 'u'}"
    return str(one)


def line(metric):
    series = [escaped(metric["name"], ", ")]
    series += [f"{escaped(key, ',= ')}={escaped(tag, ',= ')}" for key, tag in metric["tags"].items()]
    fields = ",".join(f"{escaped(key, ',= ')}={value(one)}" for key, one in metric["fields"].items())
    stamp = "" if metric["timestamp"] is None else f" {metric['timestamp']}000000000"
    return f"{','.join(series)} {fields}{stamp}"


def decode(reader, payload):
    batch = Batch()
    return reader.decode(Message("t/x", payload, ARRIVAL_S), {}, batch), batch


def columns(batch):
    """Return a batch without the order of the signals of a record, which has no meaning."""
    cells = sorted(zip(batch.record, batch.signal, batch.value, strict=True))
    return batch.entities, batch.times_s, cells, batch.dropped


@given(st.lists(METRICS, min_size=1, max_size=4))
@example(
    [{"name": "m, n", "tags": {"host": "a\\, b"}, "fields": {"a": "\n\nm,host=b a=1\n"}, "timestamp": None}]
    * 2
)
def test_a_metric_is_the_same_as_a_line_and_as_json(metrics):
    lines = "\n".join(map(line, metrics)).encode()
    documents = json.dumps({"metrics": metrics}).encode()
    as_lines, as_documents = decode(READ_LINES, lines), decode(READ_DOCUMENTS, documents)
    assert as_lines[0] == as_documents[0]
    assert columns(as_lines[1]) == columns(as_documents[1])


READ_PLAINLY, READ_CAREFULLY = influx.plain_reader(NAMES), influx.careful_reader(NAMES)
PIECES = st.sampled_from(
    [
        "m\\,\\ n", "m", ",", "=", " ", "  ", '"', '="', '",', "\\", "\t", "a", "b\\ c", "host=r1",
        "if\\ name=e0", "a=1", "b\\ c=2i", "x", "1", "1760000000", "a=t", 'a="up"', "=1e5", "\\ ", "\\=", "_",
        "nan", "é",
    ]
)  # fmt: skip
ANY_LINES = st.lists(PIECES, max_size=30).map("".join)


@given(ANY_LINES | METRICS.map(line))
def test_what_is_split_plainly_splits_carefully_into_the_same(text):
    plain, careful = influx.split_plainly(text), influx.split_carefully(text.strip(" \t"))
    if plain is None:
        return
    assert careful is not None
    assert plain[0] == careful[0]
    fields = READ_PLAINLY(plain[1])
    if fields is not None:
        assert fields == READ_CAREFULLY(careful[1])
    assert plain[2].isdecimal() == careful[2].isdecimal()
    assert not plain[2].isdecimal() or plain[2] == careful[2]


@given(st.lists(ANY_LINES, max_size=4).map("\n".join))
def test_any_line_gives_samples_or_is_counted(text):
    drop, batch = decode(READ_LINES, text.encode())
    assert (drop is None) == bool(batch.value)
    assert all(map(math.isfinite, batch.value))

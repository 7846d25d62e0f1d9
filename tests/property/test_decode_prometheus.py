"""The text of exporters, held against the parsers of Prometheus's own library."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, parser
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.openmetrics.exposition import generate_latest

from detector.stream.decode import prometheus

NAMES = ("a", "a_total", "ab:c", "_x9")
LABEL_NAMES = st.sampled_from(["a", "le", "device", "_b", "mode"])
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8
) | st.sampled_from(['"', "\\", "\n", '{x="y"}', '",a="', " # {} 1", "\\n", ",", "} 1\n"])
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**63), 2**64)
SAMPLES = st.tuples(
    st.sampled_from(NAMES),
    st.dictionaries(LABEL_NAMES, TEXT, max_size=3),
    NUMBERS,
    st.none() | st.integers(1, 4 * 10**12),
)
BLANK = st.sampled_from(["", " ", "\t", "  "])
BETWEEN = st.sampled_from([" ", "\t", "  "])


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') + '"'


@st.composite
def line(draw):
    """Return a line that follows version 0.0.4, with blanks wherever there may be some."""
    name, labels, value, stamp = draw(SAMPLES)
    pairs = [
        f"{draw(BLANK)}{label}{draw(BLANK)}={draw(BLANK)}{quoted(text)}{draw(BLANK)}"
        for label, text in labels.items()
    ]
    braces = (
        f"{draw(BLANK)}{{{','.join(pairs)}{',' if pairs and draw(st.booleans()) else ''}}}" if pairs else ""
    )
    stamped = "" if stamp is None else f"{draw(BETWEEN)}{stamp}"
    return f"{draw(BLANK)}{name}{braces}{draw(BETWEEN)}{value}{stamped}{draw(BLANK)}"


COMMENTS = st.sampled_from(["", "  ", "# a 1", "# HELP a \\n \\\\ {", "# TYPE ab:c gauge", "#", "# EOF"])
TEXTS = st.lists(line() | COMMENTS, max_size=8).map("\n".join)


def found(text, names):
    """Return what we find: names, labels, values, and times as they are written."""
    samples = prometheus.samples_finder(names)(text)
    return [
        (name, prometheus.read_labels(labels), float(value), float(stamp) if stamp else None)
        for name, labels, value, stamp in samples
    ]


def expected(families, per_second):
    """Return what the library finds."""
    return [
        (
            one.name,
            one.labels,
            float(one.value),
            one.timestamp and round(float(one.timestamp) * per_second, 3),
        )
        for family in families
        for one in family.samples
    ]


@given(TEXTS)
def test_every_sample_is_read_as_the_parser_of_the_library_reads_it(text):
    theirs = parser.text_string_to_metric_families(text + "\n")
    assert found(text, NAMES) == expected(theirs, 1000)


@given(
    st.lists(
        st.tuples(TEXT, NUMBERS.filter(lambda number: number > 0), st.booleans()),
        max_size=5,
        unique_by=lambda one: one[0],
    ),
    st.integers(1, 4 * 10**12),
)
def test_what_the_library_writes_as_openmetrics_is_read(observations, time_ms):
    registry = CollectorRegistry()
    histogram = Histogram("h", "help", ["a"], registry=registry, buckets=(0.5, 1, 1e6))
    counter = Counter("c", "help", ["a", "b"], registry=registry)
    family = GaugeMetricFamily("g", "help", labels=["a"])
    for text, number, has_exemplar in observations:
        exemplar = {"trace_id": "{x # 1"} if has_exemplar else None
        histogram.labels(text).observe(number, exemplar)
        counter.labels(text, "x").inc(number, exemplar)
        family.add_metric([text], -number, timestamp=time_ms / 1000)
    registry.register(Collected(family))
    written = generate_latest(registry).decode()
    names = ["g", "h_bucket", "h_sum", "h_count", "h_created", "c_total", "c_created"]
    assert found(written, names) == expected(openmetrics_parser.text_string_to_metric_families(written), 1)


class Collected:
    """A family of metrics that is there already, as a registry asks for it."""

    def __init__(self, family):
        self.family = family

    def collect(self):
        return [self.family]

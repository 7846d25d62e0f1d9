"""A Sparkplug edge that is born, speaks, dies and loses messages: what is read is what it meant."""

from hypothesis import given, settings
from hypothesis import strategies as st

from detector.stream.decode import decoder
from detector.stream.decode.sparkplug_b_pb2 import Payload
from detector.stream.definition import Definition, Signal
from detector.stream.nouns import Batch, Drop, Message
from tests.benchmark.fuzz_decode import SPARKPLUG, check

NAMES = ("a", "b", "other")
DEVICES = ("d1", "d2")
STREAM = Definition(
    "edges",
    ("node", "device"),
    (Signal("a"), Signal("b")),
    10.0,
    60,
    "spBv1.0/#",
    "sparkplug",
    entities_max=4,
)
TIME_S = 1_760_000_000.0
INT64 = 4

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.sampled_from(DEVICES), st.sampled_from(NAMES), st.booleans()),
        st.tuples(st.sampled_from(["birth", "death"]), st.sampled_from(DEVICES)),
        st.tuples(st.sampled_from(["rebirth", "restart", "restart with a late will", "crash"])),
    ),
    max_size=60,
)


class Edge:
    """One node. Each value tells which metric of which device it is of: see `meaning`."""

    def __init__(self):
        self.sent = []
        self.birth, self.value = 0, 0
        self.begin()

    def begin(self):
        """Begin a session, with other aliases than that before."""
        self.birth += 1
        self.aliases = {
            (device, name): (5 * self.birth + index) % 7
            for index, (device, name) in enumerate((device, name) for device in DEVICES for name in NAMES)
        }
        self.rebirth()

    def rebirth(self):
        self.number = 0
        self.living = set(DEVICES)
        self.send("NBIRTH", "", [{"name": b"bdSeq", "datatype": INT64, "long_value": self.birth}])
        for device in DEVICES:
            self.be_born(device)

    def be_born(self, device):
        self.living.add(device)
        self.send("DBIRTH", device, [self.metric(device, name, named=True, aliased=True) for name in NAMES])

    def metric(self, device, name, *, named, aliased):
        self.value += 1
        value = -(self.value * 10 + NAMES.index(name)) * 10 - DEVICES.index(device)
        metric = {"long_value": value % 2**64}
        metric |= {"name": name.encode(), "datatype": INT64} if named else {}
        return metric | ({"alias": self.aliases[device, name]} if aliased else {})

    def will(self):
        return (
            "NDEATH",
            "",
            Payload(metrics=[{"name": b"bdSeq", "datatype": INT64, "long_value": self.birth}]),
        )

    def send(self, kind, device, metrics):
        self.sent.append((kind, device, Payload(metrics=metrics, seq=self.number)))
        self.number = (self.number + 1) % 256

    def live(self, event):
        """Do what an event says."""
        kind, *what = event
        if kind == "data" and what[0] in self.living:
            device, name, named = what
            self.send("DDATA", device, [self.metric(device, name, named=named, aliased=not named)])
        elif kind == "birth":
            self.be_born(what[0])
        elif kind == "death" and what[0] in self.living:
            self.living.discard(what[0])
            self.send("DDEATH", what[0], [])
        elif kind == "rebirth":
            self.rebirth()
        elif kind in ("restart", "crash"):
            self.sent.append(self.will())
            self.begin()
        elif kind == "restart with a late will":
            will = self.will()
            self.begin()
            self.sent.append(will)


def meaning(value):
    """Return which device and metric a value is of."""
    rest, device = divmod(-int(value), 10)
    return DEVICES[device], NAMES[rest % 10]


def heard(messages):
    """Decode messages; yield for each what became of it, the topic's device and the batch."""
    reader = decoder(STREAM)
    for index, (kind, device, payload) in enumerate(messages):
        topic = f"spBv1.0/g/{kind}/n" + (f"/{device}" if device else "")
        batch = Batch()
        message = Message(topic, payload.SerializeToString(), TIME_S + index)
        drop = reader.decode(message, reader.template.match(topic), batch)
        for column, value in zip(batch.signal, batch.value, strict=True):
            assert meaning(value) == (device, STREAM.signals[column].name)
        yield kind, device, drop, batch


def lived(events):
    edge = Edge()
    for event in events:
        edge.live(event)
    return edge.sent


@settings(deadline=None)
@given(EVENTS)
def test_of_an_edge_of_which_nothing_is_lost_everything_is_read(events):
    living = set()
    for kind, device, drop, batch in heard(lived(events)):
        assert drop in (None, Drop.NO_SIGNAL)
        assert batch.missed == 0
        assert not batch.dropped
        assert not batch.replies
        silenced = {labels["device"] for _, labels in batch.silenced}
        if kind == "DBIRTH":
            assert len(batch.value) == len(STREAM.signals)
            living.add(device)
        elif kind == "DDEATH":
            assert silenced == living & {device}
            living.discard(device)
        elif kind == "NDEATH":
            assert silenced in (living, set())  # nobody, where the will is of the session before
        else:
            assert not silenced


@settings(deadline=None)
@given(events=EVENTS, data=st.data())
def test_of_an_edge_of_which_messages_are_lost_or_come_twice_nothing_is_read_as_something_else(events, data):
    sent = lived(events)
    kept = [one for one in sent if one[0] == "NDEATH" or data.draw(st.integers(0, 3))]
    twice = [copy for one in kept for copy in [one] * data.draw(st.sampled_from([1, 1, 1, 2]))]
    asked = []
    for index, (_, _, drop, batch) in enumerate(heard(twice)):
        assert drop in (None, Drop.NO_SIGNAL, Drop.ALIAS_UNKNOWN)
        assert batch.replies or drop is not Drop.ALIAS_UNKNOWN or asked
        asked += [index] * len(batch.replies)
    assert len(asked) <= 1 + len(twice) // 60


# Payloads that are well-formed, and whatever else

VALUES = st.one_of(
    st.fixed_dictionaries({"int_value": st.integers(0, 2**32 - 1)}),
    st.fixed_dictionaries({"long_value": st.integers(0, 2**64 - 1)}),
    st.fixed_dictionaries({"float_value": st.floats(width=32)}),
    st.fixed_dictionaries({"double_value": st.floats()}),
    st.fixed_dictionaries({"boolean_value": st.booleans()}),
    st.fixed_dictionaries({"string_value": st.binary(max_size=6) | st.sampled_from([b"up", b"1e3"])}),
    st.fixed_dictionaries({"dataset_value": st.binary(max_size=6)}),
    st.just({}),
)
NAMES_ANY = st.sampled_from(
    [b"temp", b"level", b"state", b"Ports/1/Octets", b"Ports//Octets", b"\xff", b"bdSeq"]
)
TIMES = st.sampled_from([0, 1, 1_760_000_000_250, 2**64 - 1])
METRICS = st.builds(
    lambda fields, value: fields | value,
    st.fixed_dictionaries(
        {},
        optional={
            "name": NAMES_ANY,
            "alias": st.integers(0, 5),
            "timestamp": TIMES,
            "datatype": st.integers(0, 35),
            "is_historical": st.booleans(),
            "is_null": st.booleans(),
        },
    ),
    VALUES,
)
PAYLOADS = st.fixed_dictionaries(
    {"metrics": st.lists(METRICS, max_size=6)},
    optional={"seq": st.integers(0, 300), "timestamp": TIMES},
)
TOPICS = st.sampled_from([f"spBv1.0/g/{kind}/n/d" for kind in ("DBIRTH", "DDATA")])


@settings(deadline=None)
@given(st.lists(st.tuples(TOPICS, PAYLOADS), max_size=12))
def test_any_metrics_give_records_or_one_drop(messages):
    reader = decoder(SPARKPLUG)
    for topic, payload in messages:
        check(reader, topic, Payload(**payload).SerializeToString())

"""What a dataset says about itself: step and kinds; and where a definition says something else."""

import json
import tomllib

import numpy as np
import pytest
from pyarrow import parquet

from detector.edge.recorder import Recorder
from detector.settings import Settings, StreamSettings
from detector.stream.definition import Definition, Signal
from detector.train.dataset import Dataset, DatasetError
from detector.train.dialogue import prepare, tell_unseen
from detector.train.infer import Recorded, as_toml, doubts, infer
from detector.train.trainer import check
from tests.support.streams import START_S


def dataset(time_s, *, entity=None, rates=False, **columns):
    time_s = np.array(time_s, float) + START_S
    entity = np.zeros(len(time_s), int) if entity is None else np.array(entity)
    return Dataset(
        labels=("device",),
        entities=tuple((str(index),) for index in range(entity.max(initial=-1) + 1)),
        entity=entity,
        time_s=time_s,
        column={name: np.array(values, float) for name, values in columns.items()},
        train=np.ones(len(time_s), bool),
        rates=rates,
        sha256="",
    )


def kind(values, **changed):
    return infer(dataset(10.0 * np.arange(len(values)), x=values, **changed), "s").signals[0].kind


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 3, 9], "counter"),
        ([1, 2, 1, 3, 9], "gauge"),
        ([5, 5, 5, 5], "gauge"),  # it never moved; a rate of 0 says no more
        ([-1, 0, 1, 2], "gauge"),
        ([np.nan, 1, np.nan, 2], "counter"),
        ([np.nan] * 4, "gauge"),
        ([7], "gauge"),
        ([*range(200), *range(200)], "counter"),  # one reset in four hundred steps
        ([*range(20), *range(20)], "gauge"),
        (np.arange(99) * 3e8 % 2**32, "counter"),  # it wraps every fourteen steps
        (np.arange(99) * 3e8 % 2**33, "gauge"),  # nothing wraps there
    ],
)
def test_what_never_falls_is_a_counter(values, expected):
    if len(values) == 1:
        values = [*values, np.nan]
    assert kind(values) == expected


def doubted(values, declared, **changed):
    data = dataset(10.0 * np.arange(len(values)), x=values, **changed)
    return list(doubts(data, Definition("s", ("device",), (Signal("x", declared), Signal("y")), 10.0, 6)))


NEVER = "gauges that hardly ever fall; counters? x"


@pytest.mark.parametrize(
    ("values", "declared", "said"),
    [
        (range(40), "gauge", [NEVER]),
        (range(40), "counter", []),
        (np.arange(400) // 15, "gauge", [NEVER]),
        ([*range(200), *range(200)], "gauge", [NEVER]),  # one reset
        (np.arange(400) // 25, "gauge", []),  # it rises too seldom for that to mean anything
        (np.arange(1000) // 25, "gauge", []),
        (range(20), "gauge", []),  # too few steps
        (np.arange(40) % 7, "gauge", []),
        (np.arange(-1, 40), "gauge", []),
        ([5] * 40, "gauge", []),
        (
            np.arange(400) % 7,
            "counter",
            ["counters that fall, and in how many of their steps; gauges? x (14%)"],
        ),
        ([*range(200), *range(200)], "counter", []),
        (np.arange(400) * 3e8 % 2**32, "counter", []),  # wraps
    ],
)
def test_a_kind_that_the_data_does_not_look_like_is_named(values, declared, said):
    assert doubted(values, declared) == said


def test_a_kind_that_the_data_does_not_look_like_is_said_before_the_training(tmp_path, capsys):
    rows = [f"{START_S + 10 * index},r1,{index},{index % 7}" for index in range(400)]
    (tmp_path / "data.csv").write_text("\n".join(["time,device,octets,load", *rows]), "utf-8")
    signals = {"octets": {}, "load": {"kind": "counter"}}
    stream = {"name": "s", "topic": "t/{device}", "entity": ["device"], "signals": signals}
    prepare([tmp_path], "s", Settings(streams=[stream]))
    assert capsys.readouterr().err == (
        "gauges that hardly ever fall; counters? octets\n"
        "counters that fall, and in how many of their steps; gauges? load (14%)\n"
    )


RISING = 'recorded as gauges that hardly ever fall; counters? x; if so, set kind = "counter" and record anew'
OTHER = "recorded as another kind than the stream has now; record anew: x"


@pytest.mark.parametrize(
    ("values", "was", "declared", "said"),
    [
        (range(40), "gauge", "gauge", [RISING]),
        (np.arange(40) % 7, "gauge", "gauge", []),
        (range(40), "gauge", "counter", [OTHER]),  # these are levels, and it would learn them as rates
        (range(40), "counter", "gauge", [OTHER]),
        (range(40), "counter", "counter", []),  # rates may rise
        (np.arange(40) % 7, "counter", "counter", []),  # and fall
        (range(40), "", "gauge", []),  # an old recording does not say what it was
    ],
)
def test_of_a_recording_only_what_was_recorded_as_a_gauge_can_be_looked_at(values, was, declared, said):
    data = dataset(10.0 * np.arange(40), x=list(values), rates=True)
    signals = {"x": {"kind": was}} if was else {}
    recorded = Recorded(stream="s", step_s=10.0, signals=["x"], definitions=signals)
    definition = Definition("s", ("device",), (Signal("x", declared), Signal("y")), 10.0, 6)
    assert list(doubts(data, definition, recorded)) == said
    assert list(doubts(data, definition)) == [], "who does not know what was recorded cannot tell"


@pytest.mark.parametrize("settled", [True, False])
def test_a_counter_that_was_recorded_as_a_gauge_is_said_before_the_training(tmp_path, capsys, settled):
    stream = {"name": "s", "topic": "t/{device}", "entity": ["device"], "signals": {"x": {}}}
    settings = Settings(streams=[stream])
    recorder = Recorder(tmp_path, settings.streams[0].definition(), 1000, 3600.0)
    for index in range(40):
        level = np.full((1, 1), 1e9 + 1e6 * index, np.float32)
        recorder.add(START_S + 10.0 * index, [("leaf1",)], level, np.ones((1, 1), bool))
    recorder.flush(everything=True)
    prepare([tmp_path], "s" if settled else None, settings if settled else None)
    assert capsys.readouterr().err == f"{RISING}\n"


def test_rates_of_a_recording_are_gauges():
    assert kind([1, 2, 3, 4], rates=True) == "gauge"


def test_a_counter_may_start_lower_in_the_next_entity():
    data = dataset([0, 10, 0, 10], entity=[0, 0, 1, 1], x=[100, 200, 5, 6])
    assert infer(data, "s").signals[0].kind == "counter"


@pytest.mark.parametrize(
    ("time_s", "entity", "step_s"),
    [
        ([0, 10, 20, 30], None, 10.0),
        ([0, 10, 20, 3000], None, 10.0),  # the median, whatever the holes
        ([0, 0, 4.5, 4.5, 9], None, 4.5),  # repeated times say nothing
        ([0, 9.998, 20.001], None, 10.0),  # three digits
        ([0, 1, 60, 61, 120, 121], [0, 1, 0, 1, 0, 1], 60.0),  # each entity by itself
    ],
)
def test_the_step_is_the_median_spacing_of_an_entity(time_s, entity, step_s):
    assert infer(dataset(time_s, entity=entity, x=np.arange(len(time_s))), "s").step_s == step_s


@pytest.mark.parametrize("time_s", [[], [0], [0, 0]])
def test_a_step_that_cannot_be_told_is_said_so(time_s):
    with pytest.raises(DatasetError, match="step cannot be told"):
        infer(dataset(time_s, x=np.zeros(len(time_s))), "s")


def test_without_a_number_there_is_nothing_to_learn():
    with pytest.raises(DatasetError, match="no numeric column"):
        infer(dataset([0, 10]), "s")


def test_signals_that_the_data_never_has_and_columns_that_no_signal_uses_are_named(tmp_path, capsys):
    definition = Definition("s", ("device",), (Signal("in_octet"), Signal("cpu"), Signal("fan")), 10.0, 6)
    data = dataset([0, 10], in_octets=[1, 2], cpu=[3, 4], fan=[float("nan")] * 2)
    tell_unseen(data, definition)
    assert capsys.readouterr().err == (
        "never seen in this data: in_octet, fan\nin this data, and no signal: in_octets\n"
    )


@pytest.mark.parametrize("columns", [{"in_octets": [1, 2]}, {"in_octet": [float("nan")] * 2}])
def test_data_without_any_signal_of_the_stream_is_refused_with_what_both_have(columns):
    definition = Definition("s", ("device",), (Signal("in_octet"), Signal("cpu")), 10.0, 6)
    with pytest.raises(DatasetError) as refused:
        check(dataset([0, 10], **columns), definition)
    assert str(refused.value) == (
        "no signal of the stream has a number in the data; "
        f"signals: in_octet, cpu; numeric columns: {next(iter(columns))}"
    )


def record(directory, definition, time_s):
    recorder = Recorder(directory, definition, 1000, 3600.0)
    shape = 1, len(definition.signals)
    for one_s in time_s:
        recorder.add(one_s + START_S, [("leaf1",)], np.ones(shape, np.float32), np.ones(shape, bool))
    return recorder.flush(everything=True)[0]


def test_a_recording_says_its_stream_and_what_it_does_not_say_is_marked(tmp_path, capsys):
    signals = (
        Signal("octets", "counter", 32, direction="below", field="octets", rate_max=1.25e9),
        Signal("cpu", aggregate="max", field="cpu", scale=0.1, offset=-3.0, unit="%"),
        Signal("state", field="state", words=(("not up", 0.0), ("up", 1.0))),
    )
    recorded = Definition("interfaces", ("device",), signals, 10.0, 6, refresh_s=25.0)
    # Every other step is missing: the spacing of the data is not the step.
    record(tmp_path, recorded, [10.0, 30.0, 50.0])
    _, definition = prepare([tmp_path], None, None)
    assert definition.entity == ("device",)
    assert (definition.name, definition.step_s) == ("interfaces", 10.0)
    printed = capsys.readouterr().out
    (stream,) = tomllib.loads(printed)["streams"]
    assert stream["topic"] == "telemetry/{device}/interfaces"
    marked = [line.split(" ")[0] for line in printed.splitlines() if "# not in the data" in line]
    assert marked == ["topic", "format"]
    taken = StreamSettings.model_validate(stream).definition()
    assert (taken.signals, taken.refresh_s, taken.window_steps) == (signals, 25.0, 6)


def test_a_recording_that_does_not_say_which_signals_are_counters_is_marked(tmp_path, capsys):
    path = record(
        tmp_path, Definition("s", ("device",), (Signal("octets", "counter"),), 10.0, 6), [10.0, 20.0]
    )
    table = parquet.read_table(path)
    said = json.loads(table.schema.metadata[b"detector"])
    del said["definitions"]
    parquet.write_table(table.replace_schema_metadata({b"detector": json.dumps(said)}), path)
    _, definition = prepare([tmp_path], None, None)
    assert definition.signals == (Signal("octets", field="octets"),)
    assert (
        "# This recording holds rates and does not say which signals are counters" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"definitions": {"octets": {"kind": "meter"}}},
        {"definitions": {"octets": ["counter"]}},
        {"definitions": 3},
        {"window_steps": "many"},
        {"refresh_s": -1},
        {"step_s": "ten"},
    ],
)
def test_a_recording_that_says_nonsense_of_itself_is_refused(tmp_path, wrong):
    path = record(tmp_path, Definition("s", ("device",), (Signal("octets"),), 10.0, 6), [10.0, 20.0])
    table = parquet.read_table(path)
    said = json.loads(table.schema.metadata[b"detector"]) | wrong
    parquet.write_table(table.replace_schema_metadata({b"detector": json.dumps(said)}), path)
    with pytest.raises(DatasetError, match="the recording says of itself"):
        prepare([tmp_path], None, None)


def test_of_several_recordings_the_newest_names_the_order_and_all_signals_are_kept(tmp_path):
    older = Definition("s", ("device",), (Signal("fan"), Signal("cpu")), 10.0, 6)
    record(tmp_path, older, [10.0])
    record(tmp_path, Definition("s", ("device",), (Signal("disk"), Signal("cpu")), 20.0, 6), [40.0, 60.0])
    _, definition = prepare([tmp_path], None, None)
    assert (definition.signal_names, definition.step_s) == (("disk", "cpu", "fan"), 20.0)


def test_the_toml_is_a_stream_that_the_settings_take_and_mean_the_same():
    data = dataset([0, 4.5, 9.0], level=[3, 1, 2], octets=[1, 2, 3])
    inferred = infer(data, "interfaces")
    (stream,) = tomllib.loads(as_toml(inferred))["streams"]
    taken = StreamSettings.model_validate(stream).definition()
    assert taken.signals == inferred.signals
    for name in (
        "name",
        "entity",
        "step_s",
        "window_steps",
        "lateness_s",
        "refresh_s",
        "silence_s",
        "expire_s",
    ):
        assert getattr(taken, name) == getattr(inferred, name), name

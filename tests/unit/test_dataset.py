"""Datasets: what is read as what, and what is refused with words that help."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector.edge.recorder import Recorder
from detector.evaluate.offline import outcomes, score
from detector.stream.definition import Signal
from detector.train import dataset as datasets
from detector.train.dataset import DatasetError, read
from detector.train.timeline import timeline
from tests.support.streams import COUNTER, GAUGE, START_S, definition, judge

CSV = """time,device,level,octets
1700000020,r2,5,300
1700000000,r1,1.5,100
1700000010,r1,,200
"""


def csv(folder, text=CSV, name="data.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def parquet(folder, columns, name="data.parquet", metadata=None):
    path = folder / name
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def check(data):
    assert data.labels == ("device",)
    assert [data.entities[index] for index in data.entity] == [("r1",), ("r1",), ("r2",)]
    assert data.time_s.tolist() == [START_S, START_S + 10, START_S + 20]
    np.testing.assert_array_equal(data.column["level"], [1.5, np.nan, 5])
    np.testing.assert_array_equal(data.column["octets"], [100, 200, 300])
    assert data.train.all()
    assert not data.rates


def test_a_csv_is_read_in_time_order_with_what_is_empty_unseen(tmp_path):
    check(read([csv(tmp_path)]))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_timestamps_of_any_unit_are_seconds_of_utc(tmp_path, unit, zone):
    at = [datetime.fromtimestamp(START_S + after_s, UTC) for after_s in (0, 10, 20)]
    columns = {
        "time": pa.array(at, pa.timestamp(unit, "UTC")).cast(pa.timestamp(unit, zone)),
        "device": pa.array(["r1", "r1", "r2"]).dictionary_encode(),
        "level": [1.5, None, 5],
        "octets": pa.array([100, 200, 300], pa.uint64()),
    }
    check(read([parquet(tmp_path, columns)]))


def test_nanoseconds_that_are_no_whole_microseconds_are_read_too(tmp_path):
    at = pa.array([1_700_000_000_000_000_001], pa.timestamp("ns"))
    assert read([parquet(tmp_path, {"time": at, "x": [1.0]})]).time_s.tolist() == [START_S]


def test_iso_times_in_a_csv_are_timestamps(tmp_path):
    data = read([csv(tmp_path, "time,x\n2023-11-14T22:13:20Z,1\n2023-11-14T22:13:20.5Z,2\n")])
    assert data.time_s.tolist() == [START_S, START_S + 0.5]


def test_a_counter_of_64_bits_is_read_to_its_top(tmp_path):
    data = read([parquet(tmp_path, {"time": [1.0], "octets": pa.array([2**64 - 1], pa.uint64())})])
    assert data.column["octets"].tolist() == [2.0**64]


def test_a_folder_is_all_its_datasets_and_labels_and_hidden_files_are_none(tmp_path):
    (tmp_path / "2023").mkdir()
    csv(tmp_path / "2023", "time,device,level\n1700000010,r1,2\n")
    parquet(tmp_path, {"time": [START_S], "device": ["r1"], "other": [7]})
    csv(tmp_path, "start,end,event,kind\n1,2,x,fault\n", "labels.csv")
    csv(tmp_path, "rubbish", ".data.csv")
    (tmp_path / "notes.txt").write_text("time")
    (tmp_path / "folder.csv").mkdir()
    data = read([tmp_path])
    np.testing.assert_array_equal(data.column["level"], [np.nan, 2])
    np.testing.assert_array_equal(data.column["other"], [7, np.nan])


def test_numbers_name_an_entity_where_they_are_said_to(tmp_path):
    data = read([csv(tmp_path, "time,port,level\n1,7,2\n2,8,3\n")], ["port"])
    assert data.entities == (("7",), ("8",))
    assert list(data.column) == ["level"]


def test_without_a_text_column_there_is_one_entity(tmp_path):
    data = read([csv(tmp_path, "time,level\n1,2\n2,3\n")])
    assert (data.labels, data.entities, data.entity.tolist()) == ((), ((),), [0, 0])


def test_entities_are_told_apart_by_all_their_labels(tmp_path):
    text = "time,device,port,level\n1,r1,a,0\n2,r1,b,1\n3,r2,a,2\n4,r2,b,3\n5,r1,a,4\n"
    data = read([csv(tmp_path, text)])
    assert [data.entities[index] for index in data.entity] == [
        ("r1", "a"), ("r1", "b"), ("r2", "a"), ("r2", "b"), ("r1", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(("yes", "no"), [("true", "false"), ("1", "0"), ("1.0", "0.0"), ("true", "")])
def test_the_train_column_says_what_is_trained_on(tmp_path, yes, no):
    data = read([csv(tmp_path, f"time,x,train\n1,1,{yes}\n2,2,{no}\n")])
    assert data.train.tolist() == [True, False]
    assert list(data.column) == ["x"]
    assert data.only(data.train).time_s.tolist() == [1.0]


def test_a_train_column_of_text_names_no_entity(tmp_path):
    data = read([parquet(tmp_path, {"time": [1.0, 2.0], "device": ["r1", "r1"], "train": ["1", "0"]})])
    assert (data.labels, data.train.tolist()) == (("device",), [True, False])


def test_records_without_a_time_are_left_out(tmp_path):
    data = read([csv(tmp_path, "time,x,train\n,1,true\n2,2,false\n1,3,true\n")])
    assert data.column["x"].tolist() == [3, 2]
    assert data.train.tolist() == [True, False]


def test_a_file_without_records_is_a_dataset_without_entities(tmp_path):
    empty = {
        "time": pa.array([], pa.float64()),
        "device": pa.array([], pa.string()),
        "x": pa.array([], pa.int64()),
    }
    data = read([parquet(tmp_path, empty)])
    assert data.entities == ()
    past = timeline(data, definition(Signal("x")))
    assert past.value.shape == (0, 0, 1)
    assert len(past.ends()[0]) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "data.csv"),
        ("time,x\n", "column `time` is null"),
        ("device,level\nr1,2\n", "no column `time`; columns: device, level"),
        ("time,device\nnever,r1\n", "column `time` is string"),
        ("time,x\n1700000000000,1\n", "column `time` is not in seconds"),
        ("time,x,x\n1,2,3\n", "a column stands twice"),
        ("time,x\n1,2,3\n4\n", "data.csv"),
        ("time,x,train\n1,2,perhaps\n", "column `train` is string"),
        ("time,x,when\n1,2,2023-11-14\n", "column `when` is date32"),
    ],
)
def test_a_file_that_is_no_dataset_is_refused_with_its_reason(tmp_path, text, words):
    with pytest.raises(DatasetError, match=words):
        read([csv(tmp_path, text)])


def test_what_is_no_parquet_is_refused_by_name_alone_and_in_a_folder(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 rubbish")
    for where in (path, tmp_path):
        with pytest.raises(DatasetError, match=r"broken\.parquet"):
            read([where])


@pytest.mark.parametrize("cut", [0.0, 0.5, 0.9])
def test_a_broken_file_in_a_folder_costs_itself_and_is_named(tmp_path, cut):
    for name, start_s in (("a", 0), ("b", 1000), ("c", 2000)):
        table = pa.table({"time": start_s + np.arange(100.0), "device": ["r"] * 100, "x": np.arange(100.0)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    broken = tmp_path / "b.parquet"
    broken.write_bytes(broken.read_bytes()[: int(cut * broken.stat().st_size)])
    found = read([tmp_path])
    assert found.time_s.tolist() == [*range(100), *range(2000, 2100)]
    assert [file.name for file in found.files] == ["a.parquet", "c.parquet"]
    (problem,) = found.broken
    assert "b.parquet" in problem
    with pytest.raises(DatasetError, match=r"b\.parquet"):
        read([tmp_path / "a.parquet", broken])  # who names it wants it


@pytest.mark.parametrize(
    ("name", "words"), [("absent.csv", "no such file"), ("data.txt", "neither .parquet nor .csv")]
)
def test_a_path_that_cannot_be_read_says_why(tmp_path, name, words):
    (tmp_path / "data.txt").write_text("x")
    with pytest.raises(DatasetError, match=words):
        read([tmp_path / name])


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(DatasetError, match=r"no \.parquet or \.csv file in"):
        read([tmp_path])


def test_an_entity_column_that_is_missing_is_named_with_those_that_are_there(tmp_path):
    with pytest.raises(DatasetError, match="no entity column `port`; columns: time, device, level, octets"):
        read([csv(tmp_path)], ["port"])


def test_files_whose_columns_are_of_different_kinds_do_not_fit_together(tmp_path):
    csv(tmp_path, "time,x\n1,2\n", "a.csv")
    csv(tmp_path, "time,x\n1,text\n", "b.csv")
    with pytest.raises(DatasetError, match="do not fit together"):
        read([tmp_path])


def recorded(folder):
    """Return a recording of three steps of one entity whose octets grew by 10 a second."""
    recorder = Recorder(folder, definition(GAUGE, COUNTER), 1000, 1000.0)
    steps = np.array([[1.0, 0.0], [2.0, 10.0], [3.0, 10.0]], np.float32)
    seen = np.array([[True, False], [True, True], [True, True]])
    for index in range(3):
        part = slice(index, index + 1)
        recorder.add(START_S + 10.0 * index, [("r1",)], steps[part], seen[part])
    [path] = recorder.flush(everything=True)
    return path


def test_the_rates_of_a_recording_are_not_differentiated_again(tmp_path):
    data = read([recorded(tmp_path)])
    assert data.rates
    past = timeline(data, definition(GAUGE, COUNTER))
    assert past.value[0].tolist() == [[1, 0], [2, 10], [3, 10], [3, 10]]
    assert past.seen[0, :, 1].tolist() == [False, True, True, False]
    live = [outcome.steps for _, outcome in outcomes(data, definition(GAUGE, COUNTER), judge(2))]
    assert [steps.value[:, 1].tolist() for steps in live[1:3]] == [[10.0], [10.0]]


def test_recordings_and_raw_datasets_do_not_mix(tmp_path):
    with pytest.raises(DatasetError, match="do not mix"):
        read([recorded(tmp_path / "recordings"), csv(tmp_path)])


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_chunks_are_all_samples_once_and_records_of_one_time_stay_together(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(datasets, "CHUNK_RECORDS", chunk)
    lines = [f"{index // 3},{'abc'[index % 3]},{index},{'' if index % 2 else index}" for index in range(30)]
    data = read([csv(tmp_path, "\n".join(["time,device,level,octets", *lines]) + "\n")])
    until_s, total = -1.0, 0.0
    for last_s, part in data.chunks(definition(GAUGE, COUNTER)):
        assert (part.time_s > until_s).all()
        assert part.time_s.max() <= last_s
        until_s, total = last_s, total + part.value.sum()
    assert until_s == 9.0
    assert total == sum(range(30)) + sum(range(0, 30, 2))


def test_numbers_that_are_not_finite_are_not_seen(tmp_path):
    data = read([csv(tmp_path, "time,level\n1,inf\n2,nan\n3,7\n")])
    values = [part.value.tolist() for _, part in data.chunks(definition(GAUGE))]
    assert values == [[7.0]]


def test_the_hash_is_of_the_files_contents(tmp_path):
    one = read([csv(tmp_path)]).sha256
    assert one == read([csv(tmp_path, name="renamed.csv")]).sha256
    assert one != read([csv(tmp_path, CSV.replace("300", "301"))]).sha256


def test_offline_scores_are_a_dataset_of_every_scored_step_whoever_many_entities_there_are(tmp_path):
    """Two entities of which the second is off from step 5 on; the definition would admit one."""
    lines = [f"{10 * step},r{index},{9 * index * (step > 4)}" for step in range(1, 8) for index in (0, 1)]
    data = read([csv(tmp_path, "\n".join(["time,device,level", *lines]) + "\n")])
    out = tmp_path / "scores.parquet"
    judged = judge(entities=[("r0",), ("r1",)])
    assert score(data, definition(entities_max=1), judged, out) == 8
    table = pq.read_table(out)
    assert table.schema.names == ["time", "device", "score", "anomalous"]
    assert table.column("time").to_pylist() == [40, 40, 50, 50, 60, 60, 70, 70]
    assert table.column("device").to_pylist() == ["r0", "r1"] * 4
    scores = np.array(table.column("score")).reshape(4, 2)
    assert (scores[:, 0] < 0.01).all()
    assert (np.diff(scores[:, 1]) > 0).all()
    assert table.column("anomalous").to_pylist() == [False] * 5 + [True, False, True]


def test_the_offline_scores_of_nothing_are_a_file_without_rows(tmp_path):
    data = read([csv(tmp_path, "time,device,level\n1,r1,2\n")])
    assert score(data, definition(), judge(), tmp_path / "scores.parquet") == 0
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 0

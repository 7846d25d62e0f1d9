"""A simulation as files, messages and settings."""

from argparse import Namespace
from pathlib import Path

import orjson
import pyarrow.csv
import pyarrow.parquet
import pytest

from detector.settings import load
from detector.simulate.fabric import simulate
from detector.simulate.output import messages, stream_settings, write
from detector.simulate.scenario import DEVICE_COUNTERS, DEVICE_SIGNALS, INTERFACE_SIGNALS, Scenario
from detector.simulate.verb import hint, simulation_of
from detector.stream.decode.topic import Template


@pytest.fixture(scope="module")
def simulation():
    return simulate(Scenario(duration_s=3000, train_s=1200, plan="each-kind-once"))


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "detector.toml"
    path.write_text(stream_settings(path.parent, step_s=10, window_steps=32), "utf-8")
    return {stream.name: stream.definition() for stream in load(path).streams}


def test_parquet_files_hold_the_tables(simulation, tmp_path):
    write(simulation, tmp_path / "new" / "folder")
    assert pyarrow.parquet.read_table(tmp_path / "new/folder/interfaces.parquet").equals(
        simulation.interfaces
    )
    assert pyarrow.parquet.read_table(tmp_path / "new/folder/devices.parquet").equals(simulation.devices)


def test_csv_files_hold_the_same_values(simulation, tmp_path):
    write(simulation, tmp_path, format="csv")
    devices = pyarrow.csv.read_csv(tmp_path / "devices.csv")
    assert devices.column_names == simulation.devices.column_names
    assert devices["time"].to_pylist() == simulation.devices["time"].to_pylist()
    assert devices["temperature_celsius"].null_count == simulation.devices["temperature_celsius"].null_count
    interfaces = pyarrow.csv.read_csv(tmp_path / "interfaces.csv")
    assert interfaces["in_octets"].to_pylist() == simulation.interfaces["in_octets"].to_pylist()


def test_labels_are_a_csv_file_with_one_event_a_row(simulation, tmp_path):
    write(simulation, tmp_path)
    labels = pyarrow.csv.read_csv(tmp_path / "labels.csv")
    assert labels.column_names == ["start", "end", "device", "interface", "event", "kind", "signals", "size"]
    assert labels.num_rows == 11
    assert set(labels["kind"].to_pylist()) == {"fault", "bait"}


def test_an_unknown_format_is_refused_and_nothing_is_written(simulation, tmp_path):
    with pytest.raises(ValueError, match="format is 'xlsx', not parquet or csv"):
        write(simulation, tmp_path / "out", format="xlsx")
    assert not (tmp_path / "out").exists()


def test_the_settings_define_both_streams(definitions):
    interfaces, devices = definitions["interfaces"], definitions["devices"]
    assert interfaces.entity == ("device", "interface")
    assert devices.entity == ("device",)
    assert interfaces.signal_names == INTERFACE_SIGNALS
    assert devices.signal_names == DEVICE_SIGNALS
    assert {signal.kind for signal in interfaces.signals} == {"counter"}
    assert {signal.name for signal in devices.signals if signal.kind == "counter"} == set(DEVICE_COUNTERS)
    assert (devices.clock, devices.window_steps, devices.format) == ("data", 32, "telegraf-json")


def test_every_record_is_one_message_in_time_order(simulation):
    times_s = [time_s for time_s, _, _ in messages(simulation)]
    assert times_s == sorted(times_s)
    assert len(times_s) == simulation.interfaces.num_rows + simulation.devices.num_rows


def test_a_message_says_what_the_tables_say(simulation, definitions):
    templates = {name: Template(definition.topic) for name, definition in definitions.items()}
    told = {"interfaces": [], "devices": []}
    for time_s, topic, payload in messages(simulation):
        record = orjson.loads(payload)
        assert list(record) == ["fields", "name", "tags", "timestamp"]
        assert templates[record["name"]].match(topic) == {"device": record["tags"]["device"]}
        assert record["timestamp"] / 1000 == time_s
        told[record["name"]].append({"time": time_s, **record["tags"], **record["fields"]})
    for name, table in (("interfaces", simulation.interfaces), ("devices", simulation.devices)):
        rows = table.drop_columns(["train"]).to_pylist()
        assert told[name] == [{key: value for key, value in row.items() if value is not None} for row in rows]


def test_counters_and_counts_are_json_integers(simulation):
    for _, _, payload in messages(simulation):
        for signal, value in orjson.loads(payload)["fields"].items():
            assert isinstance(value, float) == (signal in {"cpu_percent", "temperature_celsius"})


@pytest.mark.parametrize(
    ("out", "settings"),
    [(None, "the detector.toml that --out DIRECTORY writes"), (Path("lab"), "lab/detector.toml")],
)
def test_a_live_simulation_says_where_it_goes_what_reads_it_and_when_the_first_fault_comes(
    simulation, out, settings
):
    faults = [row for row in simulation.labels.to_pylist() if row["kind"] == "fault"]
    minutes = (min(row["start"] for row in faults) - simulation.scenario.start_s) / 60
    assert minutes > 20
    topics = "publishing to telegraf/<device>/interfaces and telegraf/<device>/devices, "
    streams = f"; streams as in {settings}"
    clock = '; its time is not the wall\'s: the streams need clock = "data"'
    calm = simulate(Scenario(duration_s=900, train_s=600, plan="none"))
    assert [hint(simulation, speed, out) for speed in (1, 10, 0)] + [hint(calm, 1, out)] == [
        f"{topics}the first fault comes after {minutes:.1f} minutes{streams}",
        f"{topics}the first fault comes after {minutes / 10:.1f} minutes{streams}{clock}",
        f"{topics}as fast as the broker takes it{streams}{clock}",
        f"{topics}no fault in it (--plan each-kind-once has eight){streams}",
    ]


@pytest.mark.parametrize(
    ("asked", "train_s"),
    [
        ({"out": "lab"}, 2700),
        ({"out": "lab", "live": True}, 2700),
        ({"live": True}, 900),  # 180 cadences
        ({"live": True, "cadence": 30.0}, 2700),
        ({"live": True, "train_hours": 0.5}, 1800),
        ({"out": "lab", "train_hours": 0.5}, 1800),
    ],
)
def test_the_part_free_of_faults_is_three_quarters_and_shorter_where_it_is_only_waited_for(asked, train_s):
    asked = {"cadence": 5.0, "live": False, "out": None, "train_hours": None} | asked
    common = {"seed": 0, "devices": 3, "interfaces": 3, "start": 1.7e9, "hours": 1.0, "speed": 1.0}
    simulation = simulation_of(Namespace(**common, **asked, plan="none"))
    assert simulation.scenario.train_s == train_s

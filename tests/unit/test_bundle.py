"""The bundle: what is saved comes back, and what was touched does not."""

import json
import os
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from detector.model import bundle, networks, runtime
from detector.model.bundle import BundleError
from detector.model.design import Design
from detector.model.trained import definition_of, differences
from detector.stream.calibration import Calibration, Days, Tail
from detector.stream.definition import BITS_AUTO, SILENCE_AUTO, Definition, Signal, Witness

FACTS = {"architecture": "stub", "seed": 7}
DEFINITION = Definition(
    name="interfaces",
    entity=("device", "interface"),
    signals=(Signal("octets", "counter", 64, field="octets"), Signal("load", field="load")),
    step_s=10.0,
    window_steps=8,
    lateness_s=10.0,
    refresh_s=15.0,
    silence_s=SILENCE_AUTO,
    expire_s=86400.0,
)


class Stub:
    """Stands in for a Keras network: has a file of its own."""

    def __init__(self, content=b"network"):
        self.content = content

    def save(self, path):
        path.write_bytes(self.content)


class Unsaveable:
    def save(self, path):
        path.write_bytes(b"half")
        raise RuntimeError("disk full")


def calibration(**changes):
    two, pool = np.ones((2, 2), np.float32), np.ones(2, np.float32)
    strangers = np.eye(2, dtype=np.float32)
    whole = Calibration(
        entities=(("r1", "e0"), ("r1", "e1")),
        center=0 * two,
        scale=2 * two,
        error_scale=two,
        level=3 * two,
        usual_past=4 * two,
        usual_peers=5 * two,
        typical=np.array([1.5, 2.5], np.float32),
        known_steps=np.array([300.0, 20.0], np.float32),
        peers=np.stack([strangers, 2 * strangers]),
        whitening=6 * strangers,
        least_past=0.2 * pool,
        least_peers=0.3 * pool,
        pool_center=0 * pool,
        pool_scale=pool,
        pool_growth=pool,
        pool_error_scale=pool,
        pool_level=7 * pool,
        pool_usual_past=8 * pool,
        pool_usual_peers=9 * pool,
        pool_typical=1.25,
        pool_peers=strangers,
        tail=Tail(np.array([1.0, 2.0]), np.array([0.1, 0.2]), np.array([0.3, 0.4]), -0.1),
        history_s=3600.0,
    )
    return replace(whole, **changes)


def save(directory, network=None, facts=FACTS, definition=DEFINITION, **changes):
    return bundle.save(directory, network or Stub(), calibration(**changes), definition, facts)


@pytest.fixture
def version(tmp_path):
    return save(tmp_path / "bundle")


def refusal(directory):
    with pytest.raises(BundleError) as caught:
        bundle.load(directory).calibration()
    return str(caught.value)


def edit(version, change):
    """Change the manifest by a function."""
    file = version / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(manifest), "utf-8")


def swap(version, content, name="calibration.npz"):
    """Put other content into a file, and let the manifest vouch for it."""
    (version / name).write_bytes(content)
    digest = bundle._sha256(version / name)
    edit(version, lambda manifest: manifest["files"].update({name: digest}))


def npz(path, **changes):
    """Return an npz file with the arrays of the calibration, some of them changed or (None) left out."""
    whole = calibration()
    names = Calibration.__dataclass_fields__.keys() - {"entities", "tail", "days"}
    arrays = {name: np.asarray(getattr(whole, name)) for name in names}
    arrays |= {f"tail_{name}": np.asarray(getattr(whole.tail, name)) for name in Tail.__dataclass_fields__}
    arrays |= changes
    np.savez(path / "other.npz", **{name: array for name, array in arrays.items() if array is not None})
    return (path / "other.npz").read_bytes()


# The round trip


def test_what_is_saved_comes_back(tmp_path, version):
    loaded = bundle.load(tmp_path / "bundle")
    assert loaded.path == version.resolve()
    assert loaded.version == version.name
    assert loaded.network_path.read_bytes() == b"network"
    assert loaded.manifest["seed"] == 7
    whole = calibration()
    learnt = loaded.calibration()
    assert learnt.entities == whole.entities
    for name in Calibration.__dataclass_fields__.keys() - {"entities", "tail", "days"}:
        np.testing.assert_array_equal(getattr(learnt, name), getattr(whole, name))
    for name in Tail.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(learnt.tail, name), getattr(whole.tail, name))
    assert learnt.days is None


def test_what_is_known_of_days_comes_back_where_anything_is(tmp_path):
    days = Days(np.array([[1, 2], [np.nan, np.nan]], np.float32), np.array([0.5, 3.0], np.float32))
    learnt = bundle.load(save(tmp_path / "bundle", days=days)).calibration()
    np.testing.assert_array_equal(learnt.days.level, days.level)
    np.testing.assert_array_equal(learnt.days.furthest, days.furthest)


def test_the_definition_comes_back(version):
    assert definition_of(bundle.load(version).manifest) == DEFINITION


SCALED = replace(
    DEFINITION,
    signals=(
        Signal("octets", "counter", field="octets", scale=8.0),
        Signal("load", field="load", words=(("high", 1.0), ("low", 0.0)), scale=-0.5, offset=3.0),
    ),
)


def test_words_and_scales_come_back_and_are_held_against_the_settings(tmp_path):
    manifest = bundle.load(save(tmp_path / "bundle", definition=SCALED)).manifest
    assert definition_of(manifest) == SCALED
    assert differences(manifest, SCALED) == []
    assert differences(manifest, DEFINITION) == [
        "signals.octets.scale: bundle 8.0, settings 1.0",
        "signals.load.words: bundle {'high': 1.0, 'low': 0.0}, settings {}",
        "signals.load.scale: bundle -0.5, settings 1.0",
        "signals.load.offset: bundle 3.0, settings 0.0",
    ]


def test_a_manifest_says_of_words_and_scales_only_what_is_there(version):
    signals = bundle.load(version).manifest["stream"]["signals"]
    assert not {"words", "scale", "offset", "unit"} & {key for signal in signals for key in signal}


def test_facts_cannot_take_the_place_of_what_the_manifest_says(tmp_path):
    version = save(tmp_path / "bundle", facts=FACTS | {"format": 9, "files": {}})
    assert bundle.load(version).manifest["format"] == bundle.FORMAT


def test_others_may_read_a_version(version):
    assert version.stat().st_mode & 0o777 == 0o755


# The champion


def test_the_first_version_becomes_the_champion_and_the_next_does_not(tmp_path, version):
    second = save(tmp_path / "bundle", Stub(b"second"))
    assert bundle.load(tmp_path / "bundle").version == version.name != second.name
    assert bundle.load(second).network_path.read_bytes() == b"second"


def test_a_promoted_version_is_the_champion_and_nothing_else_changed(tmp_path, version):
    second = save(tmp_path / "bundle", Stub(b"second"))
    bundle.promote(second)
    bundle.promote(second)
    assert bundle.load(tmp_path / "bundle").version == second.name
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {"champion", version.name, second.name}


def test_a_bundle_can_be_moved(tmp_path, version):
    (tmp_path / "bundle").rename(tmp_path / "elsewhere")
    assert bundle.load(tmp_path / "elsewhere").version == version.name


def test_a_champion_that_points_nowhere_is_replaced_by_the_next(tmp_path, version):
    shutil.rmtree(version)
    second = save(tmp_path / "bundle")
    assert bundle.load(tmp_path / "bundle").version == second.name


# A save that fails


@pytest.mark.parametrize(
    ("network", "changes", "error"),
    [
        (Unsaveable(), {}, RuntimeError),
        (Stub(), {"typical": np.array([1.0, np.nan], np.float32)}, BundleError),
        (Stub(), {"scale": np.zeros((2, 2), np.float32)}, BundleError),
        (Stub(), {"pool_typical": float("inf")}, BundleError),
        (Stub(), {"center": np.zeros((3, 2), np.float32)}, BundleError),
        (Stub(), {"center": np.array([["a", "b"]] * 2, object)}, BundleError),
    ],
)
def test_a_failed_save_leaves_nothing(tmp_path, network, changes, error):
    with pytest.raises(error):
        save(tmp_path, network, **changes)
    assert not list(tmp_path.iterdir())


def test_a_fact_that_json_cannot_say_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save(tmp_path, facts=FACTS | {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_calibration_that_is_refused_names_the_array(tmp_path):
    with pytest.raises(BundleError, match=r"^calibration: typical is not \(2,\) finite numbers$"):
        save(tmp_path, typical=np.array([1.0, np.nan], np.float32))


# What is refused


@pytest.mark.parametrize("name", ["network.keras", "calibration.npz"])
def test_an_altered_file_is_refused(version, name):
    content = bytearray((version / name).read_bytes())
    content[-1] ^= 1
    (version / name).write_bytes(content)
    assert refusal(version) == f"{version}: {name} was altered: its sha256 is not the manifest's"


@pytest.mark.parametrize("name", ["network.keras", "calibration.npz"])
def test_a_missing_file_is_refused(version, name):
    (version / name).unlink()
    assert refusal(version) == f"{version}: {name} is missing"


def test_a_file_that_became_a_directory_is_refused(version):
    (version / "network.keras").unlink()
    (version / "network.keras").mkdir()
    assert refusal(version) == f"{version}: network.keras is missing"


@pytest.mark.parametrize(
    "name", ["../outside", "..", ".", "", "/etc/passwd", "a/b", ".hidden", "a\0b", "a\n"]
)
def test_a_manifest_that_leads_outside_is_refused(version, name):
    edit(version, lambda manifest: manifest["files"].update({name: "0" * 64}))
    assert refusal(version) == f"{version}: the manifest names a file outside: {name!r}"


def test_a_directory_without_a_bundle_is_refused(tmp_path):
    what = "no bundle: neither manifest.json nor champion is in it"
    assert refusal(tmp_path) == f"{tmp_path}: {what}"
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: {what}"


def test_a_champion_that_points_to_itself_is_refused(tmp_path):
    (tmp_path / "champion").symlink_to("champion")
    assert refusal(tmp_path).startswith(f"{tmp_path}: ")


def test_a_champion_without_a_manifest_is_refused(tmp_path, version):
    (version / "manifest.json").unlink()
    assert refusal(tmp_path / "bundle") == f"{version / 'manifest.json'}: No such file or directory"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "Expecting value"),
        ("[]", "not an object"),
        ("{}", "format None, this program reads 4"),
        ('{"format": 2}', "format 2, this program reads 4"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_manifest_that_is_none_is_refused(version, text, what):
    (version / "manifest.json").write_text(text, "utf-8")
    assert what in refusal(version)


def test_a_manifest_beyond_all_size_is_refused(version, monkeypatch):
    monkeypatch.setattr(bundle, "MANIFEST_BYTES_MAX", 100)
    assert refusal(version) == f"{version / 'manifest.json'}: larger than 100 bytes"


def without(key):
    return lambda manifest: manifest.pop(key)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without("stream"), "stream: Field required"),
        (without("entity"), "entity: Field required"),
        (without("entities"), "entities: Field required"),
        (without("files"), "files: Field required"),
        (without("trained_s"), "trained_s: Field required"),
        (without("architecture"), "architecture: Field required"),
        (lambda m: m.update(files=[]), "files: Input should be a valid dictionary"),
        (lambda m: m.update(files={}), "network.keras or calibration.npz is not listed"),
        (lambda m: m.update(trained_s="soon"), "trained_s: Input should be a valid number"),
        (lambda m: m["stream"].update(step_s="10"), "stream.step_s: Input should be a valid number"),
        (lambda m: m["stream"].update(step_s=0), "stream.step_s: Input should be greater than 0"),
        (lambda m: m["stream"].pop("refresh_s"), "stream.refresh_s: Field required"),
        (lambda m: m["stream"].update(signals=[]), "stream.signals: List should have at least 1 item"),
        (lambda m: m["stream"]["signals"][0].update(kind="code"), "stream.signals.0.kind: Input should be"),
        (
            lambda m: m["stream"]["signals"][0].update(x=1),
            "stream.signals.0.x: Extra inputs are not permitted",
        ),
        (lambda m: m["stream"]["signals"][0].update(scale=0), "stream.signals.0: Value error, a scale of 0"),
        (lambda m: m["stream"]["signals"][0].update(offset=1), "or an offset of a counter"),
        (
            lambda m: m["stream"]["signals"][1].update(words={"up": "1"}),
            "signals.1.words.up: Input should be",
        ),
        (lambda m: m["stream"]["signals"].append(m["stream"]["signals"][0]), "a name stands twice"),
        (lambda m: m["entities"][0].pop(), "entities: one has not a value for each label"),
    ],
)
def test_a_manifest_without_what_it_has_to_say_is_refused(version, change, what):
    edit(version, change)
    assert what in refusal(version)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"typical": np.array([1.0, np.nan])}, "typical is not (2,) finite numbers"),
        ({"typical": np.array([1.0])}, "typical is not (2,) finite numbers"),
        ({"tail_rate": np.array([1.0, 0.0])}, "tail_rate is not positive"),
        ({"pool_scale": np.array([-1.0, 1.0])}, "pool_scale is not positive"),
        ({"center": np.zeros((2, 3))}, "center is not (2, 2) finite numbers"),
        ({"center": np.full((2, 2), "x")}, "center is not (2, 2) finite numbers"),
        ({"pool_typical": np.array([1.0])}, "pool_typical is not () finite numbers"),
        ({"days_furthest": np.ones(2)}, "unreadable: 'days_level is not a file in the archive'"),
        ({"days_level": np.ones((2, 2)), "days_furthest": np.zeros(2)}, "days_furthest is not positive"),
        (
            {"days_level": np.full((2, 2), np.inf), "days_furthest": np.ones(2)},
            "days_level is not (2, 2) finite numbers",
        ),
        (
            {"days_level": np.ones((2, 2)), "days_furthest": np.full(2, np.nan)},
            "days_furthest is not (2,) finite numbers",
        ),
        ({"scale": None}, "unreadable: 'scale is not a file in the archive'"),
        ({"scale": np.array([[{}, 1], [1, 1]], object)}, "Object arrays cannot be loaded"),
    ],
)
def test_a_calibration_that_is_none_is_refused(tmp_path, version, changes, what):
    swap(version, npz(tmp_path, **changes))
    assert what in refusal(version)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kind", ["empty", "cut", "text", "pickle", "npy", "damaged"])
def test_a_file_that_is_no_calibration_is_refused_and_nothing_in_it_runs(
    tmp_path, version, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    good = npz(tmp_path)
    np.save(tmp_path / "one.npy", np.ones(3))
    content = {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "text": b"calibration",
        "pickle": pickle.dumps(Bomb()),
        "npy": (tmp_path / "one.npy").read_bytes(),
        "damaged": good.replace(b"\x93NUMPY", b"\x00NUMPY"),
    }[kind]
    swap(version, content)
    assert refusal(version).startswith(f"{version}/calibration.npz: unreadable: ")
    assert not (tmp_path / "exploded").exists()


# Against the settings


def signal(index, **changes):
    signals = list(DEFINITION.signals)
    signals[index] = replace(signals[index], **changes)
    return {"signals": tuple(signals)}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"step_s": 30.0}, ["step_s: bundle 10.0, settings 30.0"]),
        ({"window_steps": 60}, ["window_steps: bundle 8, settings 60"]),
        ({"entity": ("device",)}, ["entity: bundle ['device', 'interface'], settings ['device']"]),
        (signal(0, kind="gauge"), ["signals.octets.kind: bundle 'counter', settings 'gauge'"]),
        (signal(0, bits=32), ["signals.octets.bits: bundle 64, settings 32"]),
        (signal(1, aggregate="max"), ["signals.load.aggregate: bundle 'last', settings 'max'"]),
        (signal(1, words=(("up", 1.0),)), ["signals.load.words: bundle {}, settings {'up': 1.0}"]),
        (signal(0, scale=8.0), ["signals.octets.scale: bundle 1.0, settings 8.0"]),
        (signal(1, offset=-32.0), ["signals.load.offset: bundle 0.0, settings -32.0"]),
        (signal(1, name="cpu"), ["signals.load: only in the bundle", "signals.cpu: only in the settings"]),
        (
            {"signals": DEFINITION.signals[::-1]},
            ["signals: the order differs: bundle ['octets', 'load'], settings ['load', 'octets']"],
        ),
        ({"step_s": 1.0, **signal(0, bits=32)}, ["step_s: bundle 10.0, settings 1.0",
                                                 "signals.octets.bits: bundle 64, settings 32"]),
    ],
)  # fmt: skip
def test_a_difference_to_what_was_trained_is_told(version, changes, lines):
    assert differences(bundle.load(version).manifest, replace(DEFINITION, **changes)) == lines


@pytest.mark.parametrize(
    "changes",
    [
        {"open_steps": 3, "close_below": 0.5, "silence_s": 5.0, "lateness_s": 0.0, "entities_max": 1},
        {"topic": "other/{device}", "format": "telegraf-json", "clock": "data"},
        signal(0, direction="above", field="ifHCInOctets", rate_max=1.0, unit="B/s"),
        signal(0, rate_max_field="ifHighSpeed", rate_max_scale=125000.0),
        {"witnesses": (Witness("sysUpTime", "uptime", 0.01),)},
        signal(0, bits=BITS_AUTO),
    ],
)
def test_what_may_be_turned_without_training_is_no_difference(version, changes):
    assert differences(bundle.load(version).manifest, replace(DEFINITION, **changes)) == []


@pytest.mark.parametrize("bits", [32, 64, BITS_AUTO])
def test_bits_that_were_found_out_in_training_fit_to_any(tmp_path, bits):
    found_out = replace(DEFINITION, **signal(0, bits=BITS_AUTO))
    version = bundle.save(tmp_path / "bundle", Stub(), calibration(), found_out, FACTS)
    manifest = bundle.load(version).manifest
    assert differences(manifest, replace(DEFINITION, **signal(0, bits=bits))) == []
    assert definition_of(manifest).signals == found_out.signals


def test_a_bundle_of_another_stream_is_refused_with_the_differences(tmp_path, version):
    with pytest.raises(BundleError) as caught:
        bundle.load_for(replace(DEFINITION, step_s=30.0), tmp_path / "bundle")
    assert str(caught.value) == (
        f"streams.interfaces.bundle: {tmp_path / 'bundle'} was trained on another stream\n"
        "  step_s: bundle 10.0, settings 30.0\n"
        "train it for this one: detector train DATA --config … --stream interfaces "
        f"--out {tmp_path / 'bundle'}"
    )


def test_a_bundle_that_is_not_there_is_refused_with_the_key(tmp_path):
    with pytest.raises(BundleError, match=r"^streams\.interfaces\.bundle: "):
        bundle.load_for(DEFINITION, tmp_path)
    save(tmp_path)
    assert bundle.load_for(DEFINITION, tmp_path).manifest["architecture"] == "stub"


# A real network

# Keras asks TensorFlow's variables for numpy arrays in a way that numpy 2 deprecates.
KERAS = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")


@KERAS
def test_a_keras_network_comes_back_and_judges_as_before(tmp_path):
    network = networks.build(Design("conv1d"), DEFINITION.window_steps, len(DEFINITION.signals), 3)
    version = save(tmp_path, network)
    value = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
    seen = np.ones(value.shape, bool)
    judge = runtime.load_judge(bundle.load(version))
    end_s = np.zeros(3)
    expected = runtime.runner(network, DEFINITION.step_s)(value, seen, end_s)
    np.testing.assert_array_equal(judge.reconstruct(value, seen, end_s), expected)
    assert judge.calibration.pool_typical == 1.25


@KERAS
def test_a_network_that_is_none_is_refused(version):
    with pytest.raises(BundleError, match=r"network\.keras: "):
        runtime.load_judge(bundle.load(version))


@KERAS
def test_a_network_with_code_in_it_is_refused(tmp_path):
    import keras  # noqa: PLC0415 -- takes seconds

    inputs = keras.Input((8, 2))
    version = save(tmp_path, keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)))
    with pytest.raises(BundleError, match=r"network\.keras: .*Lambda"):
        runtime.load_judge(bundle.load(version))

"""`detector bundle`: shown, compared, verified and signed; reproducible, and of another TensorFlow."""

import json
import subprocess
from dataclasses import replace
from zipfile import ZipFile

import keras
import numpy as np
import pytest

from detector import bundles
from detector.cli import main
from detector.model import bundle, runtime
from detector.model.bundle import BundleError
from detector.model.design import Design, usual
from detector.model.migrations import FORMAT, migrated
from detector.train.fit import fit
from detector.train.trainer import train
from tests.support.pasts import past
from tests.unit.test_bundle import edit

# Keras asks TensorFlow's variables for numpy arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
PAST = past(3, 400, 3)


class Data:
    """Stands in for the dataset that a timeline was made of."""

    sha256 = "ab" * 32
    time_s = np.array([1e9, 1.1e9])
    train = np.ones(2, bool)
    entities = PAST.entities
    broken = ()


def make(directory, design=None, timeline=PAST, seed=0):
    design = design or Design("pca")
    version, _ = train(Data, timeline, directory, design, seed=seed, epochs=2, progress=lambda *_: None)
    return version


def digest(version):
    return bundle.load(version).manifest["files"]["network.keras"]


@pytest.fixture(name="network", scope="module")
def _network(tmp_path_factory):
    return make(tmp_path_factory.mktemp("bundle"), usual("dense", 3))


@pytest.fixture(name="keys", scope="module")
def _keys(tmp_path_factory):
    """Make a pair of keys with openssl, as the README says."""
    place = tmp_path_factory.mktemp("keys")
    private, public = place / "key.pem", place / "key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


# Reproducible


def test_the_same_data_and_seed_give_the_same_file_to_the_byte(tmp_path, network):
    keras.utils.set_random_seed(99)  # whatever the process did before
    again = make(tmp_path / "again", usual("dense", 3))
    assert digest(again) == digest(network)
    assert digest(make(tmp_path / "other", usual("dense", 3), seed=1)) != digest(network)


def test_a_file_does_not_say_when_it_was_written(network):
    with ZipFile(network / "network.keras") as file:
        assert {one.date_time[0] for one in file.infolist()} == {1980}
        assert json.loads(file.read("metadata.json")) == {"keras_version": keras.__version__}


# Of another TensorFlow


def test_a_network_that_does_not_say_what_it_said_is_refused_with_both_versions(tmp_path):
    version = make(tmp_path, usual("dense", 3))
    edit(version, lambda manifest: manifest["versions"].update(tensorflow="2.16.1"))
    runtime.load_judge(bundle.load(version))  # the version alone is no reason
    edit(version, lambda manifest: manifest["probe"][0].__setitem__(0, 9.0))
    with pytest.raises(BundleError, match=r"trained with TensorFlow 2\.16\.1, here is 2\..*train it again"):
        runtime.load_judge(bundle.load(version))


# Formats


def test_a_manifest_of_the_format_before_is_read(tmp_path, network):
    def older(manifest):
        manifest["format"] = 4
        for new in ("design", "selection", "probe"):
            del manifest[new]

    version = make(tmp_path, usual("dense", 3))
    edit(version, older)
    loaded = bundle.load(version)
    assert loaded.manifest["format"] == FORMAT
    assert loaded.manifest["design"] == {}
    runtime.load_judge(loaded)
    assert "\n".join(bundles.lines(bundles.shown(version)))


@pytest.mark.parametrize(
    ("found", "why"),
    [(FORMAT + 1, "of a later one, upgrade"), (3, "train it again"), (None, "format None"), (True, "True")],
)
def test_a_format_that_cannot_be_read_says_what_to_do(found, why):
    with pytest.raises(ValueError, match=why):
        migrated({"format": found})


# Signatures


def test_a_signed_bundle_is_loaded_and_one_that_is_not_is_refused(tmp_path, keys):
    private, public = keys
    version = make(tmp_path)
    with pytest.raises(BundleError, match=r"not signed: no manifest\.sig"):
        bundle.load(tmp_path, public)
    assert main(["bundle", "sign", str(tmp_path), "--key", str(private)]) == 0
    assert bundle.load(tmp_path, public).version == version.name
    assert bundle.load(tmp_path).version == version.name


def test_what_was_signed_and_changed_afterwards_is_refused(tmp_path, keys):
    private, public = keys
    version = make(tmp_path)
    assert main(["bundle", "sign", str(version), "--key", str(private)]) == 0
    edit(version, lambda manifest: manifest.update(seed=1))
    with pytest.raises(BundleError, match=r"manifest\.sig is of no key in"):
        bundle.load(version, public)


def test_openssl_signs_what_the_detector_reads_and_one_of_several_keys_is_enough(tmp_path, keys):
    private, public = keys
    version = make(tmp_path)
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", version / "manifest.json"]
    subprocess.run([*command, "-out", version / "manifest.sig"], check=True)
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True)
    stranger = subprocess.run(
        ["openssl", "pkey", "-in", other, "-pubout"], check=True, capture_output=True
    ).stdout
    both = tmp_path / "both.pub"
    both.write_bytes(stranger + public.read_bytes())
    bundle.load(version, both)
    both.write_bytes(stranger)
    with pytest.raises(BundleError, match="of no key"):
        bundle.load(version, both)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no public Ed25519 key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "keys.pub: "),
        (None, "No such file"),
    ],
)
def test_keys_that_are_none_are_refused(tmp_path, content, why):
    make(tmp_path / "bundle")
    file = tmp_path / "keys.pub"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleError, match=why):
        bundle.load(tmp_path / "bundle", file)


def test_a_key_that_is_none_signs_nothing(tmp_path, keys, capsys):
    version = make(tmp_path)
    assert main(["bundle", "sign", str(version), "--key", str(keys[1])]) == 78
    assert "key.pub" in capsys.readouterr().err
    assert not (version / "manifest.sig").exists()


# Show, diff, verify


def test_show_says_what_was_chosen_and_from_what(tmp_path, capsys):
    pca = make(tmp_path)
    dense = make(tmp_path, usual("dense", 3))
    assert main(["bundle", "show", str(dense)]) == 0
    said = capsys.readouterr().out
    assert f"{pca.name}  champion\n{dense.name}  shown\n" in said
    for part in (
        "architecture   dense: objective masked, masked steps 1, highway pca, width 16",
        "warning        dense was not held against pca and ewma; --architecture auto does",
        "stream         tests: step 60 s, window 16 steps",
        "entities       3, named by device",
        "sha256 abababababababab",
        "not signed",
        "signal2                        gauge",
    ):
        assert part in said
    assert main(["bundle", "show", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["architecture"], told["signed"], told["entities"]) == ("pca", False, 3)


def test_diff_says_what_is_different_and_nothing_else(tmp_path, capsys):
    old, same = make(tmp_path / "old"), make(tmp_path / "same")
    moved = PAST.value.copy()
    moved[..., 1] *= 2
    changed = replace(
        PAST,
        value=moved,
        definition=replace(PAST.definition, step_s=30.0),
        entities=(("r0",), ("r1",), ("r9",)),
        step=2 * PAST.step,
    )
    new = make(tmp_path / "new", Design("ewma"), changed)
    assert main(["bundle", "diff", str(old), str(same)]) == 0
    assert capsys.readouterr().out == "no difference\n"
    assert main(["bundle", "diff", str(old), str(new), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said[:2] == ["stream: step_s: was 60.0, is 30.0", "architecture: pca -> ewma"]
    assert "entities: new: r9" in said
    assert "entities: gone: r2" in said
    assert any(line.startswith("signals.signal1: usual center ") for line in said)
    assert not any(line.startswith("signals.signal0") for line in said)


def test_verify_loads_every_version_and_says_which_is_not_whole(tmp_path, network, capsys):
    good, bad = make(tmp_path), make(tmp_path, Design("ewma"))
    (bad / "baseline.npz").write_bytes(b"x")
    assert main(["bundle", "verify", str(tmp_path)]) == 78
    lines = capsys.readouterr().out.splitlines()
    assert f"{good.name} ok" in lines
    assert any(line.startswith(bad.name) and "was altered" in line for line in lines)
    assert main(["bundle", "verify", str(network)]) == 0


def test_a_directory_without_a_bundle_is_said_to_be_one(tmp_path, capsys):
    for verb in ("show", "verify"):
        assert main(["bundle", verb, str(tmp_path)]) == 78
        assert "no bundle" in capsys.readouterr().err


def test_fit_tells_what_it_learnt(network):
    fitted = fit(PAST, usual("dense", 3), 0, 2, lambda *_: None)
    assert set(fitted.metrics) == {"windows", "suspected_share", "held_out_loss", "epochs"}

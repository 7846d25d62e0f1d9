"""The systemd unit, judged by systemd itself."""

import re
import subprocess
from pathlib import Path

import pytest

from detector.mqtt_settings import MqttSettings
from tests.support.programs import program

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = (SYSTEMD / "detector.service").read_text()
EXPOSURE_MAX = 1.2  # of 10; what is left is the network and the run-time compilation that it needs


@pytest.fixture
def unit(tmp_path):
    """Return a copy whose program exists, for `verify` looks for it."""
    path = tmp_path / "detector.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    return path


def analyze(*arguments):
    """Run systemd-analyze; return its exit code and what it says."""
    command = [program("systemd-analyze"), *arguments]
    result = subprocess.run(command, text=True, capture_output=True, check=False)
    return result.returncode, result.stdout + result.stderr


def test_systemd_has_nothing_to_say_about_the_unit(unit):
    code, said = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (code, said) == (0, "")


def test_the_credentials_of_the_unit_are_settings_and_systemd_accepts_them(unit):
    names = re.findall(r"^#LoadCredential=(mqtt-[a-z-]+):/etc/detector/", UNIT, re.MULTILINE)
    keys = {name.removeprefix("mqtt-").replace("-", "_") + "_file" for name in names}
    assert {"password_file", "tls_key_file"} <= keys <= set(MqttSettings.model_fields)
    unit.write_text(unit.read_text().replace("#LoadCredential=", "LoadCredential="))
    assert analyze("verify", "--man=no", "--recursive-errors=no", str(unit)) == (0, "")


def test_the_unit_exposes_little(unit):
    threshold = str(round(EXPOSURE_MAX * 10))
    code, said = analyze("security", "--offline=yes", "--no-pager", f"--threshold={threshold}", str(unit))
    assert code == 0, said


def test_the_unit_does_not_forbid_what_tensorflow_needs():
    """Under MemoryDenyWriteExecute= its convolutions abort."""
    settings = [line for line in UNIT.splitlines() if not line.startswith("#")]
    assert not any(line.startswith("MemoryDenyWriteExecute") for line in settings)


def test_wrong_settings_are_not_tried_again():
    assert "\nRestart=on-failure\n" in UNIT
    assert "\nRestartPreventExitStatus=78\n" in UNIT


def test_the_user_of_the_unit_is_created_by_the_sysusers_file(tmp_path):
    (tmp_path / "etc").mkdir()
    command = [program("systemd-sysusers"), f"--root={tmp_path}", str(SYSTEMD / "detector.sysusers")]
    subprocess.run(command, check=True, capture_output=True)
    users = (tmp_path / "etc" / "passwd").read_text()
    assert f"\n{re.search('^User=(.*)$', UNIT, re.MULTILINE)[1]}:" in f"\n{users}"

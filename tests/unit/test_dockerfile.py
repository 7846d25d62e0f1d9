"""The Dockerfile keeps its promises: small, without root, healthy."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
STAGES = [
    re.findall(r"^([A-Z]+) (.*)$", stage, re.MULTILINE) for stage in re.split(r"(?m)^(?=FROM )", TEXT)[1:]
]


def final(instruction):
    """Return the arguments of an instruction in the final stage."""
    return [arguments for name, arguments in STAGES[-1] if name == instruction]


def test_the_base_is_an_argument_and_both_stages_use_it():
    assert "\nARG BASE=python:3.12-slim\n" in TEXT
    assert [stage[0][1].split()[0] for stage in STAGES] == ["${BASE}", "${BASE}"]


def test_the_final_stage_does_not_run_as_root():
    assert final("USER") == ["detector"]
    assert any("useradd" in command and " detector" in command for command in final("RUN"))


def test_the_final_stage_installs_nothing():
    assert not re.search(r"\b(pip|apt-get|gcc|make)\b", " ".join(final("RUN")))


def test_the_program_is_run_without_a_shell_and_judges_its_own_health():
    assert json.loads(final("ENTRYPOINT")[0]) == ["detector"]
    assert json.loads(final("CMD")[0]) == ["run", "--config", "/etc/detector/detector.toml"]
    assert final("HEALTHCHECK")[0].endswith('CMD ["detector", "health"]')


def test_what_is_copied_from_the_context_is_not_ignored():
    copied = [
        source.removeprefix("./")
        for name, arguments in STAGES[0]
        if name == "COPY"
        for source in arguments.split()[:-1]
    ]
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(copied) == sorted(kept)

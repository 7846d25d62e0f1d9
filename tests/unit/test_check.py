"""What `check --message` tells of births, deaths and other goodbyes."""

import pytest

from detector import check
from detector.settings import load
from tests.benchmark.fuzz_decode import DBIRTH

SETTINGS = """
[[streams]]
name = "pumps"
topic = "spBv1.0/#"
format = "sparkplug"
clock = "data"
entity = ["node", "device"]
signals = { temp = {}, flow = {} }
[[streams]]
name = "rooms"
topic = "homie/#"
format = "homie"
entity = ["device"]
signals = { temp = {} }
[[streams]]
name = "agents"
topic = "agents/{device}/load"
offline_topic = "agents/{device}/status"
entity = ["device"]
signals = { load = {} }
"""


@pytest.mark.parametrize(
    ("topic", "payload", "lines", "taken"),
    [
        (
            "spBv1.0/g/DBIRTH/n/d",
            DBIRTH,
            [
                "stream pumps: 1 samples",
                '  {node="n", device="d"} 2025-10-09T08:53:20.250000+00:00 temp = 21.5 (gauge)',
            ],
            True,
        ),
        (
            "spBv1.0/g/NBIRTH/n",
            DBIRTH,
            [
                "stream pumps: dropped, entity_missing",
                '  the topic gives: group="g", node="n"',
                "  wanted: one of temp, flow",
                "  the message has: temp, level, Ports/1/Octets, state, bdSeq",
            ],
            False,
        ),
        ("homie/a/$state", b"lost", ["stream rooms: 0 samples", '  a goodbye of {device="a"}'], True),
        ("agents/a/status", b"offline", ['stream agents: a goodbye of {device="a"}'], True),
        ("agents/a/status", b"online", ["stream agents: no goodbye: offline"], False),
    ],
)
def test_a_message_of_life_and_death_is_told_in_words(tmp_path, topic, payload, lines, taken):
    file = tmp_path / "detector.toml"
    file.write_text(SETTINGS)
    assert check.message(load(file), topic, payload) == (lines, taken)

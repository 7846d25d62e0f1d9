"""The rules of the house: who may import whom, how long things get, what things are called."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
        file.read_text("utf-8")
    )
    for file in sorted((ROOT / "detector").rglob("*.py"))
}
SOURCES = [
    *sorted((ROOT / "detector").rglob("*.py")),
    *sorted(file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)),
    ROOT / "config/detector.toml",
    ROOT / "README.md",
]

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

JUDGING = {"detector.stream." + name for name in ("window", "score", "decide", "silence")}
NOUNS = {"detector.stream.nouns", "detector.stream.definition"}
HELPERS = {
    "detector.stream.align": {"detector.stream.counters"},
    "detector.stream.counters": {"detector.stream.restarts"},
    "detector.stream.policy": {"detector.stream.selector", "detector.stream.shares"},
    "detector.stream.edges": {"detector.stream.calibration", "detector.stream.policy"},
    "detector.stream.drift": {"detector.stream.calibration"},
    "detector.stream.ledger": {"detector.stream.calibration", "detector.stream.chance"},
    "detector.stream.score": {
        "detector.stream.acquaintance",
        "detector.stream.calibration",
        "detector.stream.edges",
        "detector.stream.energy",
        "detector.stream.policy",
        "detector.stream.scaling",
    },
    "detector.stream.maintenance": {"detector.stream.roster", "detector.stream.selector"},
    "detector.stream.silence": {"detector.stream.rhythm"},
    "detector.stream.rhythm": {"detector.stream.habit"},
    "detector.stream.stuck": {"detector.stream.habit"},
    "detector.stream.spells": {"detector.stream.silence", "detector.stream.stuck"},
    "detector.stream.bench": {
        "detector.stream.calibration",
        "detector.stream.spells",
        "detector.stream.drift",
        "detector.stream.ledger",
        "detector.stream.maintenance",
        "detector.stream.policy",
        "detector.stream.roster",
        *JUDGING,
    },
    "detector.stream.pipeline": {
        "detector.stream.align",
        "detector.stream.bench",
        "detector.stream.clock",
        "detector.stream.roster",
    },
    "detector.stream.levels": {"detector.stream.decode.patterns"},
    "detector.stream.census": {"detector.stream.levels", "detector.stream.pipeline"},
    "detector.stream.crowd": {
        "detector.stream.census",
        "detector.stream.chance",
        "detector.stream.levels",
        "detector.stream.pipeline",
    },
    "detector.stream.groups": {
        "detector.stream.census",
        "detector.stream.crowd",
        "detector.stream.identity",
        "detector.stream.pipeline",
    },
    "detector.stream.streams": {
        "detector.stream.decode",
        "detector.stream.decode.records",
        "detector.stream.hearsay",
        "detector.stream.pipeline",
        "detector.stream.switch",
    },
    "detector.stream.switch": {
        "detector.stream.decode",
        "detector.stream.decode.labels",
        "detector.stream.decode.topic",
    },
    "detector.stream.hearsay": {"detector.stream.pipeline"},
}
"""Which modules of the core may import more than the nouns."""
PURE_PARSERS = {"orjson", "google", "cbor2", "re2"}

EDGE_HELPERS = {
    "detector.edge.attempts": {"detector.edge.failures"},
    "detector.edge.failures": {"detector.edge.websocket"},
    "detector.edge.http": {
        "detector.edge.pages",
        "detector.edge.pages_groups",
        "detector.edge.pages_streams",
    },
    "detector.edge.pages": {
        "detector.edge.explained",
        "detector.edge.pages_groups",
        "detector.edge.pages_spells",
        "detector.edge.pages_streams",
    },
    "detector.edge.pages_groups": {"detector.edge.snapshot_groups"},
    "detector.edge.snapshot": {"detector.edge.snapshot_groups"},
    "detector.edge.mqtt": {
        "detector.edge.conversation",
        "detector.edge.inbox",
        "detector.edge.outbox",
        "detector.edge.reception",
        "detector.edge.session",
        "detector.edge.wire",
    },
    "detector.edge.conversation": {
        "detector.edge.attempts",
        "detector.edge.canary",
        "detector.edge.failures",
        "detector.edge.framing",
        "detector.edge.inbox",
        "detector.edge.outbox",
        "detector.edge.reception",
        "detector.edge.session",
        "detector.edge.wire",
    },
    "detector.edge.canary": {"detector.edge.reception"},
    "detector.edge.reception": {"detector.edge.framing", "detector.edge.inbox", "detector.edge.redelivery"},
    "detector.edge.metrics": {
        "detector.edge.families",
        "detector.edge.metrics_bundles",
        "detector.edge.metrics_groups",
        "detector.edge.metrics_recordings",
        "detector.edge.metrics_spells",
    },
    "detector.edge.metrics_bundles": {"detector.edge.families"},
    "detector.edge.metrics_spells": {"detector.edge.families"},
    "detector.edge.outbox": {
        "detector.edge.recollection",
        "detector.edge.session",
        "detector.edge.snapshot_groups",
    },
    "detector.edge.metrics_groups": {"detector.edge.families", "detector.edge.snapshot_groups"},
    "detector.edge.metrics_recordings": {"detector.edge.families"},
    "detector.edge.raw": {"detector.edge.capture", "detector.edge.tree"},
    "detector.edge.transport": {"detector.edge.tls", "detector.edge.websocket"},
    "detector.edge.websocket": {"detector.edge.tls"},
    "detector.edge.publisher": {
        "detector.edge.failures",
        "detector.edge.framing",
        "detector.edge.wire",
    },
    "detector.edge.wire": {
        "detector.edge.failures",
        "detector.edge.framing",
        "detector.edge.tls",
        "detector.edge.transport",
        "detector.edge.websocket",
    },
    "detector.edge.recorder": {"detector.edge.recording", "detector.edge.tree"},
    "detector.edge.replay": {"detector.edge.capture", "detector.edge.datasets", "detector.edge.publisher"},
}
"""Halves of one edge, split for length."""
SNAPSHOT = {"detector.edge.snapshot", "detector.edge.snapshot_mqtt"}

INNERMOST = {"stream"}
MIDDLE = {"settings", "stream_settings", "logs", "edge", "model", "train", "evaluate", "simulate"}
MIDDLE |= {
    "daemon_settings",
    "event_settings",
    "message_settings",
    "maintenance_settings",
    "mqtt_settings",
    "planner",
    "policy_settings",
    "transport_settings",
    "secret_files",
    "addresses",
}
OUTERMOST = {
    "survey",
    "survey_stream",
    "wording",
    "cli",
    "verbs",
    "arguments",
    "daemon",
    "journal",
    "subscriptions",
    "journal_bundles",
    "journal_spells",
    "events",
    "leftovers",
    "bundles",
    "alarms",
    "recorders",
    "check",
    "misfit",
    "caution",
    "demo",
}

HEAVY = {"tensorflow", "keras"}
HEAVY_ALLOWED = {
    "detector.model.networks",
    "detector.model.runtime",
    "detector.train.expect",
    "detector.train.learn",
    "detector.train.trainer",
}
IMPURE = {"time", "os", "io", "pathlib", "logging", "threading", "socket", "random", "subprocess", "asyncio"}

NEVER_CALLED = {
    "artifact": "bundle",
    "measurement": "stream",
    "sensitivity": "budget",
    "timestep": "step",
    "datapoint": "sample",
    "feature": "signal",
    "residual": "error",
}
"""Words for which DESIGN.md's vocabulary has another one."""


def imported(tree):
    """Return the modules that a tree imports, `from package import module` as the module."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in below if name in TREES} or {node.module}
    return found - {"__future__"}


def modules(prefix):
    return [name for name in TREES if name == prefix or name.startswith(prefix + ".")]


def ours(tree):
    return {name for name in imported(tree) if name.split(".")[0] == "detector" and name != "detector"}


def ring(module):
    return module.split(".")[1]


def outside_of_functions(tree):
    """Yield every node that runs at import."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from outside_of_functions(child)


@pytest.mark.parametrize("module", modules("detector.stream"))
def test_the_core_imports_the_standard_library_numpy_and_itself(module):
    allowed = {"numpy", "detector"} | (PURE_PARSERS if ".decode." in module else set())
    top = {name.split(".")[0] for name in imported(TREES[module])}
    assert top - allowed <= sys.stdlib_module_names
    assert not top & IMPURE, "no clock, no IO, no threads, no logging in the core"


@pytest.mark.parametrize("module", modules("detector.stream"))
def test_a_module_of_the_core_imports_the_nouns_and_what_is_its_own(module):
    allowed = NOUNS | HELPERS.get(module, set())
    for name in ours(TREES[module]):
        own = module.startswith("detector.stream.decode") and name.startswith("detector.stream.decode.")
        assert own or name in allowed, f"{module} imports {name}"


@pytest.mark.parametrize("module", list(TREES))
def test_imports_point_inwards(module):
    if module == "detector":
        assert not imported(TREES[module])
        return
    rings = {ring(name) for name in ours(TREES[module])}
    inner = INNERMOST if ring(module) in INNERMOST else INNERMOST | MIDDLE
    allowed = inner | (OUTERMOST if ring(module) in OUTERMOST else set())
    assert ring(module) in INNERMOST | MIDDLE | OUTERMOST, "a new module has no ring yet"
    assert rings <= allowed, f"{module} imports {rings - allowed}"


@pytest.mark.parametrize("module", [*modules("detector.edge"), *modules("detector.model")])
def test_an_edge_knows_no_other_part_but_the_settings_and_the_core(module):
    assert {ring(name) for name in ours(TREES[module])} <= {
        ring(module),
        "stream",
        "settings",
        "stream_settings",
        "mqtt_settings",
        "transport_settings",
        "logs",
    }


@pytest.mark.parametrize("module", modules("detector.edge"))
def test_edges_meet_in_the_snapshot_alone(module):
    edges = {name for name in ours(TREES[module]) if name.startswith("detector.edge")}
    assert edges <= SNAPSHOT | EDGE_HELPERS.get(module, set())


@pytest.mark.parametrize("module", list(TREES))
def test_tensorflow_is_imported_by_few_and_inside_of_functions(module):
    tree = TREES[module]
    heavy = {name for name in imported(tree) if name.split(".")[0] in HEAVY}
    assert not heavy or module in HEAVY_ALLOWED
    at_import = ast.Module(
        [node for node in outside_of_functions(tree) if isinstance(node, (ast.Import, ast.ImportFrom))], []
    )
    assert not {name for name in imported(at_import) if name.split(".")[0] in HEAVY}


@pytest.mark.parametrize("module", list(TREES))
def test_nobody_reads_the_environment_at_import(module):
    for node in outside_of_functions(TREES[module]):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"environ", "getenv"}, f"{module}:{node.lineno}"


@pytest.mark.parametrize("module", list(TREES))
def test_a_module_is_read_in_one_sitting(module):
    last = max(
        (node.end_lineno for node in ast.walk(TREES[module]) if hasattr(node, "end_lineno")), default=0
    )
    assert last <= MODULE_LINES_MAX


@pytest.mark.parametrize("module", list(TREES))
def test_a_function_fits_on_a_screen(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_left_to_do(file):
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", file.read_text("utf-8"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_names_a_path_of_one_machine(file):
    assert not re.search(r"(/home/|/root/|/Users/)\w", file.read_text("utf-8"))


@pytest.mark.parametrize("module", list(TREES))
def test_a_thing_has_the_name_that_the_vocabulary_gives_it(module):
    names = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    for wrong, right in NEVER_CALLED.items():
        called = {name for name in names if wrong in name.lower()}
        assert not called, f"{module}: {called}: say {right}"

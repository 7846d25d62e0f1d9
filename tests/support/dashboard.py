"""The Grafana dashboard as tests see it."""

import json
from pathlib import Path

PATH = Path(__file__).parents[2] / "config" / "grafana" / "detector.json"
VARIABLES = {"$stream": ".*", "$__rate_interval": "5m"}


def panels() -> list[dict]:
    """Return the panels that show something, in order; rows are headings."""
    return [panel for panel in json.loads(PATH.read_text())["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """Return the title of the panel and the PromQL of every query, with template variables substituted."""
    return [
        (panel["title"], _substituted(target["expr"])) for panel in panels() for target in panel["targets"]
    ]


def _substituted(promql: str) -> str:
    for name, value in VARIABLES.items():
        promql = promql.replace(name, value)
    return promql

"""Snapshot -> what people and scripts read of streams: who is in them, what scores them, if it fits."""

from __future__ import annotations

from collections import Counter
from html import escape
from math import isnan
from typing import Any

import numpy as np
import orjson

from detector.edge.snapshot import Snapshot, StreamSnapshot


def streams_json(snapshot: Snapshot | None) -> bytes:
    """Return all streams as a JSON object; what is unknown is null."""
    content = {
        "time_s": None if snapshot is None else snapshot.time_s,
        "streams": [] if snapshot is None else [_stream(one) for one in snapshot.streams],
    }
    return orjson.dumps(content)  # which writes NaN as null


def stream_line(stream: StreamSnapshot) -> str:
    """Return a stream in a line of the page."""
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(Counter(stream.state).items()))
    bundle = stream.bundle
    judged_by = "no bundle" if bundle is None else f"{bundle.architecture} {bundle.version}"
    maintenance = Counter({"in maintenance": int(stream.in_maintenance.sum())})
    odd = Counter(spell.what.value for spell in stream.spells)
    told = {"anomalous": int(stream.active.sum()), **odd, **+maintenance}
    verdicts = ", ".join(f"{count} {what}" for what, count in told.items())
    parts = [states or "no entity yet", verdicts, judged_by, *_upkeep(stream)]
    return f"Stream <b>{escape(stream.name)}</b>: {escape('; '.join(parts))}"


def _upkeep(stream: StreamSnapshot) -> list[str]:
    """Return what is known of the budget and of drift, in words."""
    words = []
    if not isnan(stream.budget_used):
        exceeded = ", beyond chance" if stream.budget_exceeded else ""
        words.append(f"alarms of a week {stream.budget_used:.1f} times the budget{exceeded}")
    if not np.isnan(stream.drift).all():
        worst = int(np.nanargmax(stream.drift))
        advice = ", train again" if stream.retrain_advised else ""
        words.append(f"drift {stream.drift[worst]:.1f} ({stream.signals[worst]}){advice}")
    return words


def _stream(stream: StreamSnapshot) -> dict[str, Any]:
    bundle, known = stream.bundle, not isnan(stream.budget_used)
    return {
        "stream": stream.name,
        "states": Counter(state.value for state in stream.state),
        "anomalous": int(stream.active.sum()),
        "bundle": bundle
        and {
            "version": bundle.version,
            "architecture": bundle.architecture,
            "trained_s": bundle.trained_s,
        },
        "budget_used": stream.budget_used,
        "budget_exceeded": stream.budget_exceeded if known else None,
        "drift": dict(zip(stream.signals, stream.drift.tolist(), strict=True)),
        "retrain_advised": stream.retrain_advised,
    }

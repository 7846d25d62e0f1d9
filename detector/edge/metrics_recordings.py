"""Snapshot -> Prometheus: what `detector record` has written, and what it could not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import Metric

from detector.edge.families import Rows, counter, gauge
from detector.edge.snapshot import RecordedSnapshot, RecordingsSnapshot


def recording_families(recordings: RecordingsSnapshot) -> Iterator[Metric]:
    """Render what is known of recordings: one `Metric` a family."""

    def each(value: Callable[[RecordedSnapshot], int]) -> Rows:
        return [({"stream": one.stream}, value(one)) for one in recordings.streams]

    yield counter("recorded_rows", "Rows written", each(lambda one: one.rows_total))
    yield counter("recorded_bytes", "Bytes written", each(lambda one: one.bytes_total))
    yield counter("recorded_files", "Files written", each(lambda one: one.files_total))
    yield counter("recording_errors", "Files that could not be written", each(lambda one: one.errors_total))
    dropped = [
        ({"stream": one.stream, "reason": reason}, count)
        for one in recordings.streams
        for reason, count in (("lost", one.rows_lost_total), ("repeated", one.rows_repeated_total))
    ]
    yield counter("recorded_rows_dropped", "Rows not written: lost to the disk, or there already", dropped)
    if raw := recordings.raw:
        for name, what, count in (
            ("messages", "Messages written as they came", raw.messages_total),
            ("bytes", "Bytes written of messages as they came", raw.bytes_total),
            ("files", "Files of messages as they came", raw.files_total),
            ("errors", "Attempts to write messages that failed", raw.errors_total),
        ):
            yield counter(f"recorded_raw_{name}", what, [({}, count)])
    yield gauge("recordings_bytes", "What all recordings take", [({}, recordings.tree_bytes)])
    yield gauge("recordings_bytes_max", "What they may take", [({}, recordings.tree_bytes_max)])
    for name, what, count in (
        ("deleted_files", "Files deleted as too much or too old", recordings.deleted_files_total),
        ("deleted_bytes", "What was in them", recordings.deleted_bytes_total),
        ("undeleted_files", "Attempts to delete one that failed", recordings.undeleted_files_total),
    ):
        yield counter(f"recordings_{name}", what, [({}, count)])

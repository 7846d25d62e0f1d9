"""Datasets: Parquet or CSV files in the layout of telemetry and time, as arrays.

A dataset has a column `time` (UTC, seconds or a timestamp), text columns that name the entity, one
numeric column a signal (empty = not seen), and optionally `train` (bool). What `detector record` writes is
one too; its file metadata says that counters are rates already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from detector.stream.definition import Definition
from detector.stream.nouns import Bools, Doubles, Entity, Ints, Samples

SUFFIXES = (".parquet", ".csv")
CHUNK_RECORDS = 65_536
METADATA_KEY = b"detector"
TIME_MAX_S = 7_258_118_400.0
"""The year 2200: a greater number is milliseconds or finer."""


class DatasetError(Exception):
    """The data cannot be used; the message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records in time order. `column[name]` is `(records,)` float64, NaN where not seen.

    `files` are those that were read; `broken` says which others of a folder could not be, and why.
    """

    labels: tuple[str, ...]
    entities: tuple[Entity, ...]
    entity: Ints
    time_s: Doubles
    column: dict[str, Doubles]
    train: Bools
    rates: bool
    sha256: str
    files: tuple[Path, ...] = ()
    broken: tuple[str, ...] = ()

    def chunks(self, definition: Definition) -> Iterator[tuple[float, Samples]]:
        """Cut into samples of the definition's columns, `row` being an index of `entities`.

        Yields the time up to which all is told, and the samples since the last one.
        """
        columns = [self.column.get(column.name) for column in definition.columns]
        stop = 0
        while stop < len(self.time_s):
            # Records of one time stay together, or the step of that time would close between them.
            last_s = self.time_s[min(stop + CHUNK_RECORDS, len(self.time_s)) - 1]
            start, stop = stop, int(np.searchsorted(self.time_s, last_s, side="right"))
            part = slice(start, stop)
            pieces = []
            for index, column in enumerate(columns):
                if column is not None:
                    seen = np.flatnonzero(np.isfinite(column[part])) + start
                    signal = np.full(len(seen), index)
                    pieces.append(Samples(self.entity[seen], signal, self.time_s[seen], column[seen]))
            if pieces:
                yield (
                    float(self.time_s[part][-1]),
                    Samples(*(np.concatenate(column) for column in zip(*pieces, strict=True))),
                )

    def only(self, chosen: Bools) -> Dataset:
        """Return the records where `chosen`."""
        column = {name: values[chosen] for name, values in self.column.items()}
        return replace(
            self,
            entity=self.entity[chosen],
            time_s=self.time_s[chosen],
            column=column,
            train=self.train[chosen],
        )


def read(paths: Sequence[Path], labels: Sequence[str] = ()) -> Dataset:
    """Read files, or folders of them, into one dataset.

    Args:
        paths: Files or folders; columns that a file lacks are unseen in it. In a folder, a file that cannot
            be read is left out: a recorder that was killed leaves one.
        labels: The entity columns; none: every text column.

    Raises:
        DatasetError: There is nothing to read, or a file is no dataset.
    """
    named = {path for path in paths if not path.is_dir()}
    broken: list[str] = []
    files = sorted({file for path in paths for file in _files(path, broken)})
    tables: dict[Path, pa.Table] = {}
    for file in files:
        try:
            tables[file] = _table(file)
        except DatasetError as error:
            if file in named:
                raise
            broken.append(str(error))
    if not tables:
        why = f"; {'; '.join(broken)}" if broken else ""
        raise DatasetError(f"no {' or '.join(SUFFIXES)} file in {', '.join(map(str, paths))}{why}")
    rates = {_is_rates(table) for table in tables.values()}
    if len(rates) > 1:
        raise DatasetError("recordings (rates) and raw datasets (counters) do not mix")
    try:
        table = pa.concat_tables(
            [table.replace_schema_metadata(None) for table in tables.values()], promote_options="permissive"
        )
    except pa.ArrowException as error:
        raise DatasetError(f"the files do not fit together: {error}") from None
    found = _dataset(table, labels, rates=rates.pop(), sha256=_sha256(list(tables)))
    return replace(found, files=tuple(tables), broken=tuple(broken))


def _files(path: Path, broken: list[str]) -> list[Path]:
    """Return the datasets at a path; what cannot be looked into in a folder is noted in `broken`."""
    if path.is_dir():
        found = [
            file
            for file in path.rglob("*")
            if file.suffix in SUFFIXES and not file.name.startswith(".") and file.is_file()
        ]
        return [file for file in found if _has_times(file, broken)]
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    if path.suffix not in SUFFIXES:
        raise DatasetError(f"{path}: neither {' nor '.join(SUFFIXES)}")
    return [path]


def _has_times(file: Path, broken: list[str]) -> bool:
    try:
        return "time" in _column_names(file)
    except DatasetError as error:
        broken.append(str(error))
        return False


def _column_names(file: Path) -> list[str]:
    if file.suffix == ".csv":
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            return [name.strip().strip('"') for name in lines.readline().split(",")]
    try:
        return list(pq.read_schema(file).names)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{file}: {error}") from None


def _table(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file) if file.suffix == ".parquet" else pyarrow.csv.read_csv(file)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{file}: {error}") from None
    names = table.column_names
    if "time" not in names:
        raise DatasetError(f"{file}: no column `time`; columns: {', '.join(names)}")
    if len(set(names)) < len(names):
        raise DatasetError(f"{file}: a column stands twice in {', '.join(names)}")
    return table


def _is_rates(table: pa.Table) -> bool:
    return METADATA_KEY in (table.schema.metadata or {})


def _dataset(table: pa.Table, labels: Sequence[str], *, rates: bool, sha256: str) -> Dataset:
    time_s = _times(table["time"])
    kept = np.isfinite(time_s)
    order = np.flatnonzero(kept)[np.argsort(time_s[kept], kind="stable")]
    texts = [name for name in table.column_names if name != "train" and _is_text(table[name].type)]
    for label in labels:
        if label not in table.column_names:
            raise DatasetError(f"no entity column `{label}`; columns: {', '.join(table.column_names)}")
    labels = tuple(labels) or tuple(texts)
    entities, entity = _entities(table, labels)
    column = {
        name: _doubles(table[name], name)[order]
        for name in table.column_names
        if name not in {"time", "train", *labels, *texts} and not pa.types.is_null(table[name].type)
    }
    train = np.ones(len(time_s), bool)
    if "train" in table.column_names:
        train = _doubles(table["train"], "train") > 0
    return Dataset(labels, entities, entity[order], time_s[order], column, train[order], rates, sha256)


def _times(column: pa.ChunkedArray) -> Doubles:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        return np.asarray(_doubles(micros, "time") / 1e6)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DatasetError(f"column `time` is {kind}, not seconds or a timestamp")
    time_s = _doubles(column, "time")
    if (time_s > TIME_MAX_S).any():
        raise DatasetError("column `time` is not in seconds: it goes beyond the year 2200; divide it")
    return time_s


def _doubles(column: pa.ChunkedArray, name: str) -> Doubles:
    try:
        # Unsafe, because a 64-bit counter has more digits than a double; they are the least of it.
        numbers = column.cast(pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise DatasetError(f"column `{name}` is {column.type}, not numbers: {error}") from None
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _entities(table: pa.Table, labels: Sequence[str]) -> tuple[tuple[Entity, ...], Ints]:
    if not labels:
        return ((),), np.zeros(len(table), np.int64)
    texts = [pc.fill_null(table[label].cast(pa.string()), "").combine_chunks() for label in labels]
    code = np.zeros(len(table), np.int64)
    for text in texts:
        encoded = text.dictionary_encode()
        code = code * len(encoded.dictionary) + np.asarray(encoded.indices)
    _, first, entity = np.unique(code, return_index=True, return_inverse=True)
    return tuple(zip(*(text.take(pa.array(first)).to_pylist() for text in texts), strict=True)), entity


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()

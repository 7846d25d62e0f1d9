"""Datasets in the order of their times, as much of them at once as has to be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

DATASETS: Final = (".parquet", ".csv")
DIGITS: Final = re.compile(r"\d+")


def files_in(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return a file, or those of a folder that have a suffix, by their names; `-10` comes after `-9`."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.rglob("[!.]*") if file.suffix in suffixes), key=_natural)


def _natural(file: Path) -> tuple[Path, list[int], str]:
    return file.parent, [int(digits) for digits in DIGITS.findall(file.stem)], file.name


def read_parts(paths: Sequence[Path]) -> Iterator[pa.Table]:
    """Return datasets as tables, one after the other in time, each sorted by `time`: float64 UTC seconds.

    Files that overlap in time are one table; of those of a recording none do, so that a year of it needs the
    memory of a file.

    Raises:
        ValueError: There is no data, or `time` is absent, incomplete or no time.
        OSError: A file cannot be read.
    """
    files = [file for path in paths for file in files_in(path, DATASETS)]
    if not files:
        raise ValueError(f"no .parquet or .csv in {', '.join(map(str, paths))}")
    spans = ((pc.min_max(_read(file, ["time"])["time"]).as_py(), file) for file in files)
    return _parts(sorted((span["min"], span["max"], file) for span, file in spans if span["min"] is not None))


def _parts(spans: Sequence[tuple[float, float, Path]]) -> Iterator[pa.Table]:
    together: list[Path] = []
    until_s = -math.inf
    for first_s, last_s, file in spans:
        if together and first_s > until_s:
            yield _merged(together)
            together = []
        together.append(file)
        until_s = max(until_s, last_s)
    if together:
        yield _merged(together)


def _merged(files: Sequence[Path]) -> pa.Table:
    return pa.concat_tables(map(_read, files), promote_options="permissive").sort_by("time")


def _read(file: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        if file.suffix == ".csv":
            wanted = csv.ConvertOptions(include_columns=columns or [])
            table = csv.read_csv(file, convert_options=wanted)
        else:
            table = parquet.read_table(file, columns=columns)
        index = table.schema.get_field_index("time")
        return table.set_column(index, "time", _seconds(table["time"]))
    except (ValueError, KeyError, pa.ArrowException) as error:  # KeyError: no column time, or two
        raise ValueError(f"{file}: {error}") from None


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        # Through microseconds, for float64 has room for those but not for nanoseconds.
        micros = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False), pa.int64())
        column = pc.divide(pc.cast(micros, pa.float64()), 1e6)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ValueError(f"column time is {column.type}, neither a number nor a timestamp")
    column = pc.cast(column, pa.float64())
    if column.null_count or not pc.all(pc.is_finite(column), min_count=0).as_py():
        raise ValueError("column time has cells without a time")
    return column

"""The bundle: what training decided, in a directory that is safe to load.

    BUNDLE/
      champion -> 20261122T201500Z-3f9a1c     the version that scores
      20261122T201500Z-3f9a1c/                immutable
        manifest.json     format, stream definition, training data, versions, metrics, sha256 of the others
        network.keras     no Lambda layer, no code: loaded in Keras's safe mode; or, of a baseline,
        baseline.npz      arrays, loaded without pickle
        calibration.npz   arrays, loaded without pickle
        manifest.sig      where somebody signed the manifest (`signature.py`)

A version is written to a temporary directory and renamed; the link is switched by a rename too, so that a
reader sees the old or the new one and nothing between. A file that does not match its sha256 is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector import __version__
from detector.model import signature
from detector.model.design import BASELINES
from detector.model.manifest import check
from detector.model.migrations import FORMAT, migrated
from detector.model.trained import described, differences
from detector.stream.definition import Definition

if TYPE_CHECKING:  # whether a bundle is whole is said without numpy
    from detector.stream.calibration import Calibration

MANIFEST = "manifest.json"
CHAMPION = "champion"
MANIFEST_BYTES_MAX = 16 << 20
"""A hundred thousand entities with long names are some 5 MB."""
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
"""What a manifest may list: a file beside it, nothing that leads out of the directory."""


def expectation_file(architecture: str) -> str:
    """Return the name of the file with what expects the newest step."""
    return "baseline.npz" if architecture in BASELINES else "network.keras"


class BundleError(Exception):
    """The bundle cannot be used; the message says why. The program exits with 78."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A version whose files are what its manifest says; network and calibration are still on disk."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The name of the version."""
        return self.path.name

    @property
    def network_path(self) -> Path:
        """The file of the network or the baseline, checked against its sha256 by `load`."""
        return self.path / expectation_file(str(self.manifest["architecture"]))

    def calibration(self) -> Calibration:
        """Load the calibration.

        Raises:
            BundleError: It is unreadable, or not one of these entities and signals.
        """
        from detector.model import calibration  # noqa: PLC0415 -- numpy

        entities = tuple(tuple(entity) for entity in self.manifest["entities"])
        try:
            return calibration.read(
                self.path / "calibration.npz", entities, len(self.manifest["stream"]["signals"])
            )
        except ValueError as error:
            raise BundleError(f"{self.path}/calibration.npz: {error}") from None


def save(
    directory: Path,
    network: Any,
    calibration: Calibration,
    definition: Definition,
    facts: Mapping[str, Any],
) -> Path:
    """Add a version to a bundle; it becomes the champion where there is none.

    Args:
        directory: The bundle; made if need be.
        network: A Keras network or a baseline, as `facts["architecture"]` says; it can `save` itself.
        calibration: What goes with it.
        definition: What it was trained on.
        facts: Further entries of the manifest.

    Returns:
        The version's directory.

    Raises:
        BundleError: The calibration is not one: a number in it is not finite, or a shape does not fit.
    """
    directory.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=directory))
    try:
        network.save(draft / expectation_file(str(facts["architecture"])))
        _save_calibration(draft, calibration)
        files = {file.name: _sha256(file) for file in sorted(draft.iterdir())}
        manifest = {
            **facts,
            "format": FORMAT,
            "detector_version": __version__,
            "trained_s": round(time.time(), 3),
            "stream": described(definition),
            "entity": list(definition.entity),
            "entities": [list(entity) for entity in calibration.entities],
            "files": files,
        }
        text = json.dumps(manifest, indent=1, allow_nan=False)
        (draft / MANIFEST).write_text(text, "utf-8")
        _sync(draft)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        version = directory / f"{stamp}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
        draft.chmod(0o755)
        draft.rename(version)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if not (directory / CHAMPION).exists():
        promote(version)
    return version


def promote(version: Path) -> None:
    """Make a version the champion of its bundle, in one atomic step."""
    link = version.parent / f".{CHAMPION}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(version.name)
    link.replace(version.parent / CHAMPION)


def load(directory: Path, keys_file: Path | None = None) -> Bundle:
    """Return the champion of a bundle, or the version that the directory itself is.

    Takes milliseconds: the files are checked, not loaded.

    Args:
        directory: The bundle, or the version.
        keys_file: Public keys, by one of which it has to be signed.

    Raises:
        BundleError: It is missing, altered, of another format, not what its manifest says, or not signed.
    """
    path = _version_path(directory)
    if keys_file is not None:
        try:
            signature.check(path / MANIFEST, keys_file)
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: {error}") from None
    manifest = _manifest(path)
    for name, expected in manifest["files"].items():
        if not FILE_NAME.match(name):
            raise BundleError(f"{path}: the manifest names a file outside: {name!r}")
        if not (path / name).is_file():
            raise BundleError(f"{path}: {name} is missing")
        if _sha256(path / name) != expected:
            raise BundleError(f"{path}: {name} was altered: its sha256 is not the manifest's")
    return Bundle(path, manifest)


def load_for(definition: Definition, directory: Path, keys_file: Path | None = None) -> Bundle:
    """Return the champion that scores a stream, checked against its definition.

    Raises:
        BundleError: It is missing, altered, not signed though it has to be, or was trained on something else.
    """
    key = f"streams.{definition.name}.bundle"
    try:
        loaded = load(directory, keys_file)
    except BundleError as error:
        raise BundleError(f"{key}: {error}") from None
    if different := differences(loaded.manifest, definition):
        lines = "\n  ".join(different)
        raise BundleError(
            f"{key}: {directory} was trained on another stream\n  {lines}\ntrain it for this one: "
            f"detector train DATA --config … --stream {definition.name} --out {directory}"
        )
    return loaded


def _version_path(directory: Path) -> Path:
    try:
        here = (directory / MANIFEST).is_file()
        return (directory if here else directory / CHAMPION).resolve(strict=True)
    except FileNotFoundError:
        raise BundleError(f"{directory}: no bundle: neither {MANIFEST} nor {CHAMPION} is in it") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        raise BundleError(f"{directory}: {error}") from None


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        if file.stat().st_size > MANIFEST_BYTES_MAX:
            raise BundleError(f"{file}: larger than {MANIFEST_BYTES_MAX} bytes")
        told: Any = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{file}: {error}") from None
    if not isinstance(told, dict):
        raise BundleError(f"{file}: not an object")
    try:
        manifest = migrated(told)
    except ValueError as error:
        raise BundleError(f"{file}: {error}") from None
    if problems := check(manifest):
        raise BundleError(f"{file}: {'; '.join(problems)}")
    wanted = {expectation_file(manifest["architecture"]), "calibration.npz"}
    if not wanted <= manifest["files"].keys():
        raise BundleError(f"{file}: {' or '.join(sorted(wanted, reverse=True))} is not listed")
    return manifest


def _save_calibration(draft: Path, calibration: Calibration) -> None:
    from detector.model.calibration import write  # noqa: PLC0415 -- numpy

    try:
        write(draft / "calibration.npz", calibration)
    except ValueError as error:
        raise BundleError(f"calibration: {error}") from None


def _sync(draft: Path) -> None:
    """See that all files are on the disk: who loses power after the rename has a whole version."""
    for path in (*draft.iterdir(), draft):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from None

"""What is in a bundle, what two versions differ in, and whether all of it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.evaluate.page import utc
from detector.model import bundle, signature
from detector.model.bundle import CHAMPION, MANIFEST, Bundle, BundleError
from detector.model.trained import definition_of, differences

ENTITIES_NAMED_MAX = 5
MOVED = 0.1
"""A signal whose center or deviation has changed by less than this share is not told of."""


def versions(directory: Path) -> list[Path]:
    """Return the versions of a bundle, the oldest first; a version is its own.

    Raises:
        BundleError: There is none.
    """
    if (directory / MANIFEST).is_file():
        return [directory]
    found = sorted(
        file.parent for file in directory.glob(f"[!.]*/{MANIFEST}") if not file.parent.is_symlink()
    )
    if not found:
        raise BundleError(f"{directory}: no bundle: no version with a {MANIFEST} is in it")
    return found


def shown(directory: Path) -> dict[str, Any]:
    """Return what is known of the champion of a bundle, or of a version, and of the versions beside it."""
    loaded = bundle.load(directory)
    manifest = loaded.manifest
    data = manifest.get("data", {})
    kept = ("architecture", "design", "selection", "trained_s", "held_out", "versions", "detector_version")
    return {
        "version": loaded.version,
        "path": str(loaded.path),
        **{name: manifest[name] for name in kept if name in manifest},
        "format": manifest["format"],
        "signed": (loaded.path / signature.SIGNATURE).is_file(),
        "stream": manifest["stream"],
        "entity": manifest["entity"],
        "entities": len(manifest["entities"]),
        "data": data,
        "files": {name: (loaded.path / name).stat().st_size for name in manifest["files"]},
        "versions_here": [_beside(path) for path in versions(loaded.path.parent)],
    }


def _beside(path: Path) -> dict[str, Any]:
    return {"version": path.name, "champion": path.resolve() == (path.parent / CHAMPION).resolve()}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `shown` returned in words."""
    for one in told["versions_here"]:
        is_shown = one["version"] == told["version"]
        marks = [name for name, is_so in (("champion", one["champion"]), ("shown", is_shown)) if is_so]
        yield f"{one['version']}  {', '.join(marks)}".rstrip()
    yield ""
    for name, value in _facts(told):
        yield f"{name:14} {value}"
    yield ""
    for signal in told["stream"]["signals"]:
        more = ", ".join(f"{key} {value}" for key, value in signal.items() if key not in {"name", "kind"})
        yield f"{signal['name']:30} {signal['kind']:8} {more}".rstrip()


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    design = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told["design"].items())
    yield "architecture", f"{told['architecture']}{': ' if design else ''}{design}"
    selection = told.get("selection", {})
    yield "chosen", selection.get("why", "unknown")
    if "warning" in selection:
        yield "warning", selection["warning"]
    stream, data = told["stream"], told["data"]
    yield "stream", f"{stream['name']}: step {stream['step_s']:g} s, window {stream['window_steps']} steps"
    yield "entities", f"{told['entities']:,}, named by {', '.join(told['entity']) or 'nothing'}"
    if data:
        span = f"{utc(data['start_s'])} to {utc(data['end_s'])}"
        yield "trained on", f"{data['records']:,} records, {span}; sha256 {data['sha256'][:16]}…"
    yield "trained", utc(told["trained_s"])
    yield "held out", _pairs(told.get("held_out", {}))
    yield "versions", _pairs({"detector": told.get("detector_version", "?"), **told.get("versions", {})})
    yield "format", f"{told['format']}, {'signed' if told['signed'] else 'not signed'}"
    yield "files", ", ".join(f"{name} {size:,} bytes" for name, size in told["files"].items())


def _pairs(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in of.items())


def compared(one: Bundle, other: Bundle) -> list[str]:
    """Return in words what differs between two versions, the first being the older."""
    old, new = one.manifest, other.manifest
    found = [f"stream: {line}" for line in _other_stream(old, new)]
    for name in ("architecture", "seed", "detector_version"):
        found += _changed(name, old.get(name), new.get(name))
    for table in ("design", "held_out", "versions"):
        of = old.get(table, {}), new.get(table, {})
        found += [
            line
            for key in of[0] | of[1]
            for line in _changed(f"{table}.{key}", of[0].get(key), of[1].get(key))
        ]
    for key in ("start_s", "end_s"):
        times = [utc(told["data"][key]) if "data" in told else "unknown" for told in (old, new)]
        found += _changed(f"data.{key.removesuffix('_s')}", *times)
    found += _other_entities(old, new)
    return found + list(_moved(one, other))


def _other_stream(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return how the streams differ, in the words of the older and the newer version."""
    said = differences(old, definition_of(new))
    return [line.replace("bundle ", "was ").replace("settings ", "is ") for line in said]


def _changed(name: str, old: object, new: object) -> list[str]:
    told = ["nothing" if one is None else one for one in (old, new)]
    return [] if old == new else [f"{name}: {told[0]} -> {told[1]}"]


def _other_entities(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, now = ({"/".join(entity) for entity in told["entities"]} for told in (old, new))
    for what, names in (("new", sorted(now - before)), ("gone", sorted(before - now))):
        if names:
            named = ", ".join(names[:ENTITIES_NAMED_MAX])
            more = f" and {len(names) - ENTITIES_NAMED_MAX:,} more" if len(names) > ENTITIES_NAMED_MAX else ""
            yield f"entities: {what}: {named}{more}"


def _moved(one: Bundle, other: Bundle) -> Iterator[str]:
    """Yield which signals have another center or deviation, of the pool of all entities."""
    old, new = one.calibration(), other.calibration()
    names = [signal["name"] for signal in one.manifest["stream"]["signals"]]
    if names != [signal["name"] for signal in other.manifest["stream"]["signals"]]:
        return
    for what in ("center", "scale"):
        before, now = getattr(old, f"pool_{what}"), getattr(new, f"pool_{what}")
        for name, a, b in zip(names, before.tolist(), now.tolist(), strict=True):
            if abs(b - a) > MOVED * max(abs(a), abs(b)):
                word = "deviation" if what == "scale" else what
                yield f"signals.{name}: usual {word} {a:.4g} -> {b:.4g}"


def verified(directory: Path, keys_file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield each version and what is wrong with it, or nothing.

    All of it is loaded: the network, which has to say what it said when it was trained, and the calibration.
    """
    from detector.model import runtime  # noqa: PLC0415 -- TensorFlow, where there is a network

    for path in versions(directory):
        try:
            runtime.load_judge(bundle.load(path, keys_file))
        except BundleError as error:
            yield path.name, str(error)
        else:
            yield path.name, ""

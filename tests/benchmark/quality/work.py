"""What takes long and is the same again: bundles, and simulated datasets, in a directory.

A name there is the hash of all that it was made of, so that what an older source made is never taken for what
this one would make.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import detector
from detector.model import bundle, runtime
from detector.model.design import usual
from detector.stream.bench import Judge
from detector.stream.definition import Definition
from detector.train.dataset import Dataset
from detector.train.trainer import past_of, train

SOURCES = ("stream", "train", "model", "simulate")
"""What decides over a bundle or a simulated dataset; who runs it afterwards is always the present source."""
LIBRARIES = ("numpy", "scipy", "keras", "tensorflow-cpu")
EPOCHS_MAX = 60
"""As `detector train` has it."""
SEED = 0


def source() -> str:
    """Return the hash of the sources and the versions of the libraries."""
    root = Path(detector.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(file for part in SOURCES for file in (root / part).rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    digest.update(" ".join(version(library) for library in LIBRARIES).encode())
    return digest.hexdigest()


def kept(work: Path, name: str, of: str, make: Callable[[Path], object]) -> Path:
    """Return a directory that `make` filled, now or when it was last asked for the same."""
    place = work / f"{name}-{hashlib.sha256(f'{source()} {of}'.encode()).hexdigest()[:16]}"
    if not place.exists():
        work.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=work))
        make(draft)
        try:
            draft.rename(place)
        except OSError:  # somebody else has made it meanwhile
            shutil.rmtree(draft)
    return place


def judge_of(work: Path, data: Dataset, definition: Definition, architecture: str) -> Judge:
    """Return the bundle that is trained on the marked records of a dataset, to judge by."""
    digest = hashlib.sha256(data.train.tobytes() + data.time_s.tobytes())
    of = f"{data.sha256} {digest.hexdigest()} {definition} {architecture}"

    def make(place: Path) -> None:
        past, design = past_of(data, definition), usual(architecture, len(definition.signals))
        run = {"seed": SEED, "epochs": EPOCHS_MAX, "progress": lambda *_: None}
        train(data, past, place / "bundle", design, **run)

    place = kept(work, f"{definition.name}-{architecture}", of, make)
    return runtime.load_judge(bundle.load(place / "bundle"))

"""What a network is built from: its architecture, what it is taught by, and its sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

NETWORKS = ("dense", "conv1d", "gru", "conv1d-bilstm", "lstm", "bilstm")
"""The cheapest first: that is the order in which a search tries them."""
AUTO = "auto"
"""In the place of an architecture: what a search finds."""
BASELINES = ("ewma", "pca", "seasonal")
"""Architectures that are no networks; they run without TensorFlow."""
ARCHITECTURES = (*NETWORKS, *BASELINES)
OBJECTIVES = ("plain", "denoising", "masked")
HIGHWAYS = ("none", "ewma", "pca")
CALENDARS = ("none", "day", "week")
WIDTHS = (16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Design:
    """An architecture with its sizes; of a baseline only the architecture counts.

    `objective` is what a network is taught by:

        plain       the window as it is, through the bottleneck
        denoising   the window as it was before noise was added and cells were lost
        masked      its newest `masked_steps` from the ones before alone: a forecast

    `highway`: what a network with the objective `masked` says is what it adds to this baseline.
    `width` is of the layers, `bottleneck` of the narrowest one, `dropout` before that. `calendar` is what the
    network is told of the time. `noise` is what denoising adds, in robust deviations; `learning_rate` the
    first.
    """

    architecture: str
    objective: str = "masked"
    masked_steps: int = 1
    highway: str = "pca"
    width: int = 32
    bottleneck: int = 8
    dropout: float = 0.1
    calendar: str = "none"
    noise: float = 0.3
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        choices = {
            "architecture": ARCHITECTURES,
            "objective": OBJECTIVES,
            "highway": HIGHWAYS,
            "calendar": CALENDARS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}")

    def __str__(self) -> str:
        """Say in a line what it is."""
        told = (
            f"{name.replace('_', ' ')} {value:.3g}"
            if isinstance(value, float)
            else f"{name.replace('_', ' ')} {value}"
            for name, value in self.told().items()
        )
        return ", ".join([self.architecture, *told])

    @property
    def hidden_steps(self) -> int:
        """How many of the newest steps a network does not see."""
        return self.masked_steps if self.objective == "masked" else 0

    @property
    def is_baseline(self) -> bool:
        """Whether it is no network."""
        return self.architecture in BASELINES

    def told(self) -> dict[str, Any]:
        """Return it as an entry of a manifest: of a baseline nothing, and nothing that does not matter."""
        if self.is_baseline:
            return {}
        left_out = {"architecture"} | ({"noise"} if self.objective != "denoising" else set())
        if self.objective != "masked":
            left_out |= {"masked_steps", "highway"}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @classmethod
    def of(cls, architecture: str, told: dict[str, Any]) -> Design:
        """Return the design that an entry of a manifest, or a search, tells of."""
        known = {field.name for field in fields(cls)}
        return cls(architecture, **{name: value for name, value in told.items() if name in known})


def usual(architecture: str, signals: int) -> Design:
    """Return what an architecture is like where nothing has been searched: as wide as the signals ask."""
    width = max([width for width in WIDTHS[:3] if width <= 2 * signals], default=WIDTHS[0])
    return Design(architecture, width=width, bottleneck=max(4, width // 4))

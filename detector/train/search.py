"""Search for a design: candidates are judged fold by fold, the poor ones are given up early.

The baselines come first, then each architecture as it usually is, then what a Tree-structured Parzen
estimator makes of all that was found (Bergstra et al., NeurIPS 2011), by Optuna. Candidates are asked for in
rounds of a fixed size, and go from fold to fold together; after each fold, who is below the median of all
that came so far is given up. So the same seed finds the same, whatever the number of processes; a limit of
time alone makes it end sooner or later.

All that was found is in a journal in the directory of the search. Who starts the same search again goes on
where it was, after a kill too: finished folds of an unfinished candidate count.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.model.design import HIGHWAYS, NETWORKS, OBJECTIVES, WIDTHS, Design, usual
from detector.model.phases import DAY_S, WEEK_S
from detector.train.expect import SEASONS_MIN
from detector.train.judge import FIRST_SHARE, FoldResult
from detector.train.timeline import Timeline
from detector.train.workers import Workers

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

ALWAYS = ("pca", "ewma")
"""The baselines that every network has to be better than."""

ROUND = 4
"""Candidates that are asked for at once."""
STARTUP_TRIALS = 4
"""Candidates that are judged in all folds before any is given up."""
TRIALS_MAX = 100
BOTTLENECK_SHARES = (0.125, 0.25, 0.5)
MASKED_STEPS = (1, 2, 4)
CALENDAR_SEASONS_MIN = 3.0
"""Days, or weeks, from which on a network may be told the time of the day, or of the week: of fewer it learns
them by heart."""
JOURNAL = "search.log"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a search ends: after so many networks, or so many seconds; and how many processes it may use."""

    trials: int = TRIALS_MAX
    seconds: float = inf
    jobs: int = 1


@dataclass(slots=True)
class Candidate:
    """A design, and how it did in the folds; in fewer than all where it was given up."""

    design: Design
    results: list[FoldResult] = field(default_factory=list)
    finished: bool = False

    @property
    def found(self) -> float:
        """The share of the injected faults that it found, on average over the folds."""
        return float(np.mean([one.found for one in self.results]))

    @property
    def spread(self) -> float:
        """The standard error of that."""
        each = [one.found for one in self.results]
        return float(np.std(each, ddof=1) / np.sqrt(len(each))) if len(each) > 1 else inf

    @property
    def multiplications(self) -> int:
        """What expecting a window costs, on any machine."""
        return self.results[0].multiplications

    @property
    def window_us(self) -> float:
        """What expecting a window costs, on this machine."""
        return float(np.median([one.window_us for one in self.results]))


Tell = Callable[[Candidate, float], None]
"""Called after each fold of a candidate, with how much of the search is done, 0 to 1."""


class Search:
    """A search over a timeline, in a directory of its own.

    Args:
        past: The timeline.
        directory: Where the journal is: that of the workers.
        workers: Who judges.
        among: The architectures that may be chosen.
        seed: Of everything that is drawn.
        limits: When it ends.
        tell: Hears of everything that is found.
    """

    def __init__(
        self,
        past: Timeline,
        directory: Path,
        workers: Workers,
        *,
        among: Sequence[str],
        seed: int,
        limits: Limits,
        tell: Tell,
    ) -> None:
        self._signals = len(past.definition.signals)
        self._workers, self._limits, self._tell, self._seed = workers, limits, tell, seed
        self._networks = [one for one in NETWORKS if one in among]
        self._baselines = [one for one in baselines_of(past) if one in among or one in ALWAYS]
        self._calendars = calendars_of(past)
        self._masked_steps = [one for one in MASKED_STEPS if one <= past.definition.window_steps // 4]
        self._study = _study(directory / JOURNAL)
        self._begin_s = time.monotonic()
        self._rounds_s: list[float] = []

    def run(self) -> list[Candidate]:
        """Return all candidates, the baselines first."""
        baselines = [Candidate(Design(one)) for one in self._baselines]
        self._judge(baselines, lambda *_: False)
        if self._networks:
            self._resume()
            while self._room():
                self._round()
        return baselines + [self._candidate(trial) for trial in self._study.trials if _is_known(trial)]

    def _resume(self) -> None:
        """Ask for what was begun and not finished once more, and for each architecture as it usually is."""
        from optuna.trial import TrialState  # noqa: PLC0415 -- half a second

        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._study.enqueue_trial(trial.params, trial.user_attrs)
        if not self._study.trials:
            for architecture in self._networks:
                self._study.enqueue_trial(_parameters(usual(architecture, self._signals)))

    def _room(self) -> bool:
        """Say whether another round may begin: it takes as long as the longest until now."""
        spent_s = time.monotonic() - self._begin_s
        longest_s = max(self._rounds_s, default=0.0)
        return self._finished() < self._limits.trials and spent_s + longest_s < self._limits.seconds

    def _finished(self) -> int:
        from optuna.trial import TrialState  # noqa: PLC0415 -- half a second

        done = (TrialState.COMPLETE, TrialState.PRUNED)
        return len(self._study.get_trials(deepcopy=False, states=done))

    def _round(self) -> None:
        """Ask for candidates, and judge them."""
        import optuna  # noqa: PLC0415 -- half a second

        begin_s = time.monotonic()
        # The same for what was found until now, after a restart too.
        with warnings.catch_warnings():
            # Groups keep apart what only some objectives have.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(
                seed=self._seed + self._finished(), multivariate=True, group=True
            )
        count = min(ROUND, self._limits.trials - self._finished())
        trials = [self._study.ask() for _ in range(count)]
        candidates = [self._candidate(trial) for trial in trials]

        def hopeless(index: int, candidate: Candidate) -> bool:
            trial = trials[index]
            trial.set_user_attr("results", [asdict(one) for one in candidate.results])
            trial.report(candidate.found, len(candidate.results))
            return bool(trial.should_prune())

        self._judge(candidates, hopeless)
        for trial, candidate in zip(trials, candidates, strict=True):
            state = optuna.trial.TrialState.COMPLETE if candidate.finished else optuna.trial.TrialState.PRUNED
            self._study.tell(trial, candidate.found if candidate.finished else None, state)
        self._rounds_s.append(time.monotonic() - begin_s)

    def _judge(self, candidates: list[Candidate], hopeless: Callable[[int, Candidate], bool]) -> None:
        """Take candidates from fold to fold together, until they are through or given up."""
        alive = dict(enumerate(candidates))
        for fold in range(self._workers.folds):
            todo = {index: one for index, one in alive.items() if len(one.results) == fold}
            found = self._workers.judge([one.design for one in todo.values()], fold, self._seed)
            for (index, one), result in zip(todo.items(), found, strict=True):
                one.results.append(result)
                if hopeless(index, one):
                    del alive[index]
                one.finished = index in alive and fold + 1 == self._workers.folds
                self._tell(one, self._share_done())

    def _share_done(self) -> float:
        """Return how much of the search is done, by trials or by time, whatever ends it first."""
        by_time = (time.monotonic() - self._begin_s) / self._limits.seconds
        return min(max(by_time, self._finished() / self._limits.trials), 1.0)

    def _candidate(self, trial: Trial | FrozenTrial) -> Candidate:
        results = [FoldResult.of(one) for one in trial.user_attrs.get("results", ())]
        return Candidate(self._suggest(trial), results, len(results) == self._workers.folds)

    def _suggest(self, trial: Trial | FrozenTrial) -> Design:
        told: dict[str, Any] = {
            "objective": trial.suggest_categorical("objective", OBJECTIVES),
            "calendar": trial.suggest_categorical("calendar", self._calendars),
            "width": trial.suggest_categorical("width", WIDTHS),
            "dropout": trial.suggest_float("dropout", 0.0, 0.3),
            "learning_rate": trial.suggest_float("learning_rate", 5e-4, 5e-3, log=True),
        }
        architecture = trial.suggest_categorical("architecture", self._networks)
        share = trial.suggest_categorical("bottleneck_share", BOTTLENECK_SHARES)
        told["bottleneck"] = max(4, int(share * told["width"]))
        if told["objective"] == "masked":
            told["masked_steps"] = trial.suggest_categorical("masked_steps", self._masked_steps)
            told["highway"] = trial.suggest_categorical("highway", HIGHWAYS)
        if told["objective"] == "denoising":
            told["noise"] = trial.suggest_float("noise", 0.1, 1.0, log=True)
        return Design.of(architecture, told)


def baselines_of(past: Timeline) -> list[str]:
    """Return the baselines that there is time enough for."""
    seasons = len(past.step) * past.definition.step_s / DAY_S
    return [*ALWAYS, *(["seasonal"] if seasons * FIRST_SHARE >= SEASONS_MIN else [])]


def calendars_of(past: Timeline) -> list[str]:
    """Return what of the time a network may be told."""
    span_s = len(past.step) * past.definition.step_s * FIRST_SHARE
    seasons = (("day", DAY_S), ("week", WEEK_S))
    return ["none", *(name for name, season_s in seasons if span_s >= CALENDAR_SEASONS_MIN * season_s)]


def _study(journal: Path) -> Study:
    import optuna  # noqa: PLC0415 -- half a second
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 -- same

    optuna.logging.set_verbosity(logging.ERROR)
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
        study_name="search",
        direction="maximize",
        load_if_exists=True,
    )


def _is_known(trial: FrozenTrial) -> bool:
    """Say whether a trial was judged to its end, or given up: what was begun anew stands there twice."""
    return trial.state.name in {"COMPLETE", "PRUNED"}


def _parameters(design: Design) -> dict[str, Any]:
    """Return what the search would have had to suggest for a design with the objective `masked`."""
    told = {name: value for name, value in design.told().items() if name != "bottleneck"}
    return told | {"architecture": design.architecture, "bottleneck_share": 0.25}

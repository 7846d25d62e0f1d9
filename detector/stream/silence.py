"""Who has stopped speaking: a state of its own, and neither normal nor anomalous.

It begins with a goodbye, or when no sample came for longer than an entity may pause. That is `silence_s`; or,
where it is "auto", what its rhythm says, see `detector.stream.rhythm`. Who said goodbye stays silent until it
speaks after that: what it said before may be in steps that are still to be closed.

With "auto" nobody is called silent while nobody can be heard; whoever is beyond its patience then is
unheard, which is not a fact about it. There are two reasons, and they are told apart by who knows of them:

    deaf      we ourselves do not hear: no connection, no subscription, one that the broker does not serve.
              The daemon says so (`listen`).
    unheard   we do, and yet nobody speaks, while `WITNESSES` entities or more would have to: what they share
              has died (their agent, a relay, the network). That is one fact about the stream. It ends with
              the next word of anybody, and only who has spoken since can be a witness of the next time: who
              has not has died with others, but not with all.

After either, every pause begins anew, and intervals across it teach nothing.
"""

from __future__ import annotations

import numpy as np

from detector.stream.definition import SILENCE_AUTO, Definition
from detector.stream.nouns import Bools, Doubles, Ints
from detector.stream.rhythm import Rhythm

WITNESSES = 3
"""Fewer that fall silent at once may have died each on its own."""


class Silence:
    """Who of a stream is silent; arrays are `(rows,)`."""

    def __init__(self, definition: Definition) -> None:
        self._auto = definition.silence_s == SILENCE_AUTO
        self._silence_s = definition.silence_s
        self._follows_data = definition.clock == "data"
        self.rhythm = Rhythm()
        self.unheard = False
        self._now_s = -np.inf
        self._deaf = False
        self._since_s = -np.inf  # pauses are counted from here; inf: from the next word of anybody
        self._returned_s = -np.inf  # when somebody spoke again after nobody did
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.silent = np.zeros(rows, bool)
        self.gone = np.zeros(rows, bool)  # said goodbye, and nothing since
        self.told = np.zeros(rows, bool)  # that it is silent
        self.spoken_s = np.full(rows, np.nan)  # time of the newest step that has a sample of it
        self._before_s = np.full(rows, np.nan)  # same, where an interval may begin

    def resize(self, rows: int) -> None:
        """Make room for `rows` entities."""
        old = {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        self._allocate(rows)
        for name, array in old.items():
            getattr(self, name)[: len(array)] = array
        self.rhythm.resize(rows)

    def forget(self, rows: Ints) -> None:
        """Forget the entities in `rows`."""
        self.spoken_s[rows] = self._before_s[rows] = np.nan
        for mask in (self.silent, self.gone, self.told):
            mask[rows] = False
        self.rhythm.forget(rows)

    def restart(self) -> None:
        """Forget what time it was: the clock went back."""
        self.unheard = False
        self._now_s = self._returned_s = -np.inf
        self._since_s = np.inf if self._deaf else -np.inf

    def listen(self, hears: bool, now_s: float) -> None:  # noqa: FBT001 -- it is the subject
        """Note whether we hear what is published, at the stream's `now_s`."""
        if not hears:
            self._deaf = True
            self._since_s = np.inf
        elif self._deaf:
            self._deaf = False
            # The data goes on later than it stopped, and nobody knows how much before it does.
            self._since_s = np.inf if self._follows_data else now_s

    def hear(self, rows: Ints, time_s: float) -> None:
        """Note that the entities in `rows` spoke in the step of `time_s`."""
        if not len(rows):
            return
        if self.unheard or (self._since_s == np.inf and not self._deaf):
            if self.unheard:
                self._returned_s = time_s
            self.unheard = False
            self._since_s = time_s
        before_s = self._before_s[rows]
        whole = before_s >= self._since_s
        self.rhythm.learn(rows[whole], time_s - before_s[whole], time_s)
        self.spoken_s[rows] = self._before_s[rows] = time_s
        self.silent[rows] &= self.gone[rows]

    def excuse(self, which: Bools) -> None:
        """Let the intervals of who is in maintenance teach nothing, `(rows,)`."""
        self._before_s[which] = np.nan

    def part(self, rows: Ints) -> None:
        """Take the goodbye of the entities in `rows`: silent from now on, until `welcome`."""
        self.silent[rows] = True
        self.gone[rows] = True
        self._before_s[rows] = np.nan

    def welcome(self, rows: Ints) -> None:
        """Note that the entities in `rows` speak after their goodbye, if they said one."""
        self.gone[rows] = False

    def fall(self, time_s: float) -> tuple[Ints, Doubles]:
        """Find who has been silent for too long at `time_s`, and since when that is too long."""
        self._now_s = time_s
        over = np.flatnonzero(self.overdue())
        if self._auto and len(over):
            self.unheard = self.unheard or self._nobody_speaks()
            patience_s = self.patience_s()[over]
            over = over[(time_s - self._since_s > patience_s) & (not self.unheard)]
        self.silent[over] = True
        return over, self.spoken_s[over] + self.patience_s()[over]

    def patience_s(self) -> Doubles:
        """Return how long each entity may pause."""
        if self._auto:
            return self.rhythm.patience_s(~np.isnan(self.spoken_s))
        return np.full(len(self.silent), self._silence_s)

    def patience_of_half_s(self) -> float:
        """Return how long half of the entities may pause of whom that is known, NaN where of none."""
        patience_s = self.patience_s()[~np.isnan(self.spoken_s)]
        known_s = patience_s[np.isfinite(patience_s)]
        return float(np.median(known_s)) if len(known_s) else np.nan

    def overdue(self) -> Bools:
        """Return who has paused for too long, and is not silent: it speaks to those who do not hear."""
        return np.asarray(~self.silent & (self._now_s - self.spoken_s > self.patience_s()))

    def _nobody_speaks(self) -> bool:
        """Say whether several entities should have spoken since the last word of anybody."""
        quiet_s = self._now_s - np.nanmax(self.spoken_s)
        late = ~self.silent & (self.spoken_s >= self._returned_s) & self.rhythm.late(quiet_s)
        return int(late.sum()) >= WITNESSES

    def turns(self, held: Bools) -> tuple[Ints, Ints]:
        """Return who is silent, and who speaks again, that was not when this was last asked.

        Of whom nobody wants to hear now, `held` `(rows,)`, is not told that it is silent.
        """
        silenced = self.silent & ~self.told & ~held
        speaking = self.told & ~self.silent
        self.told = (self.told | silenced) & ~speaking
        return np.flatnonzero(silenced), np.flatnonzero(speaking)

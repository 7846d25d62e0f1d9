"""Topics that switch maintenance on and off: who is meant, and which of the two a message says."""

from __future__ import annotations

from detector.stream.decode import plain
from detector.stream.decode.labels import clean
from detector.stream.decode.topic import Template
from detector.stream.definition import Maintenance


class Switch:
    """The topic of one maintenance.

    Raises:
        ValueError: The template is malformed; the message says how.
    """

    def __init__(self, maintenance: Maintenance) -> None:
        self.name = maintenance.name
        self.template = Template(maintenance.topic)
        self._on, self._off = (
            frozenset(plain(text.encode()) for text in texts) for texts in (maintenance.on, maintenance.off)
        )

    def labels(self, topic: str) -> dict[str, str] | None:
        """Return the labels of those whom a topic is about, None where it is another topic."""
        labels = self.template.match(topic)
        return labels and {name: clean(text) for name, text in labels.items()}

    def says(self, payload: bytes) -> bool | None:
        """Return whether a payload says on or off, None where it says neither.

        An empty one is off: it takes the copy away that the broker has stored.
        """
        word = plain(payload)
        if word in self._on:
            return True
        return False if word in self._off or not word else None

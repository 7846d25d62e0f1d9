"""Topic templates: which topics a stream reads, and what their levels say.

`telegraf/{device}/{_}/interface` reads the filter `telegraf/+/+/interface` and labels what it gets with
`device`. A level is a literal, `{label}`, `{_}` or `+` (any, ignored), or, as the last one, `#` (any
number of levels, ignored). As in MQTT, a wildcard at the front does not match topics that begin with `$`,
which are the broker's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from detector.stream.decode.labels import TOPIC, clean
from detector.stream.decode.patterns import pattern_groups, pattern_reader
from detector.stream.definition import Definition

TOPIC_BYTES_MAX: Final = 65_535
"""What MQTT can carry: the length of a topic has two bytes."""

_LEVEL = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)\}")


def template_of(definition: Definition) -> Template:
    """Return the topic template of a stream, with the patterns that look into the topic.

    Raises:
        ValueError: The template or a pattern is malformed; the message says how.
    """
    return Template(
        definition.topic,
        [expression for source, expression in definition.layout.patterns if source == TOPIC],
    )


class Template:
    """A topic template.

    Args:
        text: The template.
        expressions: Patterns of whole topics, whose groups are labels too, and go before the levels.

    Raises:
        ValueError: The template or a pattern is malformed; the message says how.
    """

    def __init__(self, text: str, expressions: Sequence[str] = ()) -> None:
        _check_text(text)
        self.text = text
        self._levels = text.split("/")
        self._open_ended = self._levels[-1] == "#"
        if self._open_ended:
            self._levels.pop()
        self._labels: list[tuple[int, str]] = []
        self._literals: list[tuple[int, str]] = []
        for index, level in enumerate(self._levels):
            self._read_level(index, level)
        self._wild_front = not self._literals or self._literals[0][0] != 0
        self._patterns = [(pattern_groups(one), pattern_reader(one)) for one in expressions]
        names = [name for _, name in self._labels]
        if len(set(names)) < len(names):
            raise ValueError(f"topic template {text!r}: a label stands twice")

    def _read_level(self, index: int, level: str) -> None:
        match = _LEVEL.fullmatch(level)
        if match:
            if match[1] != "_":
                self._labels.append((index, match[1]))
        elif level != "+":
            if any(char in level for char in "+#{}"):
                raise ValueError(
                    f"topic template {self.text!r}: level {level!r} is neither literal nor {{label}}"
                )
            self._literals.append((index, level))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that a topic gives, or may give where there is a pattern."""
        levels = (name for _, name in self._labels)
        return tuple(dict.fromkeys([*levels, *(name for names, _ in self._patterns for name in names)]))

    @property
    def filter(self) -> str:
        """The MQTT topic filter to subscribe to."""
        literals = dict(self._literals)
        levels = [literals.get(index, "+") for index in range(len(self._levels))]
        return "/".join([*levels, "#"] if self._open_ended else levels)

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the labels in a topic, or None where the template does not fit."""
        levels = topic.split("/")
        count = len(self._levels)
        if len(levels) != count and not (self._open_ended and len(levels) > count):
            return None
        if self._wild_front and topic.startswith("$"):
            return None
        for index, literal in self._literals:
            if levels[index] != literal:
                return None
        labels = {name: levels[index] for index, name in self._labels}
        for _, groups in self._patterns:
            labels.update(groups(clean(topic)))
        return labels


def _check_text(text: str) -> None:
    if not text or "\0" in text:
        raise ValueError("a topic template is not empty and has no NUL")
    if text.startswith("$share/"):
        raise ValueError(f"topic template {text!r}: a shared subscription would tear windows apart")
    if len(text.encode()) > TOPIC_BYTES_MAX:
        raise ValueError(f"a topic template has at most {TOPIC_BYTES_MAX} bytes")

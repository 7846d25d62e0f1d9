"""Labels from inside of a text, for names that say several things, as in `fra-core-1.example.net`.

The expressions are RE2's, whose time is linear in the text whatever the expression is: with `re`, one
nested repetition and an unlucky name would stop the daemon for hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import re2

PROGRAM_MAX: Final = 1000
"""Instructions of a compiled expression. Time is their number times the length of the text, and five
milliseconds at both limits; an expression that somebody wrote has a hundred."""
TEXT_CHARS_MAX: Final = 1024
"""Of a text that is looked into: four times the longest label, and more than any topic that people name."""
_MEMORY_BYTES_MAX: Final = 1 << 20  # of RE2's tables, for each expression; beyond, it is slower

ReadPattern = Callable[[str], Mapping[str, str]]


def pattern_groups(expression: str) -> tuple[str, ...]:
    """Return the names of an expression's groups, in order.

    Raises:
        ValueError: As of `pattern_reader`.
    """
    return tuple(_compiled(expression).groupindex)


def pattern_reader(expression: str) -> ReadPattern:
    """Return a function of a text that gives the named groups that are not empty.

    The expression has to fit the whole text. Where it does not, and where the text is longer than
    `TEXT_CHARS_MAX`, there are none.

    Raises:
        ValueError: The expression is none, has no named group, or is too large.
    """
    compiled = _compiled(expression)
    groups = tuple(compiled.groupindex)

    def read(text: str) -> Mapping[str, str]:
        match = compiled.fullmatch(text) if len(text) <= TEXT_CHARS_MAX else None
        return {name: value for name in groups if (value := match[name])} if match else {}

    return read


def _compiled(expression: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES_MAX
    options.log_errors = False  # they would go to stderr, beside the log
    try:
        compiled = re2.compile(expression, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(error)
        raise ValueError(f"pattern {expression!r}: {text}") from None
    if not compiled.groupindex:
        raise ValueError(f"pattern {expression!r}: no named group, as in (?P<device>.+)")
    if compiled.programsize > PROGRAM_MAX:
        raise ValueError(f"pattern {expression!r}: more than {PROGRAM_MAX} instructions")
    return compiled

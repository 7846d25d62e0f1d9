"""Stage 1: a message becomes samples, or exactly one drop. One module a payload format."""

FORMATS = {"json": None, "telegraf-json": None, "value": None}

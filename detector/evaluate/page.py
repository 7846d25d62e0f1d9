"""What the pages of reports have in common: one look, light and dark, on paper and on a phone."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

_PLAIN = ' !$"()*+,/:;=?@[]{}|~'
"""What a picture has as it is, within an attribute in single quotes; base64 would make it a third larger."""

STYLE = """\
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 75rem; padding: 0 1rem 2rem }
h1 { font-size: 1.3rem; margin: 1rem 0 .3rem }
h2, summary { font: 600 1.1rem system-ui, sans-serif; margin: 2rem 0 .5rem }
p { margin: .5rem 0 } table { border-collapse: collapse; width: 100% }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #8884 }
tr > :first-child { font-weight: 600 }
.num { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap }
.legend { background: Canvas; padding: .4rem 0; position: sticky; top: 0 }
.legend span { margin-right: 1.2rem }
.legend i { display: inline-block; height: .7rem; margin-right: .4rem; width: 1.4rem }
figure { break-inside: avoid; margin: 1.4rem 0 } figcaption { overflow-wrap: anywhere }
img { background: #fff; display: block; height: auto; margin-top: .3rem; width: 100% }"""


def image(svg: str) -> str:
    """Return a picture as an element of a page that stands alone."""
    return f"<img alt='' src='data:image/svg+xml,{quote(svg, safe=_PLAIN)}'>"


def utc(time_s: float) -> str:
    """Return a time as people read it."""
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"

"""The verbs and the exit codes.

Exit codes: 0 ok, 1 failed while running, 2 usage, 78 settings or bundle wrong. Results go to stdout, talk
goes to stderr. What a verb needs is imported by the verb, so that `--help` and `check` start in a fraction
of a second.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from detector import __version__
from detector.arguments import FAILED, WRONG_CONFIG, take_flags
from detector.verbs import bundles, check, demo, learn, live, publish

VERBS = (
    live.run,
    live.record,
    learn.train,
    learn.score,
    learn.evaluate,
    publish.replay,
    publish.simulate,
    bundles.bundle,
    check.check,
    demo.demo,
    check.health,
)
"""In the order in which `--help` lists them; each adds its grammar to the parser."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code."""
    # TensorFlow tells of its CPU features on every start; its errors still show.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = _parser()
    flags, words = take_flags(sys.argv[1:] if arguments is None else arguments)
    asked = parser.parse_args(words)
    if flags and not asked.takes_settings:
        parser.error(f"no flag of this verb: --{next(iter(flags))}")
    asked.flags = flags
    try:
        return int(asked.verb(asked))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read stdout has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        print(f"detector: {error}", file=sys.stderr)
        return code


def _exit_code(error: Exception) -> int | None:
    """Return what an error that an operator can mend exits with; None for a bug."""
    name = type(error).__name__
    if name in {"SettingsError", "BundleError"}:
        return WRONG_CONFIG
    return FAILED if isinstance(error, OSError) or name in {"DatasetError", "ReplayError"} else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="detector", description="Anomaly detection on live network telemetry.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"detector {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for add in VERBS:
        add(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())

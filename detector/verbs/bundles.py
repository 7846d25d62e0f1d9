"""bundle: what is in one, what differs, is it whole, and is it signed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detector.arguments import OK, WRONG_CONFIG, Verbs, add_verb


def bundle(verbs: Verbs) -> None:
    parser = add_verb(verbs, "bundle", "Show, compare, verify and sign bundles.", _shown)
    parts = parser.add_subparsers(title="verbs of bundles", required=True, metavar="VERB")
    show = _add(parts, "show", "What is in the champion of a bundle, or in a version.", _shown)
    show.add_argument("--json", action="store_true", help="for programs")
    show.add_argument("--report", type=Path, metavar="REPORT.html", help="write the page of its training")
    diff = _add(
        parts, "diff", "What differs between two versions, or the champions of two bundles.", _compared
    )
    diff.add_argument("other", type=Path, metavar="BUNDLE", help="the newer one")
    diff.add_argument("--json", action="store_true", help="for programs")
    verify = _add(parts, "verify", "Load every version: files, manifest, calibration, network.", _verified)
    verify.add_argument("--public-key", type=Path, metavar="FILE", help="PEM; each has to be signed by it")
    sign = _add(parts, "sign", "Sign the champion of a bundle, or a version.", _signed)
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="a private Ed25519 key, PEM")


def _add(parts: Verbs, name: str, what: str, do: object) -> argparse.ArgumentParser:
    parser = parts.add_parser(name, help=what, description=what, allow_abbrev=False)
    parser.set_defaults(verb=do)
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle, or one version of it")
    return parser


def _shown(asked: argparse.Namespace) -> int:
    from detector import bundles  # noqa: PLC0415

    if asked.report:
        return _reported(asked)
    told = bundles.shown(asked.bundle)
    print(json.dumps(told, indent=1) if asked.json else "\n".join(bundles.lines(told)))
    return OK


def _reported(asked: argparse.Namespace) -> int:
    from detector.model.bundle import BundleError, load  # noqa: PLC0415
    from detector.train import report  # noqa: PLC0415 -- matplotlib

    loaded = load(asked.bundle)
    try:
        asked.report.write_text(report.page(loaded.manifest), "utf-8")
    except ValueError as error:
        raise BundleError(f"{loaded.path}: {error}") from None
    return OK


def _compared(asked: argparse.Namespace) -> int:
    from detector import bundles  # noqa: PLC0415
    from detector.model.bundle import load  # noqa: PLC0415

    lines = bundles.compared(load(asked.bundle), load(asked.other))
    print(json.dumps(lines) if asked.json else "\n".join(lines) or "no difference")
    return OK


def _verified(asked: argparse.Namespace) -> int:
    from detector import bundles  # noqa: PLC0415

    good = True
    for version, problem in bundles.verified(asked.bundle, asked.public_key):
        print(f"{version} ok" if not problem else f"{version} {problem}", flush=True)
        good &= not problem
    return OK if good else WRONG_CONFIG


def _signed(asked: argparse.Namespace) -> int:
    from detector.model import signature  # noqa: PLC0415
    from detector.model.bundle import MANIFEST, BundleError, load  # noqa: PLC0415

    loaded = load(asked.bundle)
    try:
        signature.sign(loaded.path / MANIFEST, asked.key)
    except ValueError as error:
        raise BundleError(str(error)) from None
    print(f"{loaded.path} signed", file=sys.stderr)
    return OK

"""Signatures of bundles: Ed25519 over the manifest, which has the sha256 of every other file.

Whoever can write a bundle can write its checksums; a signature says that somebody did who has the key. It
stands beside the manifest, so a version is signed after it was written:

    openssl genpkey -algorithm ed25519 -out key.pem && openssl pkey -in key.pem -pubout -out key.pub
    detector bundle sign BUNDLE --key key.pem
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE = "manifest.sig"
PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
SIGNATURE_BYTES = 64


def sign(manifest: Path, key_file: Path) -> None:
    """Write the signature of a manifest beside it.

    Raises:
        OSError: The key cannot be read, or the signature not be written.
        ValueError: It is no private Ed25519 key in PEM, or one with a password.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 -- 0.1 s
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 -- same

    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key_file}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(  # noqa: TRY004 -- the operator's file is wrong, not our type
            f"{key_file}: not a private Ed25519 key"
        )
    draft = manifest.with_name(f".{SIGNATURE}")
    draft.write_bytes(key.sign(manifest.read_bytes()))
    draft.replace(manifest.with_name(SIGNATURE))


def check(manifest: Path, keys_file: Path) -> None:
    """See that a manifest is signed by one of the public keys in a PEM file.

    Raises:
        ValueError: It is not; the message says why.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- 0.1 s

    keys = _public_keys(keys_file)
    try:
        signature = manifest.with_name(SIGNATURE).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"not signed: no {SIGNATURE}") from None
    except OSError as error:
        raise ValueError(f"{SIGNATURE}: {error.strerror}") from None
    text = manifest.read_bytes()
    for key in keys:
        try:
            key.verify(signature[: SIGNATURE_BYTES + 1], text)
        except InvalidSignature:
            continue
        return
    raise ValueError(f"{SIGNATURE} is of no key in {keys_file}")


def _public_keys(file: Path) -> list[Ed25519PublicKey]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- 0.1 s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 -- same
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 -- same

    try:
        keys = [load_pem_public_key(pem) for pem in PEM.findall(file.read_bytes())]
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{file}: {error}") from None
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found:
        raise ValueError(f"{file}: no public Ed25519 key in PEM")
    return found

"""Certificates for a test: an own CA, and whatever it signs, good, bad or from another time."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
BROKER_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """An own CA, which signs what it is asked to.

    Args:
        directory: Where its files go.
        name: Of the CA; its file is `NAME.pem`.
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        builder = _builder(self._subject, self._key.public_key(), now - DAY, now + 365 * DAY)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            builder.issuer_name(self._subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def broker(self, name: str = "broker", names: tuple[str, ...] = BROKER_NAMES, **more: object) -> Pair:
        """Sign for a server that has these names."""
        return self.sign(name, names, ExtendedKeyUsageOID.SERVER_AUTH, **more)

    def client(self, name: str = "client", **more: object) -> Pair:
        """Sign for a client."""
        return self.sign(name, (), ExtendedKeyUsageOID.CLIENT_AUTH, **more)

    def sign(
        self,
        name: str,
        names: tuple[str, ...],
        purpose: x509.ObjectIdentifier,
        begin: timedelta = -DAY,
        end: timedelta = 300 * DAY,
        password: str | None = None,
    ) -> Pair:
        """Write `NAME.pem` and `NAME.key`, in place of those that are there.

        Args:
            name: Of the files, and the common name.
            names: Alternative names, also addresses.
            purpose: What it may be used for.
            begin: From when it is good, counted from now.
            end: Until when.
            password: What the key is encrypted with.
        """
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, key.public_key(), now + begin, now + end)
        builder = builder.issuer_name(self._subject)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(map(_alternative, names)), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.touch(0o600)
        pair.key.write_bytes(_pem(key, password))
        return pair


def tls_options(pair: Pair, clients: Path | None = None) -> tuple[str, ...]:
    """Return the lines of mosquitto.conf for TLS; with the CA of clients, they must have a certificate."""
    lines = (f"certfile {pair.certificate}", f"keyfile {pair.key}")
    return lines if clients is None else (*lines, f"cafile {clients}", "require_certificate true")


def only_tls_1_2(directory: Path) -> dict[str, str]:
    """Return the variables that keep a program with OpenSSL from TLS 1.3; mosquitto itself has no option."""
    file = directory / "openssl.cnf"
    lines = ["openssl_conf=a", "[a]", "ssl_conf=b", "[b]", "system_default=c", "[c]", "MaxProtocol=TLSv1.2"]
    file.write_text("\n".join(lines) + "\n")
    return {"OPENSSL_CONF": str(file)}


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey, password: str | None) -> bytes:
    encryption = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password.encode())
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)

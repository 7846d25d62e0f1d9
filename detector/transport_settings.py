"""What an operator says of the way to the broker: TLS, and WebSocket beneath MQTT; a part of `[mqtt]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from detector.message_settings import Part

ALPN_BYTES_MAX = 255
"""What fits into the handshake, RFC 7301."""
WEBSOCKET_PATH = r"^/[!-~]*$"
"""A path, and perhaps a query, in what a line of HTTP can carry."""


_NO_ENHANCED_AUTH = (
    "enhanced authentication of MQTT 5 is not supported;"
    " use username and password_file, or a client certificate"
)
_ALWAYS_CHECKED = (
    "there is no such switch, the broker's certificate is always checked;"
    " say in tls_ca_file who signed it, and in tls_server_name which name it has"
)
LEFT_OUT = {
    "mqtt.auth_method": _NO_ENHANCED_AUTH,
    "mqtt.auth_data": _NO_ENHANCED_AUTH,
    "mqtt.tls_insecure": _ALWAYS_CHECKED,
    "mqtt.insecure_skip_verify": _ALWAYS_CHECKED,
}
"""Keys that people look for, and why there are none."""


class TransportSettings(Part):
    """TLS and WebSocket. That the broker's certificate and its name are checked is no setting.

    Each secret has a twin, a file that holds it.
    """

    tls: bool = False
    tls_ca_file: Path | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_key_password: SecretStr | None = None
    tls_key_password_file: Path | None = None
    tls_server_name: str = ""
    tls_alpn: str = ""
    tls_version_min: Literal["1.2", "1.3"] = "1.2"
    transport: Literal["tcp", "websockets"] = "tcp"
    websocket_path: str = Field("/mqtt", pattern=WEBSOCKET_PATH, repr=False)
    websocket_path_file: Path | None = None
    websocket_headers: SecretStr | None = None
    websocket_headers_file: Path | None = None

    @field_validator("tls_server_name")
    @classmethod
    def _host_name(cls, value: str) -> str:
        try:
            value.encode("idna")
        except UnicodeError:
            raise ValueError(f"{value!r} is not the name of a host") from None
        if value.startswith(".") or "/" in value or not value.isprintable() or " " in value:
            raise ValueError(f"{value!r} is not the name of a host")
        return value

    @field_validator("tls_alpn")
    @classmethod
    def _protocol_names(cls, value: str) -> str:
        for name in value.split(",") if value else ():
            if not 0 < len(name) <= ALPN_BYTES_MAX or not name.isascii() or not name.isprintable():
                raise ValueError(f"{name!r} is not the name of a protocol")
        return value

    @model_validator(mode="after")
    def _secrets_once(self) -> Self:
        for name, info in type(self).model_fields.items():
            twin = f"{name}_file"
            if getattr(self, name) != info.default and getattr(self, twin, None) is not None:
                raise ValueError(f"give {name} or {twin}, not both")
        return self

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> Self:
        """Refuse what would not be used: whoever gives a CA believes that there is TLS."""
        self._need("tls_", met=self.tls, needed="tls = true")
        self._need("tls_key_", met=self.tls_certificate_file is not None, needed="tls_certificate_file")
        self._need("websocket_", met=self.transport == "websockets", needed='transport = "websockets"')
        return self

    def _need(self, prefix: str, *, met: bool, needed: str) -> None:
        for name, info in TransportSettings.model_fields.items():
            if name.startswith(prefix) and not met and getattr(self, name) != info.default:
                raise ValueError(f"{name} needs {needed}")

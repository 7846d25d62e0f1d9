"""What an operator says of the broker and how to talk to it: the table `[mqtt]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from detector.addresses import address, host
from detector.transport_settings import TransportSettings


class MqttSettings(TransportSettings):
    """The broker and how to talk to it."""

    host: str = Field("localhost", min_length=1)
    port: int = Field(1883, ge=1, le=65535)
    failover: Annotated[tuple[str, ...], NoDecode] = ()
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    client_id: str = ""
    username: str = ""
    password: SecretStr | None = None
    password_file: Path | None = None
    keepalive_s: int = Field(30, ge=5, le=3600)
    qos: Literal[0, 1, 2] = 0
    persistent: bool = False
    session_s: int = Field(3600, ge=1, le=30 * 86400)
    receive_max: int = Field(1000, ge=1, le=65535)
    canary: bool = True
    reconnect_max_s: float = Field(30.0, ge=1, le=600)
    payload_bytes_max: int = Field(1 << 20, ge=64, le=256 << 20)
    inbox_max: int = Field(100_000, ge=100, le=10_000_000)
    inbox_bytes_max: int = Field(256 << 20, ge=1 << 20, le=1 << 40)

    @field_validator("host")
    @classmethod
    def _host_alone(cls, value: str) -> str:
        return host(value)

    @field_validator("qos", mode="before")
    @classmethod
    def _number_from_text(cls, value: object) -> object:
        # Flags and the environment are text, and a Literal of numbers takes no text.
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @model_validator(mode="after")
    def _password_of_somebody(self) -> Self:
        if (self.password or self.password_file) and not self.username:
            raise ValueError("a password needs a username")
        return self

    @field_validator("failover", mode="before")
    @classmethod
    def _list_from_text(cls, value: object) -> object:
        return (
            tuple(one.strip() for one in value.split(",") if one.strip()) if isinstance(value, str) else value
        )

    @field_validator("failover")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for number, text in enumerate(value, 1):
            try:
                address(text)
            except ValueError as error:
                raise ValueError(f"number {number} is not host:port: {error}") from None
        return value

    @model_validator(mode="after")
    def _session_can_be_had(self) -> Self:
        if self.persistent and not (self.client_id and self.qos):
            raise ValueError("persistent needs a client_id and a qos of 1 or 2")
        newer = [key for key in ("session_s", "receive_max") if self.given(key)]
        if newer and self.protocol != "5":
            raise ValueError(f'{newer[0]} needs protocol = "5"')
        return self

    @property
    def brokers(self) -> list[tuple[str, int]]:
        """Host and port of every broker, in the order in which they are tried."""
        return [(self.host, self.port), *map(address, self.failover)]


SECRETS = frozenset({"password", "tls_key_password", "websocket_headers"})
"""Settings of `[mqtt]` that nobody else may see; `client_id` and `username` are none."""
SECRET_FILES = (*sorted(f"{key}_file" for key in SECRETS), "tls_key_file", "websocket_path_file")

"""A broker for the demo: mosquitto where it is installed, else one inside this process."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Final

HOST: Final = "127.0.0.1"
READY_S: Final = 10.0
STOP_S: Final = 5.0
MOSQUITTO_CONF: Final = """\
listener {port} {host}
allow_anonymous true
persistence false
# By default mosquitto stops at 20 unacknowledged messages a client and then queues a thousand.
max_inflight_messages 1000
max_queued_messages 100000
log_type error
log_type warning
"""


def demo_broker(port: int = 0) -> AbstractContextManager[int]:
    """Return a context manager of a running broker on this machine; it gives the port.

    Args:
        port: Where it listens; 0 picks a free port.

    Raises:
        RuntimeError: There is neither mosquitto nor amqtt.
    """
    if find_mosquitto() is not None:
        return mosquitto_broker(port)
    if find_spec("amqtt") is not None:
        return embedded_broker(port)
    raise RuntimeError("no MQTT broker here: install mosquitto, or `pip install detector[demo]`")


def find_mosquitto() -> str | None:
    """Return the path of mosquitto; Debian installs it where users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def mosquitto_broker(port: int = 0) -> Iterator[int]:
    """Run mosquitto, anonymous and on this machine only; give the port.

    Raises:
        RuntimeError: It is not installed, the port is taken, or it ends; the message has what it said.
    """
    program = find_mosquitto()
    if program is None:
        raise RuntimeError("mosquitto is not installed")
    port = _free_port(port)
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "mosquitto.conf")
        as_root = "user root\n" if os.geteuid() == 0 else ""  # else it becomes a user that cannot read it
        config.write_text(MOSQUITTO_CONF.format(port=port, host=HOST) + as_root, "utf-8")
        log_path = Path(directory, "mosquitto.log")
        with log_path.open("wb") as log:
            process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)  # noqa: S603
        try:
            _wait_for(port, process, log_path)
            yield port
        finally:
            _end(process)


@contextmanager
def embedded_broker(port: int = 0) -> Iterator[int]:
    """Run amqtt (MQTT 3.1.1) on a thread of this process, anonymous and on this machine only; give the port.

    Raises:
        RuntimeError: The port is taken, or the broker cannot start.
        ModuleNotFoundError: amqtt is not installed.
    """
    port = _free_port(port)
    started: Future[Callable[[], object]] = Future()
    thread = Thread(target=lambda: asyncio.run(_serve(port, started)), name="broker", daemon=True)
    thread.start()
    stop = started.result(READY_S)
    try:
        yield port
    finally:
        stop()
        thread.join(STOP_S)


async def _serve(port: int, started: Future[Callable[[], object]]) -> None:
    """Run amqtt until what `started` gives is called, from whatever thread."""
    try:
        from amqtt.broker import Broker  # noqa: PLC0415  # for the demo alone, and slow to import
        from amqtt.errors import BrokerError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        started.set_exception(error)
        return
    # It logs every connection, and clients that leave without a goodbye as errors.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listener = {"type": "tcp", "bind": f"{HOST}:{port}"}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    try:
        await broker.start()
    except BrokerError as error:
        started.set_exception(RuntimeError(f"the broker cannot start on port {port}: {error}"))
        return
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    started.set_result(lambda: loop.call_soon_threadsafe(stopping.set))
    await stopping.wait()
    await broker.shutdown()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"mosquitto does not run on port {port}: {log.read_text('utf-8', 'replace').strip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port(port: int) -> int:
    """Return the port, or for 0 any, that nobody listens on.

    Raises:
        RuntimeError: Somebody does. A broker that is started there would end, but not before its readiness
            had been taken from somebody else's answer.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise RuntimeError(f"port {port} cannot be listened on: {error.strerror}") from None
        return int(probe.getsockname()[1])

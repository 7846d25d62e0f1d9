"""A real collectd for a test: it publishes this machine's interfaces."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.programs import program

TYPES_DB = Path("/usr/share/collectd/types.db")
STOP_S = 10.0

_CONFIG = """
Hostname "{host}"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/collectd.pid"
TypesDB "{types_db}"
Interval {interval_s}

LoadPlugin logfile
<Plugin logfile>
  File "stderr"
</Plugin>
LoadPlugin interface
LoadPlugin mqtt
<Plugin mqtt>
  <Publish "test">
    Host "127.0.0.1"
    Port {port}
    ClientId "collectd"
    StoreRates false
  </Publish>
</Plugin>
"""


@contextmanager
def running_collectd(directory: Path, port: int, host: str, interval_s: float) -> Iterator[Path]:
    """A collectd that publishes the counters of all interfaces to a broker; it gives its log.

    Args:
        directory: An empty one, for its files.
        port: Of the broker.
        host: As which it publishes.
        interval_s: How often.
    """
    config, log_path = directory / "collectd.conf", directory / "collectd.log"
    settings = {"directory": directory, "types_db": TYPES_DB, "port": port, "host": host}
    config.write_text(_CONFIG.format(interval_s=interval_s, **settings))
    with log_path.open("wb") as log:
        process = subprocess.Popen([program("collectd"), "-f", "-C", config], stdout=log, stderr=log)
    try:
        yield log_path
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

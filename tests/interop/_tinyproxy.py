"""tinyproxy, Debian's, in a network namespace: the one way out of an office."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from interop._loopback import LIMIT, find_tool
from interop._netns import Namespaces

PORT = 3128
USER, PASSWORD = "alice", "correct_horse"
_PAUSE = 0.02  # seconds between two looks at whether it is there

_SETTINGS = """\
Port {port}
Timeout 600
LogLevel Info
LogFile "{log}"
MaxClients 20
BasicAuth {user} {password}
ConnectPort 443
"""


def start_tinyproxy(spaces: Namespaces, name: str, folder: Path, names: Mapping[str, str]) -> Path:
    """Run it until the namespaces end, and wait until it listens; returns its log.

    Args:
        spaces: where.
        name: of the namespace.
        folder: for its files.
        names: what only it can look up, with addresses.
    """
    log, settings, hosts = folder / "log", folder / "settings", folder / "hosts"
    log.touch()
    settings.write_text(_SETTINGS.format(port=PORT, log=log, user=USER, password=PASSWORD))
    hosts.write_text("".join(f"{address} {one}\n" for one, address in names.items()))
    # `ip netns exec` has given it a view of the file system of its own.
    program = f"mount --bind {hosts} /etc/hosts && exec {find_tool('tinyproxy', 'tinyproxy')} -d -c {settings}"
    process = spaces.start(name, ["sh", "-c", program])
    give_up = time.monotonic() + LIMIT
    while spaces.start(name, ["sh", "-c", f"ss -Hltn 'sport = :{PORT}' | grep -q ."]).wait():
        if process.poll() is not None or time.monotonic() > give_up:
            raise AssertionError(f"tinyproxy is not there:\n{log.read_text()}{process.communicate()}")
        time.sleep(_PAUSE)
    return log

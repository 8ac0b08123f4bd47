"""The service manager's protocol."""

import os

import pytest

from sansice_cli.serve._systemd import watchdog_interval


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_signs_of_life_are_wanted_twice_in_the_time_that_the_manager_waits(monkeypatch, environ, interval):
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert watchdog_interval() == interval


def test_a_server_with_a_watchdog_gives_signs_of_life(serving, manager):
    path, message = manager
    with serving("--listen", "udp:127.0.0.1:0", env={**os.environ, "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}):
        assert message()[0] == "READY=1"
        assert [message(), message()] == [["WATCHDOG=1"]] * 2

"""Which interfaces lead anywhere, by their flags; and that Linux tells them."""

import fcntl
import socket

import pytest

from sansice.sockets import _links
from sansice.sockets._links import CARRIER_GRACE, NOTHING_LOST, LinkState, judge, read_flags

UP, BROADCAST, RUNNING = 0x01, 0x02, 0x40


def state_of(flags, lost=NOTHING_LOST, now=100.0):
    return judge({"eth0": flags}, lost, now)[0]["eth0"]


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        (UP | RUNNING, LinkState.WORKING),
        (UP | BROADCAST | RUNNING, LinkState.WORKING),
        (UP, LinkState.FALTERING),
        (BROADCAST, LinkState.DOWN),
        (RUNNING, LinkState.DOWN),
        (0, LinkState.DOWN),
    ],
)
def test_an_interface_works_that_is_switched_on_and_runs(flags, state):
    assert state_of(flags) is state


def test_a_carrier_that_is_missed_for_longer_than_the_grace_is_gone():
    states, lost = judge({"eth0": UP, "eth1": UP | RUNNING}, NOTHING_LOST, 10.0)
    assert (states["eth0"], dict(lost)) == (LinkState.FALTERING, {"eth0": 10.0})
    states, lost = judge({"eth0": UP, "eth1": UP}, lost, 10.0 + CARRIER_GRACE - 0.01)
    assert set(states.values()) == {LinkState.FALTERING}
    states, lost = judge({"eth0": UP, "eth1": UP}, lost, 10.0 + CARRIER_GRACE)
    assert (states["eth0"], states["eth1"]) == (LinkState.DOWN, LinkState.FALTERING)
    assert dict(lost) == {"eth0": 10.0, "eth1": 10.0 + CARRIER_GRACE - 0.01}


def test_a_carrier_that_was_back_meanwhile_has_its_grace_anew():
    _, lost = judge({"eth0": UP}, NOTHING_LOST, 10.0)
    states, lost = judge({"eth0": UP | RUNNING}, lost, 20.0)
    assert (states["eth0"], dict(lost)) == (LinkState.WORKING, {})
    assert judge({"eth0": UP}, lost, 30.0)[0]["eth0"] is LinkState.FALTERING


def test_an_interface_that_is_switched_off_has_no_grace():
    _, lost = judge({"eth0": UP}, NOTHING_LOST, 10.0)
    states, lost = judge({"eth0": 0}, lost, 10.1)
    assert (states["eth0"], dict(lost)) == (LinkState.DOWN, {})


def test_linux_tells_the_flags_of_its_interfaces_and_nothing_of_others():
    flags = read_flags(["lo", "no-such", "a name that no interface can have"])
    assert list(flags) == ["lo"] and flags["lo"] & UP and flags["lo"] & RUNNING


def test_elsewhere_nothing_is_told(monkeypatch):
    monkeypatch.setattr(_links.sys, "platform", "darwin")
    assert read_flags(["lo"]) == {}


def test_where_no_socket_is_to_be_had_nothing_is_told(monkeypatch):
    def refuse(*arguments):
        raise OSError

    monkeypatch.setattr(_links, "socket", refuse)
    assert read_flags(["lo"]) == {}


def test_the_question_is_that_of_the_system_headers(monkeypatch):
    asked = []
    monkeypatch.setattr(fcntl, "ioctl", lambda sock, number, text: asked.append((sock.family, number, text)) or text)
    assert read_flags(["eth0"]) == {"eth0": 0}
    assert asked == [(socket.AF_INET, 0x8913, b"eth0" + bytes(36))]

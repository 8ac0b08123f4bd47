"""One mDNS for all agents of a process: what it finds, on loopback taken for a link, and when its thread ends."""

import os
import threading

import pytest

from sansice import AddressRecord, QueryId, RecordKind, Resolve, ResolveError, SocketId, Transport
from sansice.ice import HostAddress, MdnsAgent, MdnsConfig
from sansice.machine import Address, CloseMode, OpenSocket
from sansice.sockets import LookUps, _interfaces, _link_names, look_up
from sansice.sockets._link_names import LinkNames, find_on_link

HANG = 20  # seconds after which what happens in another thread is taken for lost
NAME = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
HOST = "192.0.2.7"


class Told:
    """What was found, and in which thread."""

    def __init__(self):
        self.answers = []
        self._arrived = threading.Semaphore(0)

    def __call__(self, *answer):
        self.answers.append((*answer, threading.current_thread().name))
        self._arrived.release()

    def wait(self, times=1):
        for _ in range(times):
            assert self._arrived.acquire(timeout=HANG)
        return self.answers


@pytest.fixture
def brisk(monkeypatch):
    """Names are given up in a moment."""
    monkeypatch.setattr("sansice.ice.MdnsAgent", lambda: MdnsAgent(config=MdnsConfig(query_timeout=0.2)))


@pytest.fixture
def names(brisk):
    """A machine that has no link."""
    made = LinkNames(list)
    yield made
    made.close()


@pytest.fixture
def shared(brisk, monkeypatch):
    """What the process has, on a machine without interfaces."""
    monkeypatch.setattr(_link_names, "_shared", {})
    monkeypatch.setattr(_interfaces, "_list", tuple)
    monkeypatch.setattr(_interfaces, "_listing", _interfaces._Listing())
    yield _link_names._shared
    for made in _link_names._shared.values():
        made.close()


def test_what_nobody_has_is_not_found(names):
    told = Told()
    assert names.find(NAME, told) and names.find("printer.local", told)
    assert told.wait(2) == [(None, "sansice mDNS")] * 2


def test_a_name_of_a_session_here_is_found(names):
    name = names._driver.call(names._machine.register, HOST)
    told = Told()
    names.find(name, told)
    assert told.wait() == [(HOST, "sansice mDNS")]


def test_closing_ends_the_thread_and_what_is_looked_for(monkeypatch):
    names, told = LinkNames(list), Told()
    names.find(NAME, told)
    names.close()
    names.close()
    assert told.wait() == [(None, "sansice mDNS")]
    assert names.ended and not names.find(NAME, told) and not names._thread.is_alive()


def test_the_thread_ends_when_nothing_is_looked_for(brisk, monkeypatch):
    monkeypatch.setattr(_link_names, "IDLE", 0.05)
    names = LinkNames(list)
    names._thread.join(HANG)
    assert names.ended and not names.find(NAME, print)


def test_interfaces_are_looked_at_again_and_what_cannot_be_listed_stays(monkeypatch):
    monkeypatch.setattr(_link_names, "REFRESH", 0.01)
    seen, again = [], threading.Event()

    def hosts():
        seen.append(None)
        if len(seen) > 3:
            again.set()
        if len(seen) > 2:
            raise OSError("no list")
        return [HostAddress("127.0.0.1", "lo")]

    names = LinkNames(hosts)
    assert again.wait(HANG)
    names.close()


def test_a_link_that_cannot_be_opened_is_none():
    names = LinkNames(lambda: [HostAddress(HOST, "nowhere0")])
    assert names._machine.addresses == ()
    names.close()


def test_what_is_said_on_a_link_leaves_by_its_socket_which_is_closed_in_the_end(brisk):
    names, told = LinkNames(lambda: [HostAddress("127.0.0.1", "lo")]), Told()
    assert names._machine.addresses == ()  # loopback is no link
    names.open_socket(OpenSocket(SocketId(9), Transport.UDP, Address("127.0.0.1", 0)))
    names.send_datagram(SocketId(9), Address("127.0.0.1", 9), b"x")
    names.close_socket(SocketId(9), CloseMode.FLUSH)
    names.send_datagram(SocketId(9), Address("127.0.0.1", 9), b"x")
    assert dict(names._sockets.lost) == {"socket closed": 1} and told.answers == []
    names.close()


def test_all_of_a_process_share_one(shared):
    told = Told()
    for _ in range(3):
        find_on_link(NAME, told)
    told.wait(3)
    assert list(shared) == [os.getpid()]


def test_one_that_has_ended_is_replaced(shared, monkeypatch):
    told = Told()
    find_on_link(NAME, told)
    first = shared[os.getpid()]
    first.close()
    find_on_link(NAME, told)
    assert shared[os.getpid()] is not first
    told.wait(2)


def test_one_that_ends_meanwhile_is_replaced(shared, monkeypatch):
    find = LinkNames.find
    refusals = iter([False])
    monkeypatch.setattr(LinkNames, "find", lambda self, name, found: next(refusals, True) and find(self, name, found))
    told = Told()
    find_on_link(NAME, told)
    told.wait()


def found_here(shared, host):
    """A name that is known to the machine of this process."""
    find_on_link(NAME, lambda _: None)
    made = shared[os.getpid()]
    return made._driver.call(made._machine.register, host)


@pytest.mark.parametrize(
    ("host", "kind", "is_answer"),
    [
        (HOST, RecordKind.A, True),
        (HOST, RecordKind.AAAA, False),
        ("2001:db8::7", RecordKind.AAAA, True),
        ("2001:db8::7", RecordKind.A, False),
    ],
)
def test_a_name_that_conceals_is_looked_up_on_the_link(shared, host, kind, is_answer):
    action = Resolve(QueryId(1), found_here(shared, host), kind)
    expected = (AddressRecord(host),) if is_answer else ResolveError.NOT_FOUND
    assert look_up(action) == expected
    told = Told()
    LookUps(told).start(action)
    assert told.wait() == [(action, expected, "sansice mDNS")]


def test_a_look_up_that_takes_too_long_is_a_timeout(shared):
    assert look_up(Resolve(QueryId(1), NAME, RecordKind.A), lifetime=0.0) is ResolveError.TIMEOUT


def test_a_closed_look_up_tells_nothing_of_names_on_the_link(shared):
    told, other = Told(), Told()
    look_ups = LookUps(told)
    look_ups.start(Resolve(QueryId(1), NAME, RecordKind.A))
    look_ups.close()
    find_on_link(NAME, other)
    other.wait()
    assert told.answers == []


def test_without_a_list_of_interfaces_looking_up_fails(shared, monkeypatch):
    def unknown():
        raise ModuleNotFoundError("ifaddr")

    monkeypatch.setattr(_interfaces, "_list", unknown)
    assert look_up(Resolve(QueryId(1), NAME, RecordKind.A)) is ResolveError.FAILURE


def test_other_names_under_local_are_the_systems(shared):
    assert isinstance(look_up(Resolve(QueryId(1), "no-such-host-at-all.local", RecordKind.A)), ResolveError)
    assert not shared

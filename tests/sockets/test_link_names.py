"""One mDNS for all agents of a process: what it finds, on loopback taken for a link, and when its thread ends."""

import math
import os
import threading

import pytest

from sansice import AddressRecord, QueryId, RecordKind, Resolve, ResolveError, SocketId, Transport
from sansice.ice import HostAddress, MdnsAgent, MdnsConfig
from sansice.machine import Address, CloseMode, OpenSocket
from sansice.sockets import LookUps, Sockets, _interfaces, _link_names, look_up
from sansice.sockets._link_names import LinkNames, find_on_link, publish_on_link, withdraw_from_link

HANG = 20  # seconds after which what happens in another thread is taken for lost
NAME = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
OTHER_NAME = "1b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
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
    monkeypatch.setattr(_link_names, "REFRESH", 3600.0)  # nothing happens because of a look at the interfaces


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


def test_interfaces_are_looked_at_at_the_start_and_with_a_name_that_may_be_of_a_newer_address(brisk):
    looks, told = [], Told()
    names = LinkNames(lambda: looks.append(None) or [])
    for _ in range(2):
        names.find(NAME, told)
    told.wait(2)
    assert len(looks) == 1
    names.publish(NAME, HOST)
    for _ in range(3):
        names.find(NAME, told)
        told.wait()
    assert len(looks) == 2 and names._waiting == {}
    names.close()


def test_the_thread_lives_on_for_a_while_after_whatever_it_was_asked_for(names, monkeypatch):
    for ask in (lambda: names.find(NAME, Told()), lambda: names.withdraw(OTHER_NAME)):
        before = names._idle
        monkeypatch.setattr(_link_names, "IDLE", _link_names.IDLE + 1000.0)
        ask()
        assert names._idle > before + 900.0


def test_who_asks_more_often_than_the_thread_can_hear_is_heard_all_the_same(names):
    told = Told()
    with names._lock:
        for _ in range(70_000):  # more than a pipe has room for
            names._stir()
    names.find(NAME, told)
    assert told.wait() == [(None, "sansice mDNS")]


def test_a_name_of_a_session_here_is_found(names):
    name = names._driver.call(names._machine.register, HOST)
    told = Told()
    names.find(name, told)
    assert told.wait() == [(HOST, "sansice mDNS")]


def test_closing_ends_the_thread_and_what_is_looked_for(monkeypatch):
    names, told = LinkNames(list), Told()
    names.find(NAME, told)
    pipe = (names._woken, names._wake)
    names.close()
    names.close()
    for descriptor in pipe:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
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


def test_a_published_name_is_found_until_it_is_withdrawn(names):
    assert names.publish(NAME, HOST)
    told = Told()
    names.find(NAME, told)
    assert told.wait()[0][0] == HOST
    names.withdraw(NAME)
    names.withdraw(NAME)
    names.find(NAME, told)
    assert told.wait()[1][0] is None


def test_a_thread_with_names_to_answer_for_does_not_end(brisk, monkeypatch):
    monkeypatch.setattr(_link_names, "IDLE", 0.0)
    names = LinkNames(list)
    names._thread.join(HANG)
    assert names.ended and not names.publish(NAME, HOST)
    names.withdraw(NAME)
    monkeypatch.setattr(_link_names, "IDLE", 30.0)
    other = LinkNames(list)
    assert other.publish(NAME, HOST)
    assert other._idle_until == math.inf
    other.withdraw(NAME)
    assert other._idle_until < math.inf
    other.publish(NAME, HOST)
    other.close()
    assert other.ended and not other._thread.is_alive()


def test_a_name_beyond_those_that_are_answered_for_is_nobodys(monkeypatch):
    monkeypatch.setattr("sansice.ice.MdnsAgent", lambda: MdnsAgent(config=MdnsConfig(max_names=1, query_timeout=0.2)))
    names, told = LinkNames(list), Told()
    assert names.publish(NAME, HOST) and names.publish(OTHER_NAME, HOST)
    names.find(OTHER_NAME, told)
    assert told.wait()[0][0] is None
    names.close()


def test_an_address_that_is_newer_than_the_last_look_is_looked_for(brisk):
    looks = []
    arrived = threading.Semaphore(0)

    def hosts():
        looks.append(None)
        arrived.release()
        return ()

    names = LinkNames(hosts)
    assert arrived.acquire(timeout=HANG)
    names.publish(NAME, HOST)
    assert arrived.acquire(timeout=HANG)
    names.close()
    assert len(looks) == 2


def test_the_sockets_of_a_driver_take_back_their_names_when_they_are_closed(shared):
    ours, others = Sockets(), Sockets()
    ours.publish_name(NAME, HOST)
    others.publish_name(OTHER_NAME, HOST)
    ours.withdraw_name(OTHER_NAME)  # another's
    [process] = shared.values()
    assert process._machine.names == (NAME, OTHER_NAME)
    ours.close_all()
    assert process._machine.names == (OTHER_NAME,)
    others.withdraw_name(OTHER_NAME)
    assert process._machine.names == ()
    others.close_all()


def test_a_machine_without_interfaces_has_nobody_to_answer(monkeypatch):
    def fail():
        raise OSError("no interfaces")

    monkeypatch.setattr(_link_names, "_shared", {})
    monkeypatch.setattr(_link_names, "_names", fail)
    publish_on_link(NAME, HOST)
    withdraw_from_link(NAME)


def test_a_name_is_published_by_the_thread_that_follows_one_that_has_ended(shared, monkeypatch):
    publish_on_link(NAME, HOST)
    [first] = shared.values()
    first.close()
    find = _link_names._names
    chosen = iter([first, first])
    monkeypatch.setattr(_link_names, "_names", lambda: next(chosen, None) or find())
    publish_on_link(NAME, HOST)
    [second] = shared.values()
    assert second is not first and second._machine.names == (NAME,)


def test_a_name_that_conceals_an_address_is_asked_of_no_name_server_whichever_there_are(shared):
    publish_on_link(NAME, HOST)
    question, told = Resolve(QueryId(1), NAME, RecordKind.A), Told()
    nowhere = [Address("192.0.2.53", 53)]
    assert look_up(question, nameservers=nowhere) == (AddressRecord(HOST),)
    LookUps(told, nameservers=nowhere).start(question)
    assert told.wait()[0][1] == (AddressRecord(HOST),)

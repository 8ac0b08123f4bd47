"""`look_up` and `LookUps`, against a name server of the test's own on loopback."""

import socket
import sys
import threading
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sansice import Address, AddressRecord, NaptrRecord, QueryId, RecordKind, Resolve, ResolveError, SrvRecord
from sansice.sockets import LookUps, address_records, look_up, look_up_error
from sansice.sockets._lookup import MAX_RECORDS, MAX_THREADS, _Workers

HANG = 20

ZONE = {
    ("stun.example.", "A"): (60, ["192.0.2.1", "192.0.2.2"]),
    ("stun.example.", "AAAA"): (61, ["2001:DB8::1"]),
    ("alias.example.", "A"): (0, None),  # a CNAME, see below
    ("_stun._udp.example.", "SRV"): (30, ["1 2 3478 Stun.Example.", "9 0 3479 other.example."]),
    ("_none._udp.example.", "SRV"): (30, ["0 0 0 ."]),
    ("example.", "NAPTR"): (20, ['10 20 "s" "RELAY:turn.udp" "" _turn._udp.example.', '30 40 "" "X" "!é!" .']),
    ("crowd.example.", "SRV"): (10, [f"{n} 0 {n + 1} host{n}.example." for n in range(MAX_RECORDS + 8)]),
    ("empty.example.", "A"): (10, []),
}


def answer_to(query):
    question = query.question[0]
    name, kind = question.name.to_text(), question.rdtype.name
    reply = dns.message.make_response(query)
    if name == "alias.example.":
        reply.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", "stun.example."))
        name = "stun.example."
    if name in ("refused.example.", "servfail.example."):
        reply.set_rcode(dns.rcode.from_text(name.partition(".")[0].upper()))
    elif (name, kind) in ZONE:
        ttl, values = ZONE[name, kind]
        if values:
            reply.answer.append(dns.rrset.from_text_list(name, ttl, "IN", kind, values))
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


@contextmanager
def serving(respond):
    """A name server over UDP; ``respond`` makes the bytes of an answer, or None. Yields its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve():
            while True:
                data, source = sock.recvfrom(65535)
                if data == b"stop":
                    return
                reply = respond(data)
                if reply is not None:
                    sock.sendto(reply, source)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield [Address(*sock.getsockname())]
        finally:
            sock.sendto(b"stop", sock.getsockname())
            thread.join()


@pytest.fixture(scope="module")
def zone():
    with serving(lambda data: answer_to(dns.message.from_wire(data)).to_wire()) as nameservers:
        yield nameservers


def ask(name, kind, nameservers, **more):
    return look_up(Resolve(QueryId(1), name, kind), nameservers=nameservers, **more)


# ---------------------------------------------------------------- records


def test_service_records_come_with_their_times_to_live(zone):
    assert set(ask("_stun._udp.example", RecordKind.SRV, zone)) == {  # name servers rotate records
        SrvRecord(1, 2, 3478, "stun.example", 30),
        SrvRecord(9, 0, 3479, "other.example", 30),
    }


def test_a_service_that_is_not_offered_has_the_root_as_its_target(zone):
    assert ask("_none._udp.example", RecordKind.SRV, zone) == (SrvRecord(0, 0, 0, ".", 30),)


def test_naptr_records_are_read_whatever_bytes_are_in_them(zone):
    assert set(ask("example", RecordKind.NAPTR, zone)) == {
        NaptrRecord(10, 20, "s", "RELAY:turn.udp", "", "_turn._udp.example", 20),
        NaptrRecord(30, 40, "", "X", "!é!", ".", 20),
    }


def test_addresses_of_a_chosen_name_server_are_canonical(zone):
    assert set(ask("stun.example", RecordKind.A, zone)) == {AddressRecord("192.0.2.1", 60), AddressRecord("192.0.2.2", 60)}
    assert ask("stun.example.", RecordKind.AAAA, zone) == (AddressRecord("2001:db8::1", 61),)


def test_an_alias_is_followed(zone):
    assert {record.host for record in ask("alias.example", RecordKind.A, zone)} == {"192.0.2.1", "192.0.2.2"}


def test_a_crowd_of_records_is_cut(zone):
    assert len(ask("crowd.example", RecordKind.SRV, zone)) == MAX_RECORDS


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("name", ["nowhere.example", "empty.example"])
def test_what_does_not_exist_is_not_found(zone, name):
    assert ask(name, RecordKind.A, zone) is ResolveError.NOT_FOUND


@pytest.mark.parametrize("name", ["servfail.example", "refused.example", "no..name", "x" * 64 + ".example"])
def test_what_fails_or_is_no_name_is_a_failure(zone, name):
    assert ask(name, RecordKind.SRV, zone) is ResolveError.FAILURE


def test_what_is_no_name_is_a_failure_for_the_name_servers_of_the_system_too():
    assert ask("no..name", RecordKind.SRV, None) is ResolveError.FAILURE


def test_a_silent_name_server_is_a_timeout():
    with serving(lambda data: None) as silent:
        assert ask("stun.example", RecordKind.SRV, silent, lifetime=0.05) is ResolveError.TIMEOUT


def test_a_name_server_that_talks_nonsense_is_a_failure():
    with serving(lambda data: data[:2] + b"\x80\x00" + b"\xff" * 9) as babbling:
        assert ask("stun.example", RecordKind.SRV, babbling, lifetime=0.2) in (ResolveError.FAILURE, ResolveError.TIMEOUT)


def test_nobody_is_known_to_have_services_where_dnspython_is_missing(monkeypatch, zone):
    monkeypatch.setitem(sys.modules, "dns", None)
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    assert ask("_stun._udp.example", RecordKind.SRV, zone) is ResolveError.NOT_FOUND


# ---------------------------------------------------------------- the system's addresses


def test_the_system_knows_localhost():
    assert ask("localhost", RecordKind.A, None) == (AddressRecord("127.0.0.1"),)


def test_a_name_that_the_system_refuses_is_a_failure():
    assert ask("x" * 64 + ".example", RecordKind.A, None) is ResolveError.FAILURE


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), ResolveError.NOT_FOUND),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), ResolveError.TIMEOUT),
        (socket.gaierror(socket.EAI_FAIL, "broken"), ResolveError.FAILURE),
        (OSError("no network"), ResolveError.FAILURE),
        (UnicodeError("label too long"), ResolveError.FAILURE),
    ],
)
def test_errors_of_the_system_become_what_a_machine_knows(error, told):
    assert look_up_error(error) is told


def test_an_address_that_is_listed_twice_is_one_record():
    found = [(2, 1, 6, "", ("192.0.2.1", 0)), (2, 2, 17, "", ("192.0.2.1", 0)), (10, 2, 17, "", ("::ffff:192.0.2.9", 0, 0, 0))]
    assert address_records(found) == (AddressRecord("192.0.2.1"), AddressRecord("192.0.2.9"))


# ---------------------------------------------------------------- threads


def test_look_ups_are_answered_in_threads_that_end(zone):
    answers, arrived = [], threading.Semaphore(0)

    def answer(action, found):
        answers.append((action.name, found, threading.current_thread() is threading.main_thread()))
        arrived.release()

    look_ups = LookUps(answer, nameservers=zone)
    names = [f"_stun._udp.example{'.' * (n % 2)}" for n in range(2 * MAX_THREADS)]
    for name in names:
        look_ups.start(Resolve(QueryId(1), name, RecordKind.SRV))
    for _ in names:
        assert arrived.acquire(timeout=HANG)
    assert sorted(name for name, *_ in answers) == sorted(names)
    assert {len(found) for _, found, _ in answers} == {2}
    assert {is_main for *_, is_main in answers} == {False}
    for thread in threading.enumerate():
        if thread.name == "sansice look-up":
            thread.join(HANG)
            assert not thread.is_alive()


def test_a_closed_look_up_answers_no_more_and_asks_no_more():
    asked, go_on = threading.Event(), threading.Event()
    answers = []

    def respond(data):
        asked.set()
        go_on.wait(HANG)
        return answer_to(dns.message.from_wire(data)).to_wire()

    with serving(respond) as slow:
        look_ups = LookUps(lambda *answer: answers.append(answer), nameservers=slow)
        look_ups.start(Resolve(QueryId(1), "_stun._udp.example", RecordKind.SRV))
        assert asked.wait(HANG)
        look_ups.close()
        go_on.set()
        look_ups.start(Resolve(QueryId(2), "_stun._udp.example", RecordKind.SRV))
        for thread in threading.enumerate():
            if thread.name == "sansice look-up":
                thread.join(HANG)
    assert answers == []


def test_no_more_threads_run_than_are_allowed():
    workers, go_on, done = _Workers(), threading.Event(), threading.Semaphore(0)
    running, most, lock = 0, 0, threading.Lock()

    def job():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(HANG)
        with lock:
            running -= 1
        done.release()

    for _ in range(3 * MAX_THREADS):
        workers.submit(job)
    go_on.set()
    for _ in range(3 * MAX_THREADS):
        assert done.acquire(timeout=HANG)
    assert most <= MAX_THREADS

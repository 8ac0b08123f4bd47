"""DTLS that encrypts nothing, datagram by datagram: flights, cookies, repetitions, and what is not believed."""

import math
import random

import pytest

from sansice.simulation._world._dtls import (
    FIRST_WAIT,
    MAX_DATAGRAM,
    MAX_WAIT,
    DtlsClientSession,
    DtlsServerSession,
    client_hello_in,
    cookie_for,
    hello_verify_request,
    records_untrusted,
)
from sansice.simulation._world._hellos import TlsError

COOKIE = bytes(16)


def ends(expected="b.example", names=("b.example",), offered=(), known=()):
    return DtlsClientSession(bytes(32), expected, offered), DtlsServerSession(bytes(range(32)), names, known)


def begun(**options):
    """After the cookie: the client's second hello, and the server that answers it."""
    client, server = ends(**options)
    client.start(now=0.0)
    [first] = client.take()
    assert client_hello_in(first).cookie == b""
    client.receive(hello_verify_request(COOKIE), now=0.1)
    [second] = client.take()
    assert client_hello_in(second).cookie == COOKIE
    server.answer(client_hello_in(second), now=0.2)
    return client, server


def ready(**options):
    client, server = begun(**options)
    one(client, server)
    one(server, client)
    one(client, server)
    assert client.is_ready
    assert server.is_ready
    return client, server


def one(to, sender, now=1.0):
    """Hand over what the sender has to say; what comes out."""
    return [data for datagram in sender.take() for data in to.receive(datagram, now=now)]


def test_three_round_trips_make_the_client_ready():
    client, server = begun()
    assert client.deadline == 0.1 + FIRST_WAIT
    one(client, server, now=0.3)
    assert (client.is_ready, server.is_ready) == (False, False)
    one(server, client, now=0.4)
    assert (client.is_ready, server.is_ready) == (False, True)
    one(client, server, now=0.5)
    assert client.is_ready
    assert (client.deadline, server.deadline) == (math.inf, math.inf)
    assert client.take() == server.take() == []


@pytest.mark.parametrize(("offered", "known", "agreed"), [(("a", "b"), ("b", "a"), "b"), (("a",), ("b",), "")])
def test_both_know_the_protocol_agreed_on(offered, known, agreed):
    client, server = ready(offered=offered, known=known)
    assert client.alpn == server.alpn == agreed


def test_datagrams_pass_both_ways_each_for_itself():
    client, server = ready()
    client.send(b"one")
    client.send(b"two")
    assert one(server, client) == [b"one", b"two"]
    server.send(bytes(MAX_DATAGRAM))
    assert one(client, server) == [bytes(MAX_DATAGRAM)]


def test_what_cannot_be_sent_is_refused():
    client, _ = begun()
    with pytest.raises(TlsError, match="no association"):
        client.send(b"x")
    client, _ = ready()
    for data in (b"", bytes(MAX_DATAGRAM + 1)):
        with pytest.raises(TlsError, match="does not fit"):
            client.send(data)


def test_each_flight_is_repeated_until_it_is_answered():
    client, server = ends()
    client.start(now=0.0)
    waits, now = [], 0.0
    first = client.take()
    for _ in range(8):
        waits.append(client.deadline - now)
        now = client.deadline
        client.repeat(now=now)
        assert client.take() == first
    assert waits == [1, 2, 4, 8, 16, 32, MAX_WAIT, MAX_WAIT]
    client.receive(hello_verify_request(COOKIE), now=now)
    assert client.deadline == now + FIRST_WAIT
    [second] = client.take()
    server.answer(client_hello_in(second), now=now)
    lost = server.take()
    server.repeat(now=now + 1)
    assert server.take() == lost


@pytest.mark.parametrize("lost", range(3))
def test_a_lost_flight_only_delays(lost):
    client, server = begun()
    if lost == 0:  # the server's hello: its timer repeats it
        server.take()
        server.repeat(now=2.0)
    one(client, server)
    if lost == 1:  # the client's Finished: its timer repeats it
        client.take()
        client.repeat(now=2.0)
    one(server, client)
    if lost == 2:  # the server's Finished: the client's timer has the server say it again
        server.take()
        client.repeat(now=2.0)
        one(server, client)
    one(client, server)
    assert client.is_ready
    assert server.is_ready


def test_a_server_that_repeats_itself_hears_the_client_again():
    client, server = begun()
    one(client, server)
    client.take()
    server.repeat(now=2.0)
    one(client, server)
    one(server, client)
    assert server.is_ready


def test_a_new_cookie_is_returned_and_the_same_one_is_not_again():
    client, _ = ends()
    client.start(now=0.0)
    client.take()
    for cookie, answers in ((b"one", 1), (b"one", 0), (b"two", 1)):
        client.receive(hello_verify_request(cookie), now=0.5)
        assert len(client.take()) == answers


def test_messages_out_of_their_turn_are_dropped():
    client, server = begun()
    client.receive(server._change(), now=0.3)  # Finished before any hello
    one(client, server)
    client.receive(hello_verify_request(b"late"), now=0.4)
    flight = client.take()
    assert len(flight) == 1
    for _ in range(2):
        for datagram in flight:
            server.receive(datagram, now=0.5)
    assert server.is_ready
    one(client, server)
    client.receive(hello_verify_request(b"late"), now=0.6)
    server.receive(client._handshake(1, b""), now=0.7)
    assert (client.take(), client.is_ready) == ([], True)


def test_the_wrong_name_is_refused_and_the_server_told_why():
    client, server = begun(expected="other.example")
    with pytest.raises(TlsError, match=r"it is not for other\.example"):
        one(client, server)
    with pytest.raises(TlsError, match="the peer ended DTLS: bad certificate"):
        one(server, client)


def test_a_hello_that_is_none_ends_the_handshake():
    client, server = begun()
    server.take()
    with pytest.raises(TlsError, match="cut short"):
        client.receive(server._handshake(2, b"no"), now=0.5)
    with pytest.raises(TlsError, match="decode error"):
        one(server, client)


def test_a_hello_changed_on_the_way_is_noticed_at_the_end():
    client, server = begun()
    [flight] = server.take()
    changed = bytearray(flight)
    changed[30] ^= 1  # within the server's random
    client.receive(bytes(changed), now=0.5)
    with pytest.raises(TlsError, match="decrypt error"):
        one(server, client)


def test_an_alert_of_no_known_number_is_told_by_its_number():
    client, server = begun()
    server._fatal(42)
    [_, alert] = server.take()
    with pytest.raises(TlsError, match="alert 99"):
        client.receive(alert[:-1] + b"\x63", now=0.5)
    assert client.receive(alert[:-2] + b"\x01\x63", now=0.5) == []  # a warning


def test_goodbye_is_heard_and_nothing_after_it():
    client, server = ready()
    client.send(b"last")
    client.close()
    client.send(b"too late")
    datagrams = b"".join(client.take())
    assert server.receive(datagrams, now=2.0) == [b"last"]
    assert server.at_end
    assert server.receive(datagrams, now=2.0) == []
    server.close()
    assert server.take() == []
    with pytest.raises(TlsError, match="no association"):
        server.send(b"x")


def test_nobody_says_goodbye_before_there_is_an_association():
    client, _ = begun()
    client.close()
    assert client.take() == []


def test_a_record_is_believed_once_and_old_ones_are_not():
    client, server = ready()
    datagrams = []
    for number in range(100):
        client.send(b"%d" % number)
        datagrams += client.take()
    assert server.receive(datagrams[70], now=1.0) == [b"70"]
    assert server.receive(datagrams[69], now=1.0) == [b"69"]
    for again in (70, 69, 0, 6):
        assert server.receive(datagrams[again], now=1.0) == []
    assert server.receive(datagrams[7], now=1.0) == [b"7"]
    assert server.receive(datagrams[99], now=1.0) == [b"99"]
    assert server.receive(datagrams[98], now=1.0) == [b"98"]
    assert server.receive(datagrams[70], now=1.0) == []


def test_what_was_changed_on_the_way_is_dropped():
    client, server = ready()
    client.send(b"secret")
    [datagram] = client.take()
    for at in range(len(datagram)):
        changed = bytearray(datagram)
        changed[at] ^= 0x40
        assert server.receive(bytes(changed), now=1.0) == [], at
    assert server.receive(datagram, now=1.0) == [b"secret"]


def test_plaintext_is_not_believed_once_there_is_an_association():
    client, server = ready()
    other, _ = begun()
    other._fatal(42)
    for datagram in other.take():
        assert server.receive(datagram, now=1.0) == []
    for epoch in (0, 1):
        data = b"\x17\xfe\xfd" + epoch.to_bytes(2, "big") + bytes(6) + b"\x00\x14" + bytes(20)
        assert server.receive(data, now=1.0) == []
    client.send(b"still here")
    assert one(server, client) == [b"still here"]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x16",
        bytes(13),
        b"\x16\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x05abcd",
        b"\x16\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x04abcd",
        b"\x17\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x04abcd",
        b"\x16\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x0c\x01" + bytes(11),
        b"\x16\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x0c\x02" + bytes(11),
    ],
)
def test_what_is_no_client_hello_is_none(datagram):
    assert client_hello_in(datagram) is None


@pytest.mark.parametrize("at", range(19, 25))
def test_a_part_of_a_hello_is_none(at):
    client, _ = ends()
    client.start(now=0.0)
    [hello] = client.take()
    assert client_hello_in(hello) is not None
    part = bytearray(hello)
    part[at] ^= 1  # RFC 6347 4.2.2: the offset and the length of a fragment
    assert client_hello_in(bytes(part)) is None


def test_a_hello_of_tls_is_none_of_dtls():
    client, _ = ends()
    body = client._hello._replace(cookie=None).encode()
    assert client_hello_in(client._handshake(1, body)) is None


def test_records_end_at_the_first_that_is_none():
    client, _ = ends()
    good = client._handshake(1, b"")
    assert len(records_untrusted(good + good + b"\x16\x03\x03" + bytes(20))) == 2
    assert len(records_untrusted(good + good[:-1])) == 1


def test_a_cookie_is_for_one_address_one_hello_and_one_key():
    client, _ = ends()
    hello = client._hello
    cookies = {
        cookie_for(b"key", "a", hello),
        cookie_for(b"key", "b", hello),
        cookie_for(b"key 2", "a", hello),
        cookie_for(b"key", "a", hello._replace(random=bytes([1] * 32))),
    }
    assert len(cookies) == 4
    assert cookie_for(b"key", "a", hello._replace(cookie=b"x")) in cookies


def test_random_datagrams_at_any_moment_change_nothing_or_end_the_handshake():
    source = random.Random(3)
    for _ in range(1000):
        client, server = begun()
        for end in (client, server):
            start = (
                bytes([source.choice((20, 21, 22, 23))]) + b"\xfe\xfd\x00" + bytes([source.randrange(2)]) + bytes(6) + b"\0\x18"
            )
            try:
                end.receive(start + source.randbytes(24), now=1.0)
            except TlsError:
                pass

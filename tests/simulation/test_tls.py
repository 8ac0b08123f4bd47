"""TLS that encrypts nothing, byte by byte: who is ready when, and what is not believed."""

import random

import pytest

from sansice.simulation._world._hellos import TlsError
from sansice.simulation._world._tls import MAX_RECORD, NullTls

CLIENT_RANDOM, SERVER_RANDOM = bytes(32), bytes(range(32))


def ends(expected="b.example", names=("b.example",), offered=(), known=()):
    client = NullTls.client(CLIENT_RANDOM, expected, offered)
    server = NullTls.server(SERVER_RANDOM, names, known)
    client.start()
    server.start()
    return client, server


def ready(**options):
    client, server = ends(**options)
    server.receive(client.take())
    client.receive(server.take())
    server.receive(client.take())
    assert client.is_ready
    assert server.is_ready
    return client, server


def test_one_round_trip_makes_the_client_ready_and_half_of_another_the_server():
    client, server = ends()
    assert (server.receive(client.take()), server.is_ready) == (b"", False)
    assert (client.receive(server.take()), client.is_ready) == (b"", True)
    assert (server.receive(client.take()), server.is_ready) == (b"", True)
    assert (client.take(), server.take()) == (b"", b"")


@pytest.mark.parametrize(
    ("offered", "known", "agreed"), [(("a", "b"), ("b", "a"), "b"), (("a",), ("b",), ""), ((), ("b",), ""), (("a",), (), "")]
)
def test_both_know_the_protocol_agreed_on(offered, known, agreed):
    client, server = ready(offered=offered, known=known)
    assert client.alpn == server.alpn == agreed


def test_what_is_sent_early_waits_for_the_handshake():
    client, server = ends()
    client.send(b"early ")
    client.send(b"bird")
    server.send(b"welcome")
    assert (client.waiting, server.waiting) == (10, 7)
    server.receive(client.take())
    assert client.receive(server.take()) == b""
    assert server.receive(client.take()) == b"early bird"
    assert client.receive(server.take()) == b"welcome"
    assert (client.waiting, server.waiting) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 5, 7, 100])
def test_bytes_may_come_in_any_pieces(size):
    client, server = ends()
    data = random.Random(1).randbytes(50_000)
    client.send(data)
    received = bytearray()
    while to_server := client.take():
        for start in range(0, len(to_server), size):
            received += server.receive(to_server[start : start + size])
        for byte in server.take():
            client.receive(bytes([byte]))
    assert received == data


def test_long_data_is_cut_into_records():
    client, server = ready()
    client.send(bytes(3 * MAX_RECORD))
    out = client.take()
    assert out.count(b"\x17\x03\x03") == 3
    assert server.receive(out) == bytes(3 * MAX_RECORD)


def test_the_wrong_name_is_refused_and_the_server_told_why():
    client, server = ends(expected="other.example")
    server.receive(client.take())
    with pytest.raises(TlsError, match=r"the certificate was refused: it is not for other\.example"):
        client.receive(server.take())
    with pytest.raises(TlsError, match="the peer ended TLS: bad certificate"):
        server.receive(client.take())


def test_a_name_that_cannot_be_sent_is_refused_at_once():
    with pytest.raises(ValueError, match="ASCII"):
        NullTls.client(CLIENT_RANDOM, "stün.example")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"G", bytes(20), b"\x16\x02\x00\x00\x05", b"\x16\x03\x03\xff\xff"])
def test_what_is_no_tls_is_refused_at_its_first_byte_that_shows_it(data):
    _, server = ends()
    with pytest.raises(TlsError, match="no TLS"):
        server.receive(data)
    assert server.take()[0] == 21


@pytest.mark.parametrize(
    ("to_server", "words"),
    [
        (b"\x16\x03\x03\x00\x00", "decode error"),
        (b"\x16\x03\x03\x00\x05\x01\x00\x00\x02\x00", "decode error"),
        (b"\x16\x03\x03\x00\x05\x01\x00\x00\x01\x00", "cut short"),
        (b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", "unexpected message"),
        (b"\x16\x03\x03\x00\x04\x14\x00\x00\x00", "unexpected message"),
        (b"\x17\x03\x03\x00\x20" + bytes(32), "bad record mac"),
        (b"\x15\x03\x03\x00\x02\x02\x32", "the peer ended TLS: decode error"),
        (b"\x15\x03\x03\x00\x02\x01\x00", "the peer ended TLS: alert 0"),
        (b"\x15\x03\x03\x00\x02\x02\x63", "the peer ended TLS: alert 99"),
        (b"\x15\x03\x03\x00\x01\x02", "of no known form"),
    ],
)
def test_a_handshake_that_goes_wrong_says_how(to_server, words):
    _, server = ends()
    with pytest.raises(TlsError, match=words):
        server.receive(to_server)


def test_a_server_is_no_client_and_a_client_no_server():
    client, server = ends()
    hello = client.take()
    other = NullTls.client(CLIENT_RANDOM, "b.example")
    with pytest.raises(TlsError, match="unexpected"):
        other.receive(hello)
    server.receive(hello)
    answer = server.take()
    with pytest.raises(TlsError, match="unexpected"):
        NullTls.server(SERVER_RANDOM, ()).receive(answer)
    with pytest.raises(TlsError, match="unexpected"):
        server.receive(hello)


def test_a_hello_changed_on_the_way_is_noticed_at_the_end():
    client, server = ends()
    hello = bytearray(client.take())
    hello[20] ^= 1  # within the random
    server.receive(bytes(hello))
    with pytest.raises(TlsError, match="decrypt error"):
        client.receive(server.take())


@pytest.mark.parametrize("at", [5, 7, -1])
def test_a_record_changed_on_the_way_is_refused(at):
    client, server = ready()
    client.send(b"secret")
    record = bytearray(client.take())
    record[at] ^= 1
    with pytest.raises(TlsError, match="bad record mac"):
        server.receive(bytes(record))
    assert server.take()


def test_a_record_is_believed_once_and_in_its_turn():
    client, server = ready()
    client.send(b"one")
    one = client.take()
    client.send(b"two")
    assert server.receive(one) == b"one"
    with pytest.raises(TlsError, match="bad record mac"):
        server.receive(one)


def test_plaintext_is_not_believed_once_there_are_keys():
    for plain in (b"\x15\x03\x03\x00\x02\x01\x00", b"\x16\x03\x03\x00\x04\x14\x00\x00\x00"):
        _, server = ready()
        with pytest.raises(TlsError, match="unexpected"):
            server.receive(plain)


def test_an_end_of_the_handshake_that_is_not_protected_is_refused():
    client, server = ends()
    server.receive(client.take())
    client.receive(server.take())
    message = b"\x14" + (32).to_bytes(3, "big") + client._finished(server=False)
    with pytest.raises(TlsError, match="unexpected message"):
        server.receive(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
    assert not server.is_ready


def test_a_second_hello_is_refused_also_where_it_is_protected():
    client, server = ends()
    hello = client.take()
    server.receive(hello)
    client._keyed = True
    client._shake(1, hello[9:])
    with pytest.raises(TlsError, match="unexpected message"):
        server.receive(client.take())


def test_no_end_is_said_before_the_handshake_is_over():
    client, server = ends()
    server.receive(client.take())
    server.take()
    client.close()
    server.close()
    assert (client.take(), server.take()) == (b"", b"")


def test_a_handshake_message_after_the_handshake_is_refused():
    client, server = ready()
    client._put(22, b"\x14\x00\x00\x00")
    with pytest.raises(TlsError, match="unexpected"):
        server.receive(client.take())


def test_the_end_is_said_once_and_heard():
    client, server = ready()
    client.send(b"bye")
    client.close()
    client.close()
    assert server.receive(client.take()) == b"bye"
    assert server.at_end
    server.end()
    with pytest.raises(TlsError, match="closed"):
        client.send(b"more")


def test_an_end_that_was_not_said_is_a_cut():
    client, _ = ends()
    client.close()
    client.take()
    with pytest.raises(TlsError, match="during the handshake"):
        client.end()
    client, _ = ready()
    with pytest.raises(TlsError, match="cut"):
        client.end()


def test_random_bytes_at_any_moment_are_an_error_and_nothing_else():
    source = random.Random(7)
    for step in range(3):
        for _ in range(200):
            client, server = ends()
            if step > 0:
                server.receive(client.take())
            if step > 1:
                client.receive(server.take())
            garbage = bytes([source.choice((20, 21, 22, 23)), 3, 3, 0, source.randrange(40)]) + source.randbytes(40)
            for end in (client, server):
                try:
                    end.receive(garbage)
                except TlsError:
                    pass

"""DTLS without I/O: one association, and a server of many; the datagrams between them in the hands of the test."""

import importlib.util
import math
import random
import sys
from collections import Counter

import pytest
from cryptography import x509
from hypothesis import given, strategies as st
from OpenSSL import SSL, crypto

from _certificates import Authority, srv_id
from sansice import Address, _dtls, _dtls_server
from sansice._dtls import DtlsSession, client_context, identifies, name_matches, server_context
from sansice._dtls_records import client_hello_untrusted, hello_verify_request, pack_records
from sansice._dtls_server import COOKIE_LIFETIME, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, MAX_HANDSHAKES, DtlsServer
from sansice._tls_error import TlsError
from sansice.stun import ALPN_NAT_DISCOVERY, ALPN_TURN

HERE, THERE = Address("192.0.2.1", 1000), Address("192.0.2.2", 2000)
MAX_ROUNDS = 50


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("dtls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("stun.example", "192.0.2.9")


@pytest.fixture(scope="module")
def context(certificate):
    return server_context(str(certificate), None, None, alpn=())


@pytest.fixture(scope="module")
def trusting(authority):
    return client_context(str(authority.ca_file), verify=True, alpn=())


def a_client(context, name="stun.example", **options):
    return DtlsSession(context, server_hostname=name, **options)


class Server:
    """A `DtlsServer` and what it counted."""

    def __init__(self, context):
        self.dropped = Counter()
        self.seed = random.Random(1)
        self.now = 0.0
        self.server = DtlsServer(lambda: context, self.count, entropy=self.seed.randbytes)

    def count(self, reason):
        self.dropped[reason] += 1

    def receive(self, data, source=HERE):
        return self.server.receive(source, data, now=self.now)

    def take(self, address=HERE):
        taken = self.server.take()
        assert {source for source, _ in taken} <= {address}
        return [datagram for _, datagram in taken]


@pytest.fixture
def server(context):
    return Server(context)


def exchange(client, server, address=HERE, *, lose=lambda direction, datagram: False):
    """Pass datagrams on until nobody has any."""
    received = []
    for _ in range(MAX_ROUNDS):
        to_server = client.take()
        for datagram in to_server:
            if not lose("up", datagram):
                received += server.receive(datagram, address)
        to_client = server.take(address)
        for datagram in to_client:
            if not lose("down", datagram):
                received += client.receive(datagram)
        if not to_server and not to_client:
            return received
    raise AssertionError("they never come to an end")


def connect(client, server, address=HERE):
    client.start()
    exchange(client, server, address)
    assert client.is_ready
    return client


# ---------------------------------------------------------------- the handshake


def test_data_passes_both_ways_after_the_handshake(trusting, server):
    client = connect(a_client(trusting), server)
    client.send(b"question")
    (datagram,) = client.take()
    assert b"question" not in datagram
    assert server.receive(datagram) == [b"question"]
    server.server.send(HERE, b"answer")
    (datagram,) = server.take()
    assert client.receive(datagram) == [b"answer"]
    assert len(server.server) == 1
    assert server.dropped == {}


def test_several_records_in_one_datagram_are_several_data(trusting, server):
    client = connect(a_client(trusting), server)
    datagrams = b""
    for data in (b"one", b"two"):
        client.send(data)
        datagrams += b"".join(client.take())
    assert server.receive(datagrams) == [b"one", b"two"]


@pytest.mark.req("RFC8489-038", "RFC7350-001")
def test_nothing_is_sent_before_the_certificate_is_verified(trusting, server):
    client = a_client(trusting)
    with pytest.raises(TlsError, match="no association"):
        client.send(b"a STUN request")
    client.start()
    rounds = 0
    while not client.is_ready:
        rounds += 1
        with pytest.raises(TlsError, match="no association"):
            client.send(b"a STUN request")
        for datagram in client.take():
            assert server.receive(datagram) == []
        for datagram in server.take():
            client.receive(datagram)
    assert rounds == 3  # the cookie, the certificate, and the end


WRONG = {
    "another name": lambda good, bad: good.issue("other.example"),
    "a wildcard of another domain": lambda good, bad: good.issue("*.other.example"),
    "a wildcard that would span two labels": lambda good, bad: good.issue("*.example"),
    "a wildcard within a label": lambda good, bad: good.issue("s*.us.example"),
    "the right common name beside another DNS-ID": lambda good, bad: good.issue("other.example", common_name="stun.us.example"),
    "the right name as URI-ID": lambda good, bad: good.issue("stun:stun.us.example"),
    "the right name as SRV-ID": lambda good, bad: good.issue(srv_id("_stuns.stun.us.example")),
    "an address": lambda good, bad: good.issue("192.0.2.1"),
    "no name at all": lambda good, bad: good.issue(),
    "expired": lambda good, bad: good.issue("stun.us.example", expired=True),
    "of an unknown authority": lambda good, bad: bad.issue("stun.us.example"),
}


@pytest.mark.req("RFC8489-038", "RFC7350-001")
@pytest.mark.parametrize("fault", WRONG)
def test_a_certificate_that_is_not_the_servers_ends_the_handshake(authority, trusting, tmp_path, fault):
    certificate = WRONG[fault](authority, Authority(tmp_path, "stranger"))
    server = Server(server_context(str(certificate), None, None, alpn=()))
    client = a_client(trusting, "stun.us.example")
    client.start()
    with pytest.raises(TlsError, match="the certificate was refused"):
        exchange(client, server)
    assert not client.is_ready
    for alert in client.take():
        server.receive(alert)
    assert len(server.server) == 0
    assert server.dropped == {"DTLS: failed": 1}


@pytest.mark.req("RFC8489-038")
@pytest.mark.parametrize(
    ("names", "common_name", "wanted"),
    [
        (["stun.us.example"], "x", "stun.us.example"),
        (["*.us.example"], "x", "stun.us.example"),
        ([], "stun.us.example", "stun.us.example"),
        (["192.0.2.1"], "x", "192.0.2.1"),
        (["2001:db8::1"], "x", "2001:db8::1"),
    ],
)
def test_a_certificate_identifies_its_server(authority, trusting, names, common_name, wanted):
    certificate = authority.issue(*names, common_name=common_name)
    connect(a_client(trusting, wanted), Server(server_context(str(certificate), None, None, alpn=())))


@pytest.mark.parametrize(
    ("presented", "expected", "matches"),
    [
        ("stun.example", "STUN.example.", True),
        ("*.example.org", "stun.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.org", "example.org", False),
        ("*", "localhost", False),
        ("*.*.org", "stun.example.org", False),
        ("stun.*.org", "stun.example.org", False),
        ("*.example.org", ".example.org", False),
        ("", "", False),
    ],
)
def test_a_wildcard_is_the_whole_left_most_label(presented, expected, matches):
    assert name_matches(presented, expected) is matches


def test_a_certificate_whose_names_cannot_be_read_identifies_nobody(authority):
    path = authority.issue(common_name="stun.us.example", broken_names=True)
    assert not identifies(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(path.read_bytes())), "stun.us.example")


def test_verification_can_be_switched_off(server):
    connect(a_client(client_context(None, verify=False, alpn=()), "other.example"), server)


def test_a_client_trusts_the_systems_authorities_otherwise(server):
    client = a_client(client_context(None, verify=True, alpn=()))
    client.start()
    with pytest.raises(TlsError, match="authority"):
        exchange(client, server)


@pytest.mark.req("RFC7443-001", "RFC7443-002")
@pytest.mark.parametrize(
    ("offered", "known", "agreed"),
    [
        ((ALPN_TURN,), ("x", "stun.turn"), "stun.turn"),
        (("x", "stun.nat-discovery"), (ALPN_NAT_DISCOVERY,), "stun.nat-discovery"),
        ((), (ALPN_TURN,), None),
        ((ALPN_TURN,), (), None),
    ],
)
def test_the_protocol_is_negotiated(authority, certificate, offered, known, agreed):
    client = a_client(client_context(str(authority.ca_file), verify=True, alpn=offered))
    connect(client, Server(server_context(str(certificate), None, None, alpn=known)))
    assert client.alpn == agreed


def test_a_certificate_longer_than_a_datagram_is_cut_to_fit(authority, trusting):
    certificate = authority.issue("stun.example", chain_padding=60)
    server = Server(server_context(str(certificate), None, None, alpn=()))
    client = a_client(trusting, mtu=600)
    sizes = []
    client.start()
    exchange(client, server, lose=lambda direction, datagram: sizes.append((direction, len(datagram))))
    assert client.is_ready
    assert max(size for direction, size in sizes if direction == "down") <= 1200
    assert max(size for direction, size in sizes if direction == "up") <= 600
    assert sum(size for direction, size in sizes if direction == "down") > 4000


# ---------------------------------------------------------------- cookies


def first_hello(context):
    client = a_client(context)
    client.start()
    return client, client.take()[0]


def test_no_state_is_kept_before_the_cookie_returns(trusting, server):
    client, hello = first_hello(trusting)
    assert server.receive(hello) == []
    (request,) = server.take()
    assert len(server.server) == 0
    assert server.server.deadline() == math.inf
    assert len(request) < len(hello)
    client.receive(request)
    (second,) = client.take()
    server.receive(second)
    assert len(server.server) == 1


def test_a_flood_of_forged_hellos_leaves_no_trace(trusting, server):
    _, hello = first_hello(trusting)
    before = {name: repr(getattr(server.server, name)) for name in ("_peers", "_handshakes")}
    for number in range(10_000):
        source = Address(f"198.51.{number >> 8}.{number & 255}", 1024 + number)
        server.receive(hello, source)
        assert len(server.take(source)) == 1
    assert {name: repr(getattr(server.server, name)) for name in before} == before
    assert server.dropped == {}
    connect(a_client(trusting), server)


def answered(context, server):
    """A client, and its second ClientHello, with the cookie."""
    client, hello = first_hello(context)
    server.receive(hello)
    client.receive(server.take()[0])
    return client, client.take()[0]


def test_a_cookie_is_for_one_source_one_hello_and_a_while(trusting, server):
    _, second = answered(trusting, server)
    other = bytearray(second)
    other[13 + 12 + 10] ^= 1  # in the client's random
    for datagram, source in ((second, THERE), (second, Address(HERE.host, 1001)), (bytes(other), HERE)):
        server.receive(datagram, source)
        assert client_hello_untrusted(server.take(source)[0]) is None
        assert len(server.server) == 0
    server.now = 2 * COOKIE_LIFETIME
    server.receive(second)
    assert len(server.server) == 0


def test_a_cookie_outlives_one_change_of_the_key(trusting, server):
    _, second = answered(trusting, server)
    server.now = COOKIE_LIFETIME
    server.receive(second)
    assert len(server.server) == 1


def test_a_repeated_hello_begins_nothing_anew_but_another_does(trusting, server):
    client, second = answered(trusting, server)
    server.receive(second)
    first_flight = server.take()
    server.receive(second)
    assert server.take() == []
    for datagram in first_flight:
        client.receive(datagram)
    exchange(client, server)
    assert client.is_ready
    connect(a_client(trusting), server)  # from the same address
    assert len(server.server) == 1
    with pytest.raises(TlsError):
        client.send(b"x" * 70_000)


def test_a_peer_keeps_its_association_while_a_hello_has_no_cookie(trusting, server):
    client = connect(a_client(trusting), server)
    server.receive(first_hello(trusting)[1])
    server.take()
    client.send(b"still here")
    assert server.receive(client.take()[0]) == [b"still here"]


def test_a_hello_with_a_cookie_that_openssl_does_not_take_leaves_nothing(trusting, server):
    _, hello = first_hello(trusting)
    odd = bytearray(hello)
    odd[13 + 12 + 34 + 2] = 0xFF  # the length of the cipher suites
    server.receive(bytes(odd))
    cookie = server.take()[0][-16:]
    body = bytes(odd[25:59]) + b"\0" + bytes([16]) + cookie + bytes(odd[61:])
    length = len(body).to_bytes(3, "big")
    message = b"\1" + length + b"\0\1\0\0\0" + length + body
    server.receive(bytes(odd[:11]) + len(message).to_bytes(2, "big") + message)
    assert len(server.server) == 0
    assert server.dropped == {"DTLS: failed": 1}


# ---------------------------------------------------------------- bounds and timers


def test_handshakes_are_bounded_and_the_oldest_goes(trusting, server, monkeypatch):
    monkeypatch.setattr(_dtls_server, "MAX_HANDSHAKES", 2)
    for port in range(1, 5):
        source = Address("192.0.2.1", port)
        client, hello = first_hello(trusting)
        server.receive(hello, source)
        client.receive(server.take(source)[0])
        server.receive(client.take()[0], source)
        server.take(source)
    assert len(server.server) == 2
    assert server.dropped == {"DTLS: too many handshakes": 2}
    assert MAX_HANDSHAKES == 100


def test_associations_are_bounded_and_the_one_silent_for_longest_goes(trusting, server, monkeypatch):
    monkeypatch.setattr(_dtls_server, "MAX_SESSIONS", 2)
    clients = {}
    for port in (1, 2):
        clients[port] = connect(a_client(trusting), server, Address("192.0.2.1", port))
        server.now += 1
    clients[1].send(b"awake")
    server.receive(clients[1].take()[0], Address("192.0.2.1", 1))
    client = a_client(trusting)
    client.start()
    server.receive(client.take()[0], Address("192.0.2.1", 3))
    client.receive(server.take(Address("192.0.2.1", 3))[0])
    server.receive(client.take()[0], Address("192.0.2.1", 3))
    goodbye = [datagram for address, datagram in server.server.take() if address.port == 2]
    assert clients[2].receive(goodbye[0]) == []
    assert clients[2].at_end
    assert len(server.server) == 2
    assert server.dropped == {"DTLS: too many associations": 1}


def test_a_handshake_that_does_not_go_on_is_given_up(trusting, server):
    _, second = answered(trusting, server)
    server.receive(second)
    assert 0 < server.server.deadline() <= 1
    first = server.server.deadline()
    server.take()
    server.server.handle_timer(now=first)  # early by OpenSSL's clock: nothing is repeated, and it is asked again
    assert server.take() == []
    assert server.server.deadline() > first
    server.server.handle_timer(now=HANDSHAKE_TIMEOUT)
    assert len(server.server) == 0
    assert server.server.deadline() == math.inf
    assert server.dropped == {"DTLS: handshake timed out": 1}


def test_who_is_silent_for_long_is_told_goodbye(trusting, server):
    client = connect(a_client(trusting), server)
    assert server.server.deadline() == IDLE_TIMEOUT
    server.now = 100.0
    client.send(b"awake")
    server.receive(client.take()[0])
    server.server.handle_timer(now=IDLE_TIMEOUT)
    assert server.server.deadline() == IDLE_TIMEOUT + 100
    server.server.handle_timer(now=IDLE_TIMEOUT + 100)
    assert len(server.server) == 0
    for datagram in server.take():
        client.receive(datagram)
    assert client.at_end


def wait(session):
    """Let OpenSSL's clock, which is the system's, reach the time of repetition: a wait for an event, as for a socket."""
    repeated = []
    while not repeated:
        session.handle_timeout()
        repeated = session.take()
    return repeated


def test_a_lost_flight_is_repeated_in_new_records(trusting, server):
    client, hello = first_hello(trusting)
    assert 0 < client.timeout() <= 1
    (again,) = wait(client)
    assert again[:5] == hello[:5]
    assert again[5:11] != hello[5:11]  # the sequence number of the record
    assert again[13:] == hello[13:]
    assert client.timeout() > 1


def test_the_servers_lost_last_flight_is_repeated_when_the_client_repeats_its_own(trusting, server):
    client = a_client(trusting)
    client.start()
    lost = []

    def lose(direction, datagram):
        if direction == "down" and len(server.server) and next(iter(server.server._peers.values())).session.is_ready:
            lost.append(datagram)
            return True
        return False

    exchange(client, server, lose=lose)
    assert lost
    assert not client.is_ready
    for datagram in wait(client):
        server.receive(datagram)
    exchange(client, server)
    assert client.is_ready


class Scripted:
    """In place of OpenSSL's connection: does what it is told, then wants to read."""

    def __init__(self, **answers):
        self.answers = answers

    def __getattr__(self, name):
        def answer(*_):
            scripted = self.answers.get(name)
            if not scripted:
                raise SSL.WantReadError
            one = scripted.pop(0)
            if isinstance(one, Exception):
                raise one
            return one

        return answer


def an_error(words):
    return SSL.Error([("SSL routines", "", words)])


def test_too_many_repetitions_fail(trusting):
    client, _ = first_hello(trusting)
    client._connection = Scripted(DTLSv1_handle_timeout=[an_error("read timeout expired")])
    with pytest.raises(TlsError, match="read timeout expired"):
        client.handle_timeout()


def test_what_openssl_finds_broken_fails_the_association(trusting, server):
    client = connect(a_client(trusting), server)
    client._connection = Scripted(bio_write=[1], recv=[b"", b"data", an_error("sslv3 alert")])
    with pytest.raises(TlsError, match="sslv3 alert"):
        client.receive(b"x")


def test_openssls_empty_data_is_none(trusting, server):
    client = connect(a_client(trusting), server)
    client._connection = Scripted(bio_write=[1], recv=[b"", b"data"])
    assert client.receive(b"x") == [b"data"]


def test_a_goodbye_that_cannot_be_said_is_left_out(trusting, server):
    client = connect(a_client(trusting), server)
    client._connection = Scripted(shutdown=[SSL.Error()])
    client.close()
    assert client.take() == []


def test_a_hello_that_openssl_does_not_take_begins_nothing(context):
    session = DtlsSession(context, server_hostname=None)
    with pytest.raises(TlsError):
        session.accept(b"no ClientHello")


def test_a_server_drops_who_repeats_too_often(trusting, server, monkeypatch):
    _, second = answered(trusting, server)
    server.receive(second)

    def tired(self):
        raise TlsError("read timeout expired")

    monkeypatch.setattr(DtlsSession, "handle_timeout", tired)
    server.server.handle_timer(now=1.5)
    assert len(server.server) == 0
    assert server.dropped == {"DTLS: handshake timed out": 1}


# ---------------------------------------------------------------- the end, and what is no DTLS


def test_both_ends_can_end_an_association(trusting, server):
    client = connect(a_client(trusting), server)
    client.close()
    server.receive(client.take()[0])
    assert len(server.server) == 0
    server.server.send(HERE, b"too late")
    assert server.dropped == {"DTLS: no association": 1}
    client = connect(a_client(trusting), server)
    server.server.close()
    client.receive(server.take()[0])
    assert client.at_end
    assert client.receive(b"anything") == []
    with pytest.raises(TlsError, match="no association"):
        client.send(b"x")
    client.close()
    client.close()


def test_closing_before_the_handshake_is_done_says_nothing(trusting):
    client, _ = first_hello(trusting)
    client.close()
    assert client.take() == []


@pytest.mark.parametrize("data", [b"", bytes(70_000)])
def test_what_fits_no_record_is_not_sent(trusting, server, data):
    client = connect(a_client(trusting), server)
    with pytest.raises(TlsError):
        client.send(data)
    server.server.send(HERE, data)
    assert server.dropped == {"DTLS: not sendable": 1}
    client.send(b"after it")
    assert server.receive(client.take()[0]) == [b"after it"]


def test_garbage_is_dropped_at_every_stage(trusting, server):
    source = random.Random(5)
    client = a_client(trusting)
    client.start()

    def garbage():
        for size in (0, 1, 12, 13, 25, 60, 100, 1500):
            data = source.randbytes(size)
            yield data
            yield b"\x16\xfe\xfd" + data
            yield b"\x17\xfe\xfd\0\1" + bytes(6) + len(data).to_bytes(2, "big") + data
            yield bytes.fromhex("000100002112a442") + data

    for _ in range(MAX_ROUNDS):
        to_server = client.take()
        for datagram in to_server:
            for junk in garbage():
                assert server.receive(junk) == []
            server.receive(datagram)
        to_client = server.take()
        for datagram in to_client:
            for junk in garbage():
                assert client.receive(junk) == []
            client.receive(datagram)
        if not to_server and not to_client:
            break
    assert client.is_ready
    for junk in garbage():
        assert server.receive(junk) == client.receive(junk) == []
    client.send(b"question")
    assert server.receive(client.take()[0]) == [b"question"]


def test_a_repeated_or_a_changed_datagram_is_dropped(trusting, server):
    client = connect(a_client(trusting), server)
    client.send(b"once")
    (datagram,) = client.take()
    assert server.receive(datagram) == [b"once"]
    assert server.receive(datagram) == []
    client.send(b"twice")
    (datagram,) = client.take()
    assert server.receive(datagram[:-1] + bytes([datagram[-1] ^ 1])) == []
    assert server.receive(datagram) == [b"twice"]


@given(st.binary(max_size=200))
def test_no_bytes_upset_the_parser(data):
    found = client_hello_untrusted(data)
    assert found is None or found.cookie + found.parameters


@given(st.data())
def test_no_change_of_a_hello_upsets_the_parser(data):
    hello = bytearray(HELLO)
    for _ in range(data.draw(st.integers(1, 4))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(hello)))
    client_hello_untrusted(bytes(hello[:cut]))
    client_hello_untrusted(bytes(hello))


def a_hello(cookie=b"c" * 16, session=b"s" * 4, *, length=None, offset=0):
    body = b"\xfe\xfd" + b"r" * 32 + bytes([len(session)]) + session + bytes([len(cookie)]) + cookie + b"rest"
    size = len(body).to_bytes(3, "big")
    message = b"\1" + size + b"\0\1" + offset.to_bytes(3, "big") + (size if length is None else length) + body
    return b"\x16\xfe\xff\0\0" + b"123456" + len(message).to_bytes(2, "big") + message


HELLO = a_hello()


def test_a_hello_is_its_cookie_and_the_rest():
    found = client_hello_untrusted(HELLO)
    assert found == (b"123456", b"c" * 16, b"\xfe\xfd" + b"r" * 32 + b"\4ssss" + b"rest")
    assert client_hello_untrusted(a_hello(b"")).cookie == b""


@pytest.mark.parametrize(
    "hello",
    [
        HELLO[:-1],
        HELLO[:40],
        b"\x17" + HELLO[1:],
        HELLO[:4] + b"\1" + HELLO[5:],
        HELLO[:13] + b"\2" + HELLO[14:],
        a_hello(length=b"\0\0\1"),
        a_hello(offset=1),
        a_hello(offset=1 << 16),
        HELLO[:59] + b"\xff" + HELLO[60:],
        HELLO[:64] + b"\xff" + HELLO[65:],
        b"\x16\xfe\xff\0\0123456\0\x0c\1\0\0\0\0\1\0\0\0\0\0\0" + bytes(40),
        b"\x16\xfe\xff\0\0123456" + (12 + 34).to_bytes(2, "big") + b"\1\0\0\x22\0\1\0\0\0\0\0\x22" + bytes(34 + 10),
    ],
)
def test_what_is_no_whole_hello_is_none(hello):
    assert client_hello_untrusted(hello) is None


def test_a_verify_request_has_the_form_of_the_rfc():
    request = hello_verify_request(b"123456", b"cookie!!")
    body = b"\xfe\xff\x08cookie!!"
    header = bytes.fromhex("16feff0000") + b"123456" + (12 + len(body)).to_bytes(2, "big")
    assert request == header + bytes.fromhex("03 00000b 0000 000000 00000b") + body


def test_records_are_packed_up_to_the_mtu():
    def record(size):
        return b"\x17\xfe\xfd" + bytes(8) + size.to_bytes(2, "big") + bytes(size)

    small, large = record(87), record(487)
    assert pack_records(small * 3, 250) == [small * 2, small]
    assert pack_records(small + large + small, 250) == [small, large, small]


def test_without_pyopenssl_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    again = importlib.util.spec_from_file_location("sansice._dtls", _dtls.__file__)
    with pytest.raises(ModuleNotFoundError, match=r"DTLS needs pyOpenSSL; install it with: pip install 'sansice\[tls\]'"):
        again.loader.exec_module(importlib.util.module_from_spec(again))


def test_files_that_cannot_be_used_are_refused(authority, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.touch()
    keyed = str(authority.issue("stun.example", password="secret"))
    for load in (
        lambda: server_context(str(empty), None, None, alpn=()),
        lambda: server_context(keyed, None, "wrong", alpn=()),
        lambda: server_context(keyed, None, None, alpn=()),
        lambda: server_context(str(authority.issue("a")), str(authority.issue("b")), None, alpn=()),
        lambda: client_context(str(empty), verify=True, alpn=()),
    ):
        with pytest.raises(OSError, match=r"."):
            load()
    assert server_context(keyed, None, "secret", alpn=())

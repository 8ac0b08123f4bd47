"""Streams through a proxy: where it lets them, what it answers otherwise, and who waits for whom."""

import pytest

from sansice.machine import (
    Address,
    AddressRecord,
    CloseMode,
    ProxyOptions,
    ResolveError,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.simulation import ForwardProxy, Network, check_machine
from sansice.simulation._world import _proxy
from sansice.simulation._world._proxy import HIGH_WATER, LOW_WATER, MAX_HEAD
from sansice.simulation._world._streams import CONNECT_TIMEOUT
from simulation._ends import ACCEPTED, ONE, SERVER, A, B, End

TCP, TLS = Transport.TCP, Transport.TLS
PROXY = Address("198.51.100.3", 3128)
THROUGH = SocketOptions(proxy=ProxyOptions(PROXY))
TWO = SocketId(2)


def office(**options):
    """A client, a server with a certificate that listens by TCP and TLS, and a proxy between."""
    net = Network(latency=0.25)
    a, b = End(net.host("A", A)), End(net.host("B", B))
    b.host.certificate = (B,)
    b.listen()
    proxy = net.proxy(PROXY.host, **options)
    return net, a, b, proxy


def asked(request, **options):
    """What the proxy answers to raw bytes."""
    net, a, b, proxy = office(**options)
    a.open(remote=PROXY)
    net.run(until=1)
    for piece in request if isinstance(request, list) else [request]:
        a.send(piece)
        net.run(until=net.now + 5)
    return a.stream().decode(), proxy.machine.answered, a, b, net


def failures(end):
    return [what[2] for what in end.of("failed")]


# ---------------------------------------------------------------- through it


def test_a_stream_through_a_proxy_opens_after_its_round_trips_and_talks():
    net, a, b, proxy = office()
    a.open(options=THROUGH)
    a.send(b"early")
    net.run(until=30)
    assert a.heard[0][:2] == ("opened", ONE)
    assert a.times[0] == 0.5 + 0.25 + 0.5 + 0.25  # to the proxy; the request; to the server; the answer
    assert b.of("accepted")[0][3].host == PROXY.host
    assert b.stream(ACCEPTED) == b"early"
    b.send(b"welcome", ACCEPTED)
    net.run(until=31)
    assert a.stream() == b"welcome"
    assert proxy.machine.answered == {200: 1}


def test_tls_goes_through_to_the_server():
    net, a, b, proxy = office()
    b.listen(2, TLS, bind=Address(B, 5349))
    proxy.machine._ports = None
    a.open(transport=TLS, remote=Address(B, 5349), options=THROUGH)
    a.send(b"secret")
    net.run(until=30)
    assert a.kinds()[0] == "opened"
    assert b.stream(ACCEPTED) == b"secret"


def test_a_wrong_certificate_is_refused_through_a_proxy_too():
    net, a, b, _ = office(ports=None)
    b.listen(2, TLS, bind=Address(B, 5349))
    options = SocketOptions(proxy=ProxyOptions(PROXY), tls=TlsOptions("c.example"))
    a.open(transport=TLS, remote=Address(B, 5349), options=options)
    net.run(until=30)
    assert failures(a) == [SocketErrorKind.TLS]


@pytest.mark.parametrize("ends", ["client", "server"])
@pytest.mark.parametrize("mode", CloseMode)
def test_an_end_and_a_reset_pass_through(ends, mode):
    net, a, b, _ = office()
    a.open(options=THROUGH)
    net.run(until=3)
    a.heard.clear()
    if ends == "client":
        a.close(mode=mode)
        told, other = b, ACCEPTED
    else:
        b.close(ACCEPTED, mode)
        told, other = a, ONE
    net.run(until=5)
    last = ("data", other, b"") if mode is CloseMode.FLUSH else ("failed", other, SocketErrorKind.RESET)
    assert told.heard[-1] == last


def test_a_slow_side_slows_the_other_and_nothing_is_lost():
    net, a, b, _ = office()
    a.open(options=THROUGH)
    net.run(until=3)
    b.read(False, ACCEPTED)
    data = bytes(range(256)) * 3000
    a.send(data)
    net.run(until=60)
    assert a.heard[-1][2] > 300_000  # the client is stopped, and not only its bytes heaped up at the proxy
    b.read(True, ACCEPTED)
    net.run(until=400)
    assert b.stream(ACCEPTED) == data


def test_a_request_may_come_byte_by_byte_with_what_follows_it():
    request = f"CONNECT {SERVER} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n".encode()
    for cut in (1, 20, len(request) - 1, len(request)):
        text, answered, _, b, _ = asked([request[:cut], request[cut:] + b"hello"])
        assert text == "HTTP/1.1 200 Connection established\r\n\r\n"
        assert answered == {200: 1}
        assert b.stream(ACCEPTED) == b"hello"


# ---------------------------------------------------------------- names


def test_a_name_leads_to_its_address_of_either_family():
    for records, status in (
        ([AddressRecord(B)], 200),
        ([AddressRecord("2001:db8::b")], 502),  # the proxy has no IPv6
        (ResolveError.TIMEOUT, 502),
    ):
        net, a, _, proxy = office()
        net.resolve("b.example", records)
        a.open(remote=PROXY)
        net.run(until=1)
        a.send(b"CONNECT b.example:443 HTTP/1.1\r\n\r\n")
        net.run(until=10)
        assert proxy.machine.answered == {status: 1}


def test_a_client_that_leaves_while_its_name_is_looked_up_is_forgotten():
    proxy = ForwardProxy([PROXY.host])
    proxy.handle_accepted(ONE, ACCEPTED, SERVER, now=0.0)
    proxy.handle_stream_data(ACCEPTED, b"CONNECT b.example:443 HTTP/1.1\r\n\r\n", now=0.0)
    query = proxy.take_outputs()[-1].query
    proxy.handle_stream_data(ACCEPTED, b"", now=1.0)
    proxy.take_outputs()
    proxy.handle_resolved(query, (AddressRecord(B),), now=2.0)
    assert proxy.take_outputs() == []


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("CONNECT 198.51.100.2:80 HTTP/1.1", 403),
        ("CONNECT 198.51.100.2:443 HTTP/2", 400),
        ("CONNECT 198.51.100.2 HTTP/1.1", 400),
        ("CONNECT http://198.51.100.2:443/ HTTP/1.1", 400),
        ("GET http://example.org/ HTTP/1.1", 405),
        ("POST 198.51.100.2:443 HTTP/1.1", 405),
        ("\x00\x01\x00\x00", 400),
    ],
)
def test_what_is_not_let_through_is_answered_and_ended(request_line, status):
    text, answered, a, _, _ = asked(f"{request_line}\r\nHost: x\r\n\r\n".encode())
    assert text.startswith(f"HTTP/1.1 {status} ")
    assert answered == {status: 1}
    assert a.heard[-1] == ("data", ONE, b"")


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_a_port_that_cannot_be_is_a_bad_request(port):
    text, *_ = asked(f"CONNECT 198.51.100.2:{port} HTTP/1.1\r\n\r\n".encode(), ports=None)
    assert text.startswith("HTTP/1.1 400 ")


def test_a_request_without_end_is_refused():
    text, *_ = asked(b"CONNECT " + b"x" * MAX_HEAD + b"y")
    assert text.startswith("HTTP/1.1 400 ")


def test_nobody_there_is_a_bad_gateway_and_silence_a_timeout():
    for remote, status, wait in ((Address(B, 444), 502, 5), (Address("198.51.100.99", 443), 504, CONNECT_TIMEOUT + 5)):
        net, a, _, proxy = office(ports=None)
        a.open(remote=PROXY)
        net.run(until=1)
        a.send(f"CONNECT {remote} HTTP/1.1\r\n\r\n".encode())
        net.run(until=wait)
        assert proxy.machine.answered == {status: 1}


@pytest.mark.parametrize(
    ("proxy_options", "kind"),
    [
        (ProxyOptions(PROXY), SocketErrorKind.PROXY),
        (ProxyOptions(PROXY, "u", "wrong"), SocketErrorKind.PROXY),
        (ProxyOptions(PROXY, "stranger", ""), SocketErrorKind.PROXY),
        (ProxyOptions(PROXY, "u", "secret"), None),
    ],
)
def test_a_proxy_with_credentials_lets_those_through_who_have_them(proxy_options, kind):
    net, a, _, _ = office(credentials={"u": "secret"})
    a.open(options=SocketOptions(proxy=proxy_options))
    net.run(until=10)
    assert failures(a) == ([] if kind is None else [kind])
    if kind:
        assert "407" in a.error.text


@pytest.mark.parametrize("header", ["Basic !!!", "Bearer dTo=", "Basic /w=="])
def test_credentials_that_cannot_be_read_are_none(header):
    request = f"CONNECT {SERVER} HTTP/1.1\r\nProxy-Authorization: {header}\r\n\r\n".encode()
    text, *_ = asked(request, credentials={"u": "secret"})
    assert text.startswith('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n')


def test_a_refusal_reaches_the_machine_as_one():
    net, a, _, _ = office(ports=(80,))
    a.open(options=THROUGH)
    net.run(until=10)
    assert failures(a) == [SocketErrorKind.PROXY]
    assert "403" in a.error.text


# ---------------------------------------------------------------- proxies that are none


def test_a_proxy_that_nobody_runs_is_refused_and_named():
    net, a, _, proxy = office()
    proxy.stop()
    a.open(options=THROUGH)
    net.run(until=10)
    assert failures(a) == [SocketErrorKind.REFUSED]
    assert a.error.text.startswith("the proxy: ")


def fake(answer, then=None):
    """A client that asks a server which answers as it likes."""
    net = Network(latency=0.25)
    a, b = End(net.host("A", A)), End(net.host("B", PROXY.host))
    b.listen(bind=PROXY)
    b.machine.react["accepted"] = lambda listener, socket, remote: b.send(answer, socket) if answer else b.close(socket)
    a.open(options=THROUGH)
    return net, a, b


def test_a_proxy_that_ends_without_an_answer_is_told_as_one():
    net, a, _ = fake(b"")
    net.run(until=10)
    assert failures(a) == [SocketErrorKind.PROXY]


def test_what_follows_the_answer_at_once_is_the_servers():
    net, a, _ = fake(b"HTTP/1.1 200 OK\r\n\r\nwelcome")
    net.run(until=10)
    assert a.stream() == b"welcome"
    assert a.kinds() == ["opened", "data"]


def test_a_machine_may_close_when_the_proxys_answer_opens_its_stream():
    net, a, _ = fake(b"HTTP/1.1 200 OK\r\n\r\nwelcome")
    a.machine.react["opened"] = lambda *_: a.close()
    net.run(until=10)
    assert a.kinds() == ["opened"]


def test_an_answer_in_pieces_is_waited_for_and_silence_is_given_up():
    net, a, b = fake(b"HTTP/1.1 200")
    net.run(until=3)
    b.send(b" OK\r\n\r\n", ACCEPTED)
    net.run(until=4)
    assert a.kinds() == ["opened"]
    net, a, _ = fake(b"HTTP/1.1 200")
    net.run(until=60)
    assert (failures(a), a.times) == ([SocketErrorKind.TIMEOUT], [CONNECT_TIMEOUT])


def test_an_early_backlog_is_bounded_while_the_proxy_is_asked():
    net, a, _ = fake(b"HTTP/1.1 200")
    a.node.max_unsent = 1000
    net.run(until=2)
    a.send(bytes(1001))
    assert failures(a) == [SocketErrorKind.BACKLOG]


# ---------------------------------------------------------------- the machine by itself


def tunnel():
    proxy = ForwardProxy([PROXY.host])
    proxy.handle_accepted(ONE, ACCEPTED, SERVER, now=0.0)
    proxy.handle_stream_data(ACCEPTED, f"CONNECT {SERVER} HTTP/1.1\r\n\r\n".encode(), now=0.0)
    proxy.take_outputs()
    return proxy


def test_a_client_that_writes_on_while_the_server_is_called_is_paused():
    proxy = tunnel()
    proxy.handle_stream_data(ACCEPTED, bytes(HIGH_WATER), now=0.1)
    assert proxy.take_outputs() == []
    proxy.handle_stream_data(ACCEPTED, b"x", now=0.1)
    assert [output.enabled for output in proxy.take_outputs()] == [False]
    proxy.handle_socket_opened(TWO, SERVER, now=0.2)
    _, early, reading = proxy.take_outputs()
    assert len(early.data) == HIGH_WATER + 1
    assert reading.enabled


def test_water_marks_pause_and_resume_the_other_side():
    proxy = tunnel()
    proxy.handle_stream_sent(ACCEPTED, 5, now=0.1)
    proxy.handle_socket_opened(TWO, SERVER, now=0.2)
    proxy.take_outputs()
    for socket, other in ((ACCEPTED, TWO), (TWO, ACCEPTED)):
        for unsent, enabled in ((HIGH_WATER + 1, [False]), (HIGH_WATER, []), (LOW_WATER, [True])):
            proxy.handle_stream_sent(socket, unsent, now=0.3)
            told = proxy.take_outputs()
            assert [output.enabled for output in told] == enabled
            assert all(output.socket == other for output in told)


def test_a_client_that_is_lost_while_the_server_is_called_frees_both():
    proxy = tunnel()
    proxy.handle_socket_failed(ACCEPTED, SocketError(SocketErrorKind.RESET), now=0.1)
    assert [(output.socket, output.mode) for output in proxy.take_outputs()] == [
        (ACCEPTED, CloseMode.RESET),
        (TWO, CloseMode.RESET),
    ]
    proxy.handle_stream_data(ACCEPTED, b"late", now=0.2)
    proxy.handle_stream_sent(TWO, 0, now=0.2)
    proxy.handle_socket_failed(ONE, SocketError(SocketErrorKind.ADDRESS_IN_USE), now=0.2)
    assert proxy.take_outputs() == []


def test_clients_are_bounded(monkeypatch):
    monkeypatch.setattr(_proxy, "MAX_SOCKETS", 2)
    proxy = ForwardProxy([])
    for number in (-1, -2, -3):
        proxy.handle_accepted(ONE, SocketId(number), SERVER, now=0.0)
    assert [(output.socket, output.mode) for output in proxy.take_outputs()] == [(-3, CloseMode.RESET)]


def test_the_proxy_keeps_the_contract_of_machines():
    check_machine(lambda entropy: ForwardProxy([PROXY.host], credentials={"u": "p"}))

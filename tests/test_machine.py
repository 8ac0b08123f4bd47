"""The contract's values: addresses, errors, actions, ids, and the machine that does nothing."""

import math
import pickle

import attrs
import pytest
from hypothesis import given, strategies as st

import sansice
from sansice.machine import (
    DEFAULT_OPTIONS,
    Action,
    Address,
    AddressRecord,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Event,
    IcmpError,
    Ids,
    Machine,
    NaptrRecord,
    OpenSocket,
    ProxyOptions,
    QueryId,
    RecordKind,
    Resolve,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
    SrvRecord,
    TlsOptions,
    Transport,
)

ACTIONS = [
    OpenSocket(SocketId(1), Transport.UDP, Address("192.0.2.1", 0)),
    CloseSocket(SocketId(1), CloseMode.RESET),
    SetReading(SocketId(1), enabled=False),
    Resolve(QueryId(2), "example.org", RecordKind.SRV),
    SendDatagram(SocketId(1), Address("192.0.2.2", 3478), b"\x00\xff"),
    SendDatagrams(SocketId(1), ((Address("192.0.2.2", 3478), b"\x00\xff"),)),
    SendStream(SocketId(1), b"\x00\xff"),
]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        ("::1", "::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("FE80::1%eth0", "fe80::1%eth0"),
        ("fe80::1", "fe80::1"),
    ],
)
def test_a_literal_becomes_canonical(text: str, canonical: str) -> None:
    assert Address.of(text, 5000) == (canonical, 5000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "example.org",
        "127.1",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "127.0.0.1\n",
        "127.0.0",
        "127.0.0.0.1",
        "256.0.0.1",
        "01.2.3.4",
        "1.2.3.٤",
        "2130706433",
        "[::1]",
        ":::1",
        "2001:db8::1%eth0",
        "::ffff:192.0.2.1%eth0",
        "fe80::1%",
        "fe80::1%eth0\r\na=evil",
        "fe80::1%a b",
    ],
)
def test_what_is_no_literal_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"literal|scope") as raised:
        Address.of(text, 1)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=str(port)):
        Address.of("192.0.2.1", port)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:5000", ("192.0.2.1", 5000)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("[fe80::1%eth0]:0", ("fe80::1%eth0", 0)),
    ],
)
def test_text_with_a_port_is_parsed(text: str, address: tuple[str, int]) -> None:
    parsed = Address.parse(text)
    assert parsed == address
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1",
        "192.0.2.1:",
        ":5000",
        "192.0.2.1:+1",
        "192.0.2.1:٣",
        "192.0.2.1:123456",
        "192.0.2.1:65536",
        "2001:db8::1:5000",
        "[192.0.2.1]:5000",
        "[2001:db8::1]",
        "[2001:db8::1:5000",
        "example.org:80",
        "",
    ],
)
def test_text_that_is_no_address_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ADDRESS:PORT|literal|outside"):
        Address.parse(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_what_an_address_prints_parses_back(host: object, port: int) -> None:
    address = Address.of(str(host), port)
    assert Address.parse(str(address)) == address


def test_an_address_equals_what_recvfrom_returns() -> None:
    assert Address("192.0.2.1", 5000) == ("192.0.2.1", 5000)
    assert hash(Address("192.0.2.1", 5000)) == hash(("192.0.2.1", 5000))


def test_an_address_knows_its_family() -> None:
    assert Address("2001:db8::1", 1).is_ipv6
    assert not Address("192.0.2.1", 1).is_ipv6


@pytest.mark.parametrize(
    ("error", "hard"),
    [
        (IcmpError(3, 3), True),
        (IcmpError(3, 2), True),
        (IcmpError(3, 1), False),
        (IcmpError(3, 4, mtu=1280), False),
        (IcmpError(11, 3), False),
        (IcmpError(1, 4, ipv6=True), True),
        (IcmpError(3, 3, ipv6=True), False),
        (IcmpError(1, 3, ipv6=True), False),
    ],
)
def test_only_port_and_protocol_unreachable_are_hard(error: IcmpError, hard: bool) -> None:
    assert error.is_hard is hard


def test_a_decode_error_says_its_reason_and_detail() -> None:
    assert str(DecodeError(DropReason.BAD_LENGTH)) == DropReason.BAD_LENGTH.value
    error = DecodeError(DropReason.BAD_LENGTH, "7 of 20 bytes")
    assert error.reason is DropReason.BAD_LENGTH
    assert str(error) == f"{DropReason.BAD_LENGTH.value}: 7 of 20 bytes"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_action_cannot_be_changed_and_compares_by_value(action: Action) -> None:
    assert isinstance(action, Action)
    assert not isinstance(action, Event)
    assert pickle.loads(pickle.dumps(action)) == action
    assert len({action, pickle.loads(pickle.dumps(action))}) == 1
    with pytest.raises((AttributeError, attrs.exceptions.FrozenInstanceError)):
        action.socket = SocketId(9)  # type: ignore[attr-defined]
    with pytest.raises((AttributeError, TypeError)):
        action.new = 1  # type: ignore[attr-defined]


def test_bytes_show_in_hex() -> None:
    assert repr(SendDatagram(SocketId(1), Address("192.0.2.2", 3478), b"\x00\xff")) == (
        "SendDatagram(socket=1, destination=192.0.2.2:3478, data=00ff)"
    )
    batch = SendDatagrams(SocketId(1), ((Address("192.0.2.2", 3478), b"\x00\xff"), (Address("2001:db8::2", 1), b"")))
    assert repr(batch) == "SendDatagrams(socket=1, items=((192.0.2.2:3478, 00ff), ([2001:db8::2]:1, )))"
    assert repr(SendStream(SocketId(1), b"\x00\xff")) == "SendStream(socket=1, data=00ff)"


def test_a_proxy_password_does_not_show() -> None:
    assert "hunter2" not in repr(ProxyOptions(Address("192.0.2.1", 8080), "user", "hunter2"))


def test_options_are_plain_unless_said_otherwise() -> None:
    assert OpenSocket(SocketId(1), Transport.TCP, Address("192.0.2.1", 0)).options is DEFAULT_OPTIONS
    assert DEFAULT_OPTIONS.tls is None
    assert TlsOptions("example.org").alpn == ()


def test_records_and_errors_are_values() -> None:
    assert AddressRecord("192.0.2.1") == AddressRecord("192.0.2.1", 0)
    assert SrvRecord(1, 2, 3478, "stun.example") == SrvRecord(1, 2, 3478, "stun.example", 0)
    assert NaptrRecord(1, 1, "s", "RELAY:turn.udp", "", "turn.example").ttl == 0
    assert SocketError(SocketErrorKind.REFUSED) == SocketError(SocketErrorKind.REFUSED, "")


def test_ids_of_sockets_and_queries_never_repeat() -> None:
    ids = Ids()
    assert [ids.socket(), ids.query(), ids.socket()] == [1, 2, 3]


def test_a_machine_ignores_what_it_does_not_override() -> None:
    machine = Machine()
    address = Address("192.0.2.1", 1)
    machine.handle_socket_opened(SocketId(1), address, now=0.0)
    machine.handle_socket_failed(SocketId(1), SocketError(SocketErrorKind.OTHER), now=0.0)
    machine.handle_accepted(SocketId(1), SocketId(-1), address, now=0.0)
    machine.handle_datagrams(SocketId(1), [(address, b"x")], now=0.0)
    machine.handle_stream_data(SocketId(1), b"x", now=0.0)
    machine.handle_stream_sent(SocketId(1), 0, now=0.0)
    machine.handle_icmp(SocketId(1), address, IcmpError(3, 3), now=0.0)
    machine.handle_resolved(QueryId(1), (), now=0.0)
    machine.handle_wall_clock(0.0, now=0.0)
    machine.handle_timer(now=0.0)
    assert machine.deadline() == math.inf
    assert machine.take_outputs() == []


def test_outputs_are_handed_over_once_and_in_order() -> None:
    machine = Machine()
    machine._outputs += ACTIONS
    assert machine.take_outputs() == ACTIONS
    assert machine.take_outputs() == []


def test_the_package_shows_the_contract() -> None:
    for name in ("Address", "Machine", "OpenSocket", "SendDatagram", "Event", "Ids", "Entropy", "LocalProtocolError"):
        assert getattr(sansice, name) is getattr(sansice.machine, name)


def test_a_transport_says_whether_it_is_a_stream_and_whether_it_is_encrypted():
    assert [one for one in Transport if one.is_stream] == [Transport.TCP, Transport.TLS]
    assert [one for one in Transport if one.is_secure] == [Transport.TLS, Transport.DTLS]

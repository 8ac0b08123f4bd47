"""What an Allocate request asks for, and what is wrong with it, through a server (RFC 8656 7.2)."""

import pytest

from _turn_serving import CLIENT, DTLS, HOST, HOST6, LISTENERS, OF, TCP, TLS, UDP, TurnServing, code_of
from sansice.machine import Address, SocketId
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    ADDRESS_ERROR_CODE,
    DONT_FRAGMENT,
    ERROR_CODE,
    EVEN_PORT,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
    Method,
    decode_untrusted,
    shapes,
)
from sansice.turn import TurnServerConfig
from sansice.turn._server._allocate import judge_allocate
from sansice.turn._server._refusal import UNSUPPORTED_FAMILY

ALLOCATE = Method.ALLOCATE
RAW_TRANSPORT = Attribute(REQUESTED_TRANSPORT.code, "RAW", shapes.OPAQUE)
RAW_LIFETIME = Attribute(LIFETIME.code, "RAW", shapes.OPAQUE)
RAW_TOKEN = Attribute(RESERVATION_TOKEN.code, "RAW", shapes.OPAQUE)
RAW_EVEN_PORT = Attribute(EVEN_PORT.code, "RAW", shapes.OPAQUE)
UDP_ = (REQUESTED_TRANSPORT, 17)
TCP_ = (REQUESTED_TRANSPORT, 6)
TOKEN = (RESERVATION_TOKEN, bytes(8))
IPV4, IPV6 = 1, 2


def asked(*attributes, **options):
    """The code of the answer to an Allocate request of a new client at a new server."""
    return TurnServing(**options).client().code(ALLOCATE, *attributes)


def only(*hosts):
    """Listeners at these hosts."""
    return [listener for listener in LISTENERS if listener.address.host in hosts]


@pytest.mark.req("RFC8656-027")
def test_an_allocate_request_without_a_transport_or_with_a_malformed_one_is_a_bad_request():
    assert asked() == 400
    assert asked((RAW_TRANSPORT, b"\x11")) == 400


@pytest.mark.req("RFC8656-027")
@pytest.mark.parametrize("protocol", [0, 1, 6, 58, 255])
def test_a_transport_that_is_not_relayed_is_refused_by_name(protocol):
    assert asked((REQUESTED_TRANSPORT, protocol)) == 442


@pytest.mark.req("RFC8656-114")
def test_the_reserved_bytes_of_the_transport_are_ignored():
    assert asked((RAW_TRANSPORT, b"\x11\xff\xff\xff")) == 0


@pytest.mark.req("RFC8656-028")
def test_dont_fragment_is_unknown_to_a_server_that_cannot_set_the_bit():
    answer = TurnServing(policy={"dont_fragment": False}).client().ask(ALLOCATE, UDP_, (DONT_FRAGMENT, None))
    assert (code_of(answer), answer.get(UNKNOWN_ATTRIBUTES)) == (420, (0x001A,))
    assert asked(UDP_, (DONT_FRAGMENT, None)) == 0


@pytest.mark.req("RFC8656-028")
def test_the_transport_is_judged_before_dont_fragment():
    assert asked((DONT_FRAGMENT, None), policy={"dont_fragment": False}) == 400


@pytest.mark.req("RFC8656-029")
@pytest.mark.parametrize(
    "other",
    [(EVEN_PORT, False), (EVEN_PORT, True), (REQUESTED_ADDRESS_FAMILY, IPV4), (ADDITIONAL_ADDRESS_FAMILY, IPV6)],
    ids=lambda one: one[0].name,
)
def test_a_token_goes_with_no_wish_for_a_port_or_a_family(other):
    assert asked(UDP_, TOKEN, other) == 400


@pytest.mark.req("RFC8656-029")
def test_a_token_that_nobody_gave_is_worth_nothing():
    assert asked(UDP_, TOKEN) == 508


@pytest.mark.req("RFC8656-115")
@pytest.mark.parametrize("length", [0, 7, 9])
def test_a_token_of_another_length_is_a_bad_request(length):
    assert asked(UDP_, (RAW_TOKEN, bytes(length))) == 400


@pytest.mark.req("RFC8656-030")
def test_requested_and_additional_family_exclude_each_other():
    assert asked(UDP_, (REQUESTED_ADDRESS_FAMILY, IPV4), (ADDITIONAL_ADDRESS_FAMILY, IPV6)) == 400


@pytest.mark.req("RFC8656-031")
@pytest.mark.parametrize("family", [0, 3, 255])
def test_a_family_that_there_is_not_is_refused(family):
    assert asked(UDP_, (REQUESTED_ADDRESS_FAMILY, family)) == 440


@pytest.mark.req("RFC8656-031")
def test_the_family_that_is_asked_for_is_given():
    user = TurnServing().client()
    (relayed,) = user.ask(ALLOCATE, UDP_, (REQUESTED_ADDRESS_FAMILY, IPV6)).get_all(XOR_RELAYED_ADDRESS)
    assert relayed.host == HOST6


@pytest.mark.req("RFC8656-031")
def test_a_family_that_the_server_has_not_is_refused():
    assert asked(UDP_, (REQUESTED_ADDRESS_FAMILY, IPV6), listeners=only(HOST)) == 440
    ipv6_only = TurnServing(only(HOST6)).client(Address("2001:db8::7", 5), socket=SocketId(1))
    assert ipv6_only.code(ALLOCATE, UDP_, (REQUESTED_ADDRESS_FAMILY, IPV4)) == 440
    assert ipv6_only.code(ALLOCATE, UDP_) == 440
    assert ipv6_only.code(ALLOCATE, UDP_, (REQUESTED_ADDRESS_FAMILY, IPV6)) == 0


@pytest.mark.req("RFC8656-031")
def test_without_a_family_it_is_ipv4_whatever_the_client_has():
    user = TurnServing().client(Address("2001:db8::7", 5), socket=SocketId(2))
    (relayed,) = user.ask(ALLOCATE, UDP_).get_all(XOR_RELAYED_ADDRESS)
    assert relayed.host == HOST


@pytest.mark.req("RFC8656-032")
def test_a_pair_of_ports_goes_with_no_second_family():
    assert asked(UDP_, (EVEN_PORT, True), (ADDITIONAL_ADDRESS_FAMILY, IPV6)) == 400
    assert asked(UDP_, (EVEN_PORT, False), (ADDITIONAL_ADDRESS_FAMILY, IPV6)) == 0


@pytest.mark.req("RFC8656-113")
@pytest.mark.parametrize(
    ("raw", "code"), [(b"\x80", 400), (b"\xff", 400), (b"\x00", 0), (b"\x7f", 0), (b"", 400), (b"\x80\0", 400)]
)
def test_the_first_bit_of_even_port_is_what_counts(raw, code):
    assert asked(UDP_, (RAW_EVEN_PORT, raw), (ADDITIONAL_ADDRESS_FAMILY, IPV6)) == code


@pytest.mark.req("RFC8656-033")
@pytest.mark.parametrize("family", [0, 1, 3])
def test_the_second_family_can_only_be_ipv6(family):
    assert asked(UDP_, (ADDITIONAL_ADDRESS_FAMILY, family)) == 400


@pytest.mark.req("RFC8656-035")
def test_a_dual_request_gets_an_address_of_each_family():
    answer = TurnServing().client().ask(ALLOCATE, UDP_, (ADDITIONAL_ADDRESS_FAMILY, IPV6))
    assert [relayed.host for relayed in answer.get_all(XOR_RELAYED_ADDRESS)] == [HOST, HOST6]
    assert ADDRESS_ERROR_CODE not in answer


@pytest.mark.req("RFC8656-034")
@pytest.mark.parametrize(("host", "missing"), [(HOST, IPV6), (HOST6, IPV4)])
def test_a_dual_request_at_a_server_of_one_family_gets_that_and_is_told_about_the_other(host, missing):
    serving = TurnServing(only(host))
    client = CLIENT if host == HOST else Address("2001:db8::7", 5)
    answer = serving.client(client, socket=SocketId(1)).ask(ALLOCATE, UDP_, (ADDITIONAL_ADDRESS_FAMILY, IPV6))
    assert [relayed.host for relayed in answer.get_all(XOR_RELAYED_ADDRESS)] == [host]
    failed = answer.get(ADDRESS_ERROR_CODE)
    assert (failed.family, failed.code) == (missing, 440)


@pytest.mark.req("RFC8656-042", "RFC8656-043")
@pytest.mark.parametrize(
    ("asked_for", "granted"),
    [(None, 600), (0, 600), (1, 600), (599, 600), (601, 601), (700, 700), (3600, 3600), (3601, 3600), (2**32 - 1, 3600)],
)
def test_the_lifetime_is_between_the_default_and_the_maximum(asked_for, granted):
    wish = () if asked_for is None else ((LIFETIME, asked_for),)
    answer = TurnServing().client().ask(ALLOCATE, UDP_, *wish)
    assert answer.get(LIFETIME) == granted


@pytest.mark.req("RFC8656-111")
def test_a_malformed_lifetime_is_a_bad_request():
    assert asked(UDP_, (RAW_LIFETIME, bytes(3))) == 400


@pytest.mark.req("RFC8656-044")
def test_the_answer_has_the_relayed_address_the_lifetime_and_the_clients_own_address():
    answer = TurnServing().client().ask(ALLOCATE, UDP_)
    (relayed,) = answer.get_all(XOR_RELAYED_ADDRESS)
    assert relayed.host == HOST
    assert answer.get(LIFETIME) == 600
    assert answer.get(XOR_MAPPED_ADDRESS) == CLIENT
    assert RESERVATION_TOKEN not in answer


@pytest.mark.req("RFC8656-044")
def test_a_lifetime_is_told_in_full_though_a_clock_counts_in_fractions():
    now = 1000.1
    assert int(now + 600 - now) == 599
    assert TurnServing(now=now).client().ask(ALLOCATE, UDP_).get(LIFETIME) == 600


@pytest.mark.req("RFC8656-011")
@pytest.mark.parametrize("transport", [DTLS, TCP, TLS])
def test_clients_are_served_over_each_transport(transport):
    serving = TurnServing()
    user = serving.client(socket=OF[DTLS]) if transport is DTLS else serving.stream(transport=transport)
    assert user.code(ALLOCATE, UDP_) == 0


def test_an_unknown_required_attribute_is_named():
    unknown = Attribute(0x7FF0, "UNKNOWN", shapes.OPAQUE)
    answer = TurnServing().client().ask(ALLOCATE, UDP_, (unknown, b""))
    assert (answer.get(ERROR_CODE).code, answer.get(UNKNOWN_ATTRIBUTES)) == (420, (0x7FF0,))


class TestTcpRelays:
    """RFC 6062 5.1."""

    def test_they_are_given_over_streams_where_they_are_switched_on(self):
        user = TurnServing(policy={"tcp_relay": True}).stream()
        assert user.code(ALLOCATE, TCP_) == 0

    def test_they_are_not_given_otherwise(self):
        assert TurnServing().stream().code(ALLOCATE, TCP_) == 442

    def test_a_client_over_datagrams_cannot_have_one(self):
        assert asked(TCP_, policy={"tcp_relay": True}) == 400

    @pytest.mark.parametrize("other", [(DONT_FRAGMENT, None), (EVEN_PORT, False), TOKEN], ids=lambda one: one[0].name)
    def test_what_is_about_datagrams_and_their_ports_has_no_place_in_it(self, other):
        assert TurnServing(policy={"tcp_relay": True}).stream().code(ALLOCATE, TCP_, other) == 400


def test_a_dual_request_where_there_is_neither_family_is_refused():
    request = decode_untrusted(TurnServing().client().request(ALLOCATE, UDP_, (ADDITIONAL_ADDRESS_FAMILY, IPV6)))
    assert judge_allocate(request, UDP, (), TurnServerConfig()) is UNSUPPORTED_FAMILY

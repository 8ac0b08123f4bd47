import pytest

from sansice.machine import DecodeError
from sansice.stun import MessageClass, Method, Protocol, decode_untrusted, demultiplex, encode, is_stun
from sansice.stun._header import join_type

TID = bytes(12)

# RFC 7983 7, figure 3, and RFC 9443 3, figure 3: one letter a first byte, 16 in a row. "." is dropped.
LETTERS = {
    ".": None,
    "S": Protocol.STUN,
    "Z": Protocol.ZRTP,
    "D": Protocol.DTLS,
    "T": Protocol.TURN_CHANNEL,
    "R": Protocol.RTP,
    "Q": Protocol.QUIC,
}
WITHOUT_QUIC = [
    "SSSS" + "." * 12,
    "ZZZZ" + "D" * 12,
    "D" * 16,
    "D" * 16,
    "T" * 16,
    *["." * 16] * 3,
    *["R" * 16] * 4,
    *["." * 16] * 4,
]
WITH_QUIC = [row.replace(".", "Q") if number else row for number, row in enumerate(WITHOUT_QUIC)]
WITH_QUIC_FROM_A_STRANGER = [row.replace("T", "Q") for row in WITH_QUIC]


def classified(**options):
    return [demultiplex(first, **options) for first in range(256)]


def table(rows):
    return [LETTERS[letter] for letter in "".join(rows)]


@pytest.mark.req("RFC7983-001", "RFC7983-002")
@pytest.mark.parametrize("from_turn_server", [False, True])
def test_every_first_byte_belongs_to_one_protocol_or_is_dropped(from_turn_server):
    assert classified(from_turn_server=from_turn_server) == table(WITHOUT_QUIC)


@pytest.mark.req("RFC9443-001")
def test_with_quic_every_first_byte_but_4_to_15_belongs_to_a_protocol():
    assert classified(quic=True, from_turn_server=True) == table(WITH_QUIC)
    assert [first for first in range(256) if demultiplex(first, quic=True) is None] == list(range(4, 16))


@pytest.mark.req("RFC9443-002")
def test_with_quic_a_turn_channel_comes_from_a_turn_server_only():
    assert classified(quic=True) == table(WITH_QUIC_FROM_A_STRANGER)
    assert {demultiplex(first, quic=True, from_turn_server=True) for first in range(64, 80)} == {Protocol.TURN_CHANNEL}


@pytest.mark.req("RFC7983-003")
@pytest.mark.parametrize(
    ("channel", "protocol"),
    [(0x3FFF, Protocol.DTLS), (0x4000, Protocol.TURN_CHANNEL), (0x4FFF, Protocol.TURN_CHANNEL), (0x5000, None)],
)
def test_channels_outside_4000_to_4fff_are_none(channel, protocol):
    assert demultiplex(channel >> 8) is protocol


@pytest.mark.req("RFC7983-004")
@pytest.mark.parametrize("message_class", MessageClass)
def test_methods_above_ff_are_not_stun_here(message_class):
    assert {demultiplex(join_type(method, message_class) >> 8) for method in range(0x100)} == {Protocol.STUN}
    assert Protocol.STUN not in {demultiplex(join_type(method, message_class) >> 8) for method in range(0x100, 0x1000)}
    assert demultiplex(join_type(0x100, message_class) >> 8) is None


@pytest.mark.req("RFC8489-042")
@pytest.mark.parametrize("spoilt", [slice(4, 8), slice(2, 4)], ids=["cookie", "length"])
def test_what_fails_the_basic_check_is_offered_to_another_parser(spoilt):
    """A protocol of the application that begins with the bytes of STUN: refused as STUN, and as it was."""
    message = encode(Method.BINDING, MessageClass.REQUEST, TID)
    data = bytearray(message)
    data[spoilt] = bytes(byte ^ 0xFF for byte in data[spoilt])
    payload = bytes(data)
    others = []
    for datagram in (message, payload):
        assert demultiplex(datagram[0]) is Protocol.STUN
        try:
            decode_untrusted(datagram)
        except DecodeError:
            others.append(datagram)
    assert others == [payload]
    assert is_stun(message)

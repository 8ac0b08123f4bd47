import pytest

from sansice.machine import LocalProtocolError, Transport
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    SSODA_ADDRESS_FAMILY,
)
from sansice.turn import AllocateWish

TOKEN = bytes(range(8))
UDP = (REQUESTED_TRANSPORT, 17)


@pytest.mark.req("RFC8656-019", "RFC8656-020", "RFC8656-021", "RFC8656-024")
@pytest.mark.parametrize(
    ("wish", "attributes"),
    [
        ({}, (UDP,)),
        ({"transport": Transport.TCP}, ((REQUESTED_TRANSPORT, 6),)),
        ({"family": 4}, (UDP, (REQUESTED_ADDRESS_FAMILY, 1))),
        ({"family": 6}, (UDP, (REQUESTED_ADDRESS_FAMILY, 2))),
        ({"family": "both"}, (UDP, (ADDITIONAL_ADDRESS_FAMILY, 2), (SSODA_ADDRESS_FAMILY, 2))),
        ({"even_port": True}, (UDP, (EVEN_PORT, False))),
        ({"even_port": True, "reserve_next": True, "family": 6}, (UDP, (REQUESTED_ADDRESS_FAMILY, 2), (EVEN_PORT, True))),
        (
            {"even_port": True, "family": "both"},
            (UDP, (ADDITIONAL_ADDRESS_FAMILY, 2), (SSODA_ADDRESS_FAMILY, 2), (EVEN_PORT, False)),
        ),
        ({"reservation_token": TOKEN}, (UDP, (RESERVATION_TOKEN, TOKEN))),
        ({"dont_fragment": True, "lifetime": 1200}, (UDP, (DONT_FRAGMENT, None), (LIFETIME, 1200))),
        ({"mobility": True}, (UDP, (MOBILITY_TICKET, b""))),
    ],
)
def test_a_wish_is_asked_for_in_these_attributes(wish, attributes):
    assert AllocateWish(**wish).attributes() == attributes


@pytest.mark.req("RFC8656-020", "RFC8656-021", "RFC8656-022", "RFC6062-002")
@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"transport": Transport.TLS}, "not Transport.TLS"),
        ({"transport": "tcp"}, "Transport.TCP, not tcp"),
        ({"family": 5}, "not 5"),
        ({"reserve_next": True}, "even_port, too"),
        ({"even_port": True, "reserve_next": True, "family": "both"}, "both families"),
        ({"reservation_token": bytes(7)}, "7 bytes"),
        ({"reservation_token": bytes(9)}, "9 bytes"),
        ({"reservation_token": TOKEN, "even_port": True}, "without even_port"),
        ({"reservation_token": TOKEN, "family": 4}, "without even_port and family"),
        ({"reservation_token": TOKEN, "family": "both"}, "without even_port and family"),
        ({"lifetime": 0}, "lifetime of 0"),
        ({"lifetime": 1 << 32}, "outside"),
        ({"transport": Transport.TCP, "dont_fragment": True}, "RFC 6062"),
        ({"transport": Transport.TCP, "even_port": True}, "RFC 6062"),
        ({"transport": Transport.TCP, "reservation_token": TOKEN}, "RFC 6062"),
    ],
)
def test_wishes_that_exclude_each_other_are_refused_here(wish, words):
    with pytest.raises(LocalProtocolError, match=words):
        AllocateWish(**wish)


@pytest.mark.parametrize(
    ("wish", "families"),
    [
        ({}, (4,)),
        ({"family": 4}, (4,)),
        ({"family": 6}, (6,)),
        ({"family": "both"}, (4, 6)),
        ({"reservation_token": TOKEN}, (4, 6)),
    ],
)
def test_the_families_of_the_answer_follow_from_the_wish(wish, families):
    assert AllocateWish(**wish).families == families


PORTS = {"even_port": True, "reserve_next": True}


@pytest.mark.parametrize(
    ("wish", "code", "unknown", "relaxed"),
    [
        ({"dont_fragment": True, "lifetime": 9}, 420, (DONT_FRAGMENT.code, 5), {"lifetime": 9}),
        ({"dont_fragment": True}, 420, (EVEN_PORT.code,), None),
        ({}, 420, (DONT_FRAGMENT.code,), None),
        (PORTS, 508, (), {}),
        ({"even_port": True, "family": 6}, 508, (), {"family": 6}),
        ({"reservation_token": TOKEN}, 508, (), {}),
        ({}, 508, (), None),
        (PORTS, 486, (), None),
        (PORTS, None, (), None),
    ],
)
def test_what_a_server_refuses_is_left_out_where_something_else_may_do(wish, code, unknown, relaxed):
    expected = AllocateWish(**relaxed) if relaxed is not None else None
    assert AllocateWish(**wish).relaxed(code, unknown) == expected


def test_a_token_is_shown_in_hex():
    assert "reservation_token=0001020304050607" in repr(AllocateWish(reservation_token=TOKEN))
    assert "reservation_token=None" in repr(AllocateWish())

import pytest

from _turn_client_scene import MAPPED, RELAYED, RELAYED6
from sansice.machine import Address
from sansice.stun import (
    ADDRESS_ERROR_CODE,
    LIFETIME,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    AddressErrorCode,
    Attribute,
    IntegrityAlgorithm,
    IntegrityKey,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.turn import AllocateWish
from sansice.turn._client._grant import Grant, Misfit, ip_version_of, read_grant

REST = ((XOR_MAPPED_ADDRESS, MAPPED), (LIFETIME, 600))
BOTH = AllocateWish(family="both")


def answer(*attributes, **options):
    return decode_untrusted(encode(Method.ALLOCATE, MessageClass.SUCCESS, bytes(range(12)), attributes, **options))


def read(*attributes, wish=BOTH, understood=(4, 6), **options):
    return read_grant(answer(*attributes, **options), wish, understood)


def relayed(*addresses):
    return [(XOR_RELAYED_ADDRESS, address) for address in addresses]


def test_an_answer_says_everything_about_an_allocation():
    token, refused = bytes(range(8)), AddressErrorCode(2, 508, "full")
    grant = read(*relayed(RELAYED), *REST, (RESERVATION_TOKEN, token), (ADDRESS_ERROR_CODE, refused))
    assert grant == Grant((RELAYED,), MAPPED, 600, token, refused)


@pytest.mark.parametrize("order", [(RELAYED, RELAYED6), (RELAYED6, RELAYED)])
def test_both_addresses_of_a_dual_allocation_are_read_ipv4_first(order):
    assert read(*relayed(*order), *REST).relayed == (RELAYED, RELAYED6)


def test_of_several_addresses_of_one_family_the_first_counts():
    assert read(*relayed(RELAYED, Address("198.51.100.2", 1)), *REST).relayed == (RELAYED,)


@pytest.mark.parametrize("algorithm", list(IntegrityAlgorithm))
def test_an_address_that_nothing_protects_is_not_seen(algorithm):
    protected = answer(*relayed(RELAYED), *REST, key=IntegrityKey(b"key"), algorithm=algorithm)
    extra = answer(*relayed(RELAYED6)).data[20:]
    data = protected.data[:2] + (len(protected.data) - 20 + len(extra)).to_bytes(2, "big") + protected.data[4:] + extra
    assert read_grant(decode_untrusted(data), BOTH, (4, 6)).relayed == (RELAYED,)


@pytest.mark.parametrize(
    "attributes",
    [
        REST,
        (*relayed(RELAYED), REST[1]),
        (*relayed(RELAYED), REST[0]),
        (*relayed(RELAYED), REST[0], (LIFETIME, 0)),
    ],
)
def test_an_answer_that_lacks_something_is_of_no_use(attributes):
    found = read(*attributes)
    assert isinstance(found, Misfit)
    assert "lacks" in found.reason
    assert not found.family


@pytest.mark.parametrize(
    "attributes",
    [
        ((Attribute(XOR_RELAYED_ADDRESS.code, "X", shapes.UINT16), 1), *REST),
        (*relayed(RELAYED), *REST, (Attribute(RESERVATION_TOKEN.code, "X", shapes.UINT32), 1)),
        (*relayed(RELAYED), REST[0], (Attribute(LIFETIME.code, "X", shapes.UINT64), 1)),
    ],
)
def test_an_answer_that_cannot_be_read_is_of_no_use(attributes):
    found = read(*attributes)
    assert isinstance(found, Misfit)
    assert "cannot be read" in found.reason


@pytest.mark.parametrize(
    "address", [Address("0.0.0.0", 1), Address("224.0.0.1", 1), Address("198.51.100.1", 0), Address("::", 1)]
)
def test_an_address_that_nobody_can_send_to_is_of_no_use(address):
    found = read(*relayed(address), *REST)
    assert isinstance(found, Misfit)
    assert "nobody can send" in found.reason


@pytest.mark.req("RFC8656-045")
@pytest.mark.parametrize(
    ("addresses", "mapped", "wish", "understood", "words"),
    [
        ((RELAYED6,), MAPPED, AllocateWish(), (4, 6), "not asked for"),
        ((RELAYED,), MAPPED, AllocateWish(family=6), (4, 6), "not asked for"),
        ((RELAYED, RELAYED6), MAPPED, AllocateWish(family=4), (4, 6), "not asked for"),
        ((RELAYED6,), MAPPED, AllocateWish(family=6), (4,), "not understood"),
        ((RELAYED,), RELAYED6, AllocateWish(), (4,), "not understood"),
    ],
)
def test_an_address_of_another_family_is_of_no_use_and_says_so(addresses, mapped, wish, understood, words):
    found = read(*relayed(*addresses), (XOR_MAPPED_ADDRESS, mapped), REST[1], wish=wish, understood=understood)
    assert isinstance(found, Misfit)
    assert words in found.reason
    assert found.family


def test_the_family_of_an_address():
    assert (ip_version_of(RELAYED), ip_version_of(RELAYED6)) == (4, 6)

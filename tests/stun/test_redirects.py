import pytest

from sansice.machine import Address
from sansice.stun import (
    ALTERNATE_DOMAIN,
    ALTERNATE_SERVER,
    ERROR_CODE,
    Attribute,
    ErrorCode,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.stun._client._redirects import Alternate, read_alternate

IPV4, IPV6 = Address("192.0.2.1", 3478), Address("2001:db8::1", 3478)
OTHER = Address("192.0.2.2", 3479)


def read(*attributes, asked=IPV4):
    data = encode(Method.BINDING, MessageClass.ERROR, bytes(12), [(ERROR_CODE, ErrorCode(300)), *attributes])
    return read_alternate(decode_untrusted(data), asked)


def test_an_alternate_server_may_have_a_domain():
    assert read((ALTERNATE_SERVER, OTHER)) == Alternate(OTHER, None)
    assert read((ALTERNATE_SERVER, OTHER), (ALTERNATE_DOMAIN, "Turn.Example.")) == Alternate(OTHER, "turn.example")


def test_of_two_alternate_servers_the_first_one_counts_which_is_of_our_family():
    both = [(ALTERNATE_SERVER, OTHER), (ALTERNATE_SERVER, IPV6)]
    assert read(*both) == Alternate(OTHER, None)
    assert read(*both, asked=IPV6) is None
    assert read(*both[::-1], asked=Address("2001:db8::9", 1)) == Alternate(IPV6, None)


@pytest.mark.parametrize("domain", ["192.0.2.1", "no/name", "", "a b", "-", "x" * 64])
def test_a_domain_that_no_certificate_can_carry_leads_nowhere(domain):
    assert read((ALTERNATE_SERVER, OTHER), (ALTERNATE_DOMAIN, domain)) is None


def test_a_redirection_without_an_address_or_with_a_broken_one_leads_nowhere():
    assert read() is None
    assert read((ALTERNATE_SERVER, Address("192.0.2.2", 0))) is None
    assert read((Attribute(ALTERNATE_SERVER.code, "broken", shapes.OPAQUE), b"\0\1")) is None

import pytest

from sansice.machine import Transport
from sansice.stun import size_budget

UDP, TCP, TLS, DTLS = Transport


@pytest.mark.req("RFC8489-014")
def test_over_udp_a_message_fits_into_what_every_path_carries():
    assert size_budget(UDP, ipv6=False) == 576 - 20 - 8 == 548
    assert size_budget(UDP, ipv6=True) == 1280 - 40 - 8
    assert size_budget(UDP, ipv6=False, mtu=1500) == 1472


@pytest.mark.req("RFC8489-015")
@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("mtu", [None, 1400])
def test_over_dtls_there_is_room_for_the_record_its_mac_and_its_padding(ipv6, mtu):
    # RFC 5246 6.2.3.2, the largest of the cipher suites: 16 bytes of IV, 48 of MAC, up to 16 of padding; 13 of header.
    assert size_budget(UDP, ipv6=ipv6, mtu=mtu) - size_budget(DTLS, ipv6=ipv6, mtu=mtu) == 13 + 16 + 48 + 16


@pytest.mark.parametrize("transport", [TCP, TLS])
def test_over_streams_only_the_length_field_limits_a_message(transport):
    assert size_budget(transport, ipv6=False, mtu=576) == 20 + 65532

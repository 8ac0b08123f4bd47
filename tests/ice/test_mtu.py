"""How much data fits into a packet, by the headers that are before it."""

import pytest

from ice._wire import candidate, make_local
from sansice.ice import CandidateType
from sansice.ice._mtu import data_mtu
from sansice.ice._pair import Pair
from sansice.machine import Address
from sansice.stun import DATA, XOR_PEER_ADDRESS, MessageClass, Method, TransactionId, encode

HOST, RELAYED = CandidateType.HOST, CandidateType.RELAYED


def pair(host, *, type=HOST, remote_type=HOST):
    own = "2001:db8::1" if ":" in host else "192.0.2.1"
    return Pair(make_local(own, type=type), candidate(host, type=remote_type), Address(host, 5000), 1)


@pytest.mark.parametrize(("host", "bytes"), [("198.51.100.1", 1280 - 28), ("2001:db8::2", 1280 - 48)])
def test_headers_of_ip_and_udp_are_taken_off(host, bytes):
    assert data_mtu(pair(host), 1280) == bytes
    assert data_mtu(pair(host), 1500) == bytes + 220


@pytest.mark.parametrize("ends", [{"type": RELAYED}, {"remote_type": RELAYED}, {"type": RELAYED, "remote_type": RELAYED}])
@pytest.mark.parametrize("host", ["198.51.100.1", "2001:db8::2"])
def test_what_fits_on_a_relayed_path_fits_into_an_indication_that_goes_over_ipv6(host, ends):
    size = data_mtu(pair(host, **ends), 1280)

    def packet(size):
        content = [(XOR_PEER_ADDRESS, Address(host, 5000)), (DATA, bytes(size))]
        return 40 + 8 + len(encode(Method.SEND, MessageClass.INDICATION, TransactionId(bytes(12)), content))

    assert packet(size) <= 1280
    assert packet(size + 4) > 1280

"""The names of STUN's usages in TLS."""

import pytest

from sansice.stun import ALPN_NAT_DISCOVERY, ALPN_TURN


@pytest.mark.req("RFC7443-001")
def test_turn_is_negotiated_by_its_registered_bytes():
    assert ALPN_TURN.encode() == bytes.fromhex("73 74 75 6E 2E 74 75 72 6E")


@pytest.mark.req("RFC7443-002")
def test_nat_discovery_is_negotiated_by_its_registered_bytes():
    assert ALPN_NAT_DISCOVERY.encode() == bytes.fromhex("73 74 75 6E 2E 6e 61 74 2d 64 69 73 63 6f 76 65 72 79")

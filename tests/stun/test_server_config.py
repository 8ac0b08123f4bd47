import math

import pytest

from sansice.machine import Address, Transport
from sansice.stun import Listener, StunServerConfig

FOUR, SIX = Address("192.0.2.1", 3478), Address("2001:db8::1", 3478)


@pytest.mark.req("RFC8489-117", "RFC8489-142")
def test_by_default_a_server_is_the_basic_one_with_a_rate_limit():
    config = StunServerConfig()
    assert (config.software, config.alternates, config.behavior, config.classic) == (None, (), False, True)
    assert (config.rate, config.burst) == (100.0, 200)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": math.inf}, "rate"),
        ({"burst": 0}, "burst"),
        ({"max_amplification": 0.5}, "max_amplification"),
        ({"receive_buffer": -1}, "receive_buffer"),
        ({"max_connections": 0}, "max_connections"),
        ({"message_timeout": 0}, "message_timeout"),
        ({"idle_timeout": math.inf}, "idle_timeout"),
        ({"drain_grace": math.nan}, "drain_grace"),
        ({"software": "x" * 128}, "software"),
        ({"require_fingerprint": True}, "classic"),
        ({"alternates": [FOUR, FOUR]}, "alternates"),
        ({"alternates": [FOUR], "behavior": True}, "alternates"),
        ({"alternate_domain": "example.org"}, "alternate_domain"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(wrong, words):
    with pytest.raises(ValueError, match=words):
        StunServerConfig(**wrong)


def test_sequences_are_kept_as_tuples():
    config = StunServerConfig(alternates=[SIX, FOUR], alternate_domain="example.org", alpn=["stun.turn"])
    assert (config.alternates, config.alpn) == ((SIX, FOUR), ("stun.turn",))
    assert StunServerConfig(rate=None).rate is None
    assert StunServerConfig(classic=False, require_fingerprint=True).require_fingerprint


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_wildcard_is_refused(host):
    with pytest.raises(ValueError, match="each address"):
        Listener(Transport.UDP, Address(host, 3478))


def test_a_listener_reads_as_on_the_command_line():
    assert str(Listener(Transport.TLS, SIX)) == "tls:[2001:db8::1]:3478"


def test_a_listener_for_streams_names_the_proxies_it_trusts():
    place = Address("192.0.2.1", 3478)
    assert Listener(Transport.TCP, place, trusted_proxies=["10.0.0.0/8"]).trusted_proxies == ("10.0.0.0/8",)
    with pytest.raises(ValueError, match="only over TCP and TLS"):
        Listener(Transport.UDP, place, trusted_proxies=("10.0.0.0/8",))
    with pytest.raises(ValueError, match=r"trusted_proxies: 10\.0\.0\.1/8 has host bits set"):
        Listener(Transport.TLS, place, trusted_proxies=("10.0.0.1/8",))

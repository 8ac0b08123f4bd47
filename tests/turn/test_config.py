"""What a TURN server may be told about itself, and what it refuses to be told."""

import pytest

from sansice.machine import Address
from sansice.stun import StunServerConfig
from sansice.turn import RelayAddress, TurnServerConfig

ALTERNATE = Address("203.0.113.1", 3478)


@pytest.mark.req("RFC8656-041", "RFC8656-043")
def test_by_default_it_keeps_to_what_the_rfc_recommends():
    config = TurnServerConfig()
    assert (config.default_lifetime, config.max_lifetime, config.relay_ports) == (600, 3600, (49152, 65535))
    assert (config.anonymous, config.tcp_relay, config.mobility) == (False, False, False)


@pytest.mark.req("RFC8656-041")
def test_no_relayed_address_has_a_well_known_port():
    with pytest.raises(ValueError, match="relay_ports"):
        TurnServerConfig(relay_ports=(1023, 2000))
    assert TurnServerConfig(relay_ports=(1024, 2000)).relay_ports == (1024, 2000)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"relay_ports": (60000, 50000)}, "relay_ports"),
        ({"relay_ports": (60000, 65536)}, "relay_ports"),
        ({"default_lifetime": 0}, "default_lifetime"),
        ({"default_lifetime": 601, "max_lifetime": 600}, "default_lifetime"),
        ({"reservation_lifetime": 29.9}, "reservation_lifetime"),
        ({"reservation_lifetime": float("inf")}, "reservation_lifetime"),
        ({"open_attempts": 0}, "open_attempts"),
        ({"max_unsent": 0}, "max_unsent"),
        ({"drain_grace": 0}, "drain_grace"),
        ({"drain_grace": float("nan")}, "drain_grace"),
        ({"worker": -1}, "worker"),
        ({"worker": 256}, "worker"),
        ({"ticket_key": b"short"}, "ticket_key"),
        ({"redirect_from": 5}, "redirect_from"),
        ({"redirect_from": -1, "alternates": [ALTERNATE]}, "redirect_from"),
        ({"stun": StunServerConfig(behavior=True)}, "stun"),
        ({"stun": StunServerConfig(alternates=[ALTERNATE])}, "stun"),
        ({"relay_addresses": ["relay.example.org"]}, "literal"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(wrong, words):
    with pytest.raises(ValueError, match=words):
        TurnServerConfig(**wrong)


def test_relay_addresses_may_be_texts():
    config = TurnServerConfig(relay_addresses=["192.0.2.1", RelayAddress("10.0.0.1", "192.0.2.2")])
    assert config.relay_addresses == (RelayAddress("192.0.2.1"), RelayAddress("10.0.0.1", "192.0.2.2"))


def test_no_key_is_shown():
    assert "ticket_key" not in repr(TurnServerConfig(ticket_key=bytes(32)))


class TestRelayAddress:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_it_is_one_that_peers_can_send_to(self, host):
        with pytest.raises(ValueError, match="peers"):
            RelayAddress(host)
        with pytest.raises(ValueError, match="peers"):
            RelayAddress("192.0.2.1" if host == "0.0.0.0" else "2001:db8::1", host)

    def test_both_sides_are_of_one_family(self):
        with pytest.raises(ValueError, match="one family"):
            RelayAddress("10.0.0.1", "2001:db8::1")

    def test_it_is_written_as_it_is_compared(self):
        with pytest.raises(ValueError, match="2001:db8::1"):
            RelayAddress("2001:DB8:0::1")

    def test_it_reads_as_on_the_command_line(self):
        assert str(RelayAddress("10.0.0.1", "203.0.113.1")) == "10.0.0.1=203.0.113.1"
        assert str(RelayAddress("2001:db8::1")) == "2001:db8::1"
        assert RelayAddress("2001:db8::1").is_ipv6

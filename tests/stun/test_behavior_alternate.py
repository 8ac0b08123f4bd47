"""Which addresses named by a server are sent to."""

import pytest

from sansice.machine import Address
from sansice.stun._behavior._alternate import why_no_alternate, why_not


def address(text):
    return Address.parse(text)


@pytest.mark.parametrize(
    ("server", "named"),
    [
        ("192.0.2.10:3478", "198.51.100.1:3479"),
        ("127.0.0.1:3478", "127.0.0.2:3479"),
        ("10.0.0.1:3478", "192.168.0.1:3479"),
        ("10.0.0.1:3478", "100.64.0.1:3479"),
        ("[2001:db8::1]:3478", "[2001:db8::2]:3479"),
        ("[fd00::1]:3478", "[fd00::2]:3479"),
        ("[fe80::1%eth0]:3478", "[fe80::2]:3479"),
    ],
)
def test_another_host_and_port_of_the_same_kind_is_accepted(server, named):
    assert why_no_alternate(address(named), address(server)) == ""


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("192.0.2.10:3479", "does not differ from 192.0.2.10:3478 in both"),
        ("192.0.2.20:3478", "does not differ from 192.0.2.10:3478 in both"),
        ("192.0.2.20:0", "has no port"),
        ("[2001:db8::1]:3479", "of another family"),
        ("0.0.0.0:3479", "no host's address"),
        ("0.1.2.3:3479", "no host's address"),
        ("224.0.0.1:3479", "no host's address"),
        ("240.0.0.1:3479", "no host's address"),
        ("255.255.255.255:3479", "no host's address"),
        ("127.0.0.1:3479", "not of the same kind"),
        ("169.254.169.254:80", "not of the same kind"),
        ("10.0.0.1:3479", "not of the same kind"),
        ("172.31.0.1:3479", "not of the same kind"),
        ("192.168.1.1:3479", "not of the same kind"),
        ("100.127.0.1:3479", "not of the same kind"),
    ],
)
def test_what_cannot_be_the_other_address_of_a_public_server_is_refused(named, reason):
    assert reason in why_no_alternate(address(named), address("192.0.2.10:3478"))


@pytest.mark.parametrize("named", ["[::]:1", "[ff02::1]:1", "[::1]:1", "[fe80::1]:1", "[fc00::1]:1"])
def test_the_same_goes_for_ipv6(named):
    assert why_not(address(named), address("[2001:db8::10]:3478"))


@pytest.mark.parametrize(("server", "named"), [("127.0.0.1:1", "192.0.2.1:2"), ("10.0.0.1:1", "127.0.0.1:2")])
def test_a_server_at_home_does_not_send_us_elsewhere(server, named):
    assert "not of the same kind" in why_not(address(named), address(server))

"""Values of the command line, and what is none."""

import re

import pytest

from sansice.turn import RelayAddress, TurnLimits
from sansice_cli.serve._values import (
    LIMITS,
    byte_rate,
    changed_limits,
    external_address,
    host,
    port_range,
    relay_addresses,
    shown_url,
    web_address,
)


def test_ranges_of_ports():
    assert port_range("49152-65535") == (49152, 65535)
    assert port_range("5000-5000") == (5000, 5000)


@pytest.mark.parametrize("text", ["", "5", "5-", "-5", "0-5", "6-5", "1-65536", "a-b", "1 - 2", "\u0661-\u0662", "1-2-3"])
def test_what_is_no_range_of_ports(text):
    with pytest.raises(ValueError, match="is not a range of ports, as in 49152-65535"):
        port_range(text)


def test_rates_in_bytes():
    texts = {"1": 1, "250000": 250_000, "250k": 250_000, "250K": 250_000, "1.5M": 1_500_000, "0.001G": 1_000_000}
    assert {text: byte_rate(text) for text in texts} == texts


@pytest.mark.parametrize("text", ["", "0", "0.5", "-1", "1e9", "1.M", "5Mbit", "nan", "inf", "1" * 16])
def test_what_is_no_rate(text):
    with pytest.raises(ValueError, match="is not a number of bytes a second"):
        byte_rate(text)


def test_hosts_are_literals():
    assert host("192.0.2.1") == "192.0.2.1"
    assert host("[2001:DB8::1]") == host("2001:db8:0::1") == "2001:db8::1"
    with pytest.raises(ValueError, match="'localhost' is not a literal"):
        host("localhost")


def test_external_addresses():
    assert external_address("192.0.2.1") == (None, "192.0.2.1")
    assert external_address("10.0.0.5=192.0.2.1") == ("10.0.0.5", "192.0.2.1")
    with pytest.raises(ValueError, match="is not a literal"):
        external_address("=192.0.2.1")


def test_an_external_address_without_a_private_one_is_that_of_its_family():
    hosts = ["10.0.0.5", "fd00::5"]
    assert relay_addresses(hosts, ()) == (RelayAddress("10.0.0.5"), RelayAddress("fd00::5"))
    found = relay_addresses(hosts, ((None, "192.0.2.1"), ("fd00::5", "2001:db8::1")))
    assert found == (RelayAddress("10.0.0.5", "192.0.2.1"), RelayAddress("fd00::5", "2001:db8::1"))


@pytest.mark.parametrize(
    ("external", "complaint"),
    [
        (((None, "192.0.2.1"), ("10.0.0.5", "192.0.2.2")), "two public addresses"),
        ((("10.0.0.6", "192.0.2.1"),), "10.0.0.6: no relayed address is made there; those are 10.0.0.5"),
        (((None, "2001:db8::1"),), "2001:db8::1: no relayed address is made there"),
        ((("10.0.0.5", "2001:db8::1"),), "not of one family"),
    ],
)
def test_external_addresses_that_fit_nowhere(external, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        relay_addresses(["10.0.0.5"], external)


def test_every_limit_can_be_changed_by_its_name():
    limits = TurnLimits()
    for name in LIMITS:
        now = getattr(changed_limits(limits, [f"{name}=2"]), name.replace("-", "_"))
        assert now == 2, name
    changed = changed_limits(limits, ["burst=0.5", "bytes-per-second=1.5M", "allocations=3"])
    assert (changed.burst, changed.bytes_per_second, changed.allocations) == (0.5, 1_500_000, 3)
    assert changed_limits(changed, ["bytes-per-second=none"]).bytes_per_second is None
    assert changed_limits(changed, []) == changed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("allocations", "'allocations' is no limit, as in allocations-per-user=5; they are allocations, "),
        ("allocation=5", "is no limit"),
        ("bytes_per_second=5", "is no limit"),
        ("allocations=many", "allocations: 'many' is no number"),
        ("allocations=-1", "allocations: -1 is below 0"),
        ("bytes-per-second=fast", "is not a number of bytes a second"),
        ("channels-per-allocation=5000", "there are 4096 channel numbers"),
    ],
)
def test_limits_that_make_no_sense_change_nothing(text, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        changed_limits(TurnLimits(), [text])


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://users.example.org/", "https://users.example.org/"),
        ("http://127.0.0.1:8080/a?key=hunter2", "http://127.0.0.1:8080/a?..."),
        ("https://[::1]/a?key=hunter2#hunter2", "https://[::1]/a?..."),
        ("no url", "no url"),
    ],
)
def test_keys_in_a_url_are_not_shown(url, shown):
    assert web_address(url) == url
    assert shown_url(url) == shown

"""IPv6-only networks that reach IPv4 (RFC 6052, 6146, 7915)."""

import attrs
import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, Nat64Prefix, NatKind, Network, Packet
from sansice.simulation._world._packets import Fragment
from simulation._wires import ACK, OUTER, RST, SYN, Wires, tcp, udp

PREFIX = "64:ff9b::/96"
PHONE, TABLET = Address("2001:db8:6::2", 5000), Address("2001:db8:6::3", 5000)
SERVER, STRANGER, SIX = Address("192.0.2.1", 1), Address("192.0.2.2", 1), Address("2001:db8:1::1", 6)
SEEN = Address("64:ff9b::c000:201", 1)  # the server, as the phone sees it


def nat64_wires(prefix=PREFIX, **options):
    return Wires(
        lambda net: net.nat(OUTER, nat64=prefix, **options),
        inside=(PHONE.host, TABLET.host),
        outside=(SERVER.host, STRANGER.host, SIX.host),
    )


@pytest.mark.parametrize(
    ("prefix", "embedded"),
    [  # RFC 6052 2.4
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
        ("64:ff9b::/96", "64:ff9b::c000:221"),
    ],
)
def test_the_published_addresses_embed_and_extract(prefix, embedded):
    known = Nat64Prefix(prefix)
    assert Address.of(known.embed("192.0.2.33"), 0) == Address.of(embedded, 0)
    assert known.extract(known.embed("192.0.2.33")) == "192.0.2.33"
    assert known.extract("2001:db9::1") is None


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.0.1", "172.16.5.5", "100.64.0.1", "127.0.0.1", "169.254.1.1"])
def test_private_addresses_are_none_in_the_well_known_prefix(host):
    assert Nat64Prefix().extract(Nat64Prefix().embed(host)) is None
    own = Nat64Prefix("2001:db8:64::/96")
    assert own.extract(own.embed(host)) == host


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("2001:db8::/33", "a NAT64 prefix is /32, /40, /48, /56, /64, /96 long, not 2001:db8::/33"),
        ("10.0.0.0/8", "'10.0.0.0/8' is no IPv6 prefix for NAT64"),
        ("2001:db8::1/32", "is no IPv6 prefix for NAT64"),
        ("2001:db8:0:0:100::/96", "bits 64 to 71 of the NAT64 prefix .* must be zero"),
    ],
)
def test_a_prefix_that_is_none_is_refused(prefix, reason):
    with pytest.raises(ValueError, match=reason):
        Nat64Prefix(prefix)


@pytest.mark.parametrize("addresses", [("2001:db8::1",), (OUTER, "2001:db8::1")])
def test_nat64_needs_outer_addresses_of_ipv4_alone(addresses):
    with pytest.raises(ValueError, match="NAT64 needs outer addresses of IPv4, and of IPv4 alone"):
        Network().nat(*addresses, nat64=PREFIX)


def test_datagrams_cross_between_the_families():
    wires = nat64_wires()
    left = wires.out(udp(PHONE, SEEN, b"hello"))
    assert (left.source.host, left.destination, left.data) == (OUTER, SERVER, b"hello")
    assert wires.into(udp(SERVER, left.source, b"back")) == udp(SEEN, PHONE, b"back")
    assert wires.into(udp(STRANGER, left.source)) is None
    assert wires.lost == {Fate.FILTERED: 1}
    assert [mapping.inner for mapping in wires.box.mappings] == [PHONE]


def test_tcp_crosses_between_the_families():
    wires = nat64_wires()
    outer = wires.out(tcp(PHONE, SEEN, SYN)).source
    assert wires.into(tcp(SERVER, outer, SYN | ACK)) == tcp(SEEN, PHONE, SYN | ACK)


def test_ipv6_is_routed_as_it_is():
    wires = nat64_wires()
    assert wires.out(udp(PHONE, SIX)) == udp(PHONE, SIX)
    assert wires.into(udp(SIX, PHONE)) == udp(SIX, PHONE)
    wires.box.detach(PHONE.host)
    assert wires.into(udp(SIX, PHONE)) is None


def test_ipv6_may_be_firewalled():
    wires = nat64_wires(firewall="stateful")
    assert wires.into(udp(SIX, PHONE)) is None
    assert wires.out(udp(PHONE, SIX)) is not None
    assert wires.into(udp(SIX, PHONE)) is not None
    wires.box.reboot()
    assert wires.into(udp(SIX, PHONE)) is None


def test_a_private_address_in_the_well_known_prefix_leads_nowhere():
    wires = nat64_wires()
    assert wires.out(udp(PHONE, (Nat64Prefix().embed("10.0.0.1"), 1))) is None
    assert wires.lost == {Fate.UNROUTABLE: 1}


def test_datagrams_are_turned_round_where_hosts_inside_speak_to_each_other_by_ipv4():
    wires = nat64_wires(kind=NatKind(hairpinning=True, filtering=Filtering.ENDPOINT_INDEPENDENT))
    outer = wires.out(udp(PHONE, SEEN)).source
    turned = wires.turn(udp(TABLET, (Nat64Prefix().embed(OUTER), outer.port)))
    assert turned.destination == PHONE
    assert turned.source.host == Nat64Prefix().embed(OUTER)
    assert wires.turn(udp(PHONE, turned.source)).destination == TABLET


def test_where_hairpinning_keeps_the_inner_source_that_is_ipv6_already():
    wires = nat64_wires(kind=NatKind(hairpinning="internal-source", filtering=Filtering.ENDPOINT_INDEPENDENT))
    outer = wires.out(udp(PHONE, SEEN)).source
    assert wires.turn(udp(TABLET, (Nat64Prefix().embed(OUTER), outer.port))) == udp(TABLET, PHONE)


def test_what_is_not_turned_round_is_refused_in_ipv6():
    wires = nat64_wires(kind=NatKind(refuses=True))
    itself = Address(Nat64Prefix().embed(OUTER), 9)
    refusal = wires.turn(udp(TABLET, itself))
    assert (refusal.source, refusal.icmp, refusal.quoted) == (Address(itself.host, 0), IcmpError(1, 4, ipv6=True), itself)
    assert wires.turn(tcp(TABLET, itself, SYN)).tcp.flags == RST | ACK


def test_fragments_cross_between_the_families():
    wires = nat64_wires()
    first = udp(PHONE, SEEN)._replace(fragment=Fragment(1, 0, True, 24))
    second = udp((PHONE.host, 0), (SEEN.host, 0))._replace(fragment=Fragment(1, 8, False, 24))
    left = wires.out(first)
    assert wires.out(second).source == Address(OUTER, 0)
    back = udp(SERVER, left.source)._replace(fragment=Fragment(2, 0, True, 24))
    assert wires.into(back).source == SEEN


def test_only_what_fits_everywhere_in_ipv6_may_be_cut_in_ipv4():
    wires = nat64_wires()
    assert not wires.out(udp(PHONE, SEEN, bytes(1232))).dont_fragment
    assert wires.out(udp(PHONE, SEEN, bytes(1233))).dont_fragment
    part = udp(PHONE, SEEN, bytes(1304))._replace(fragment=Fragment(1, 0, True, 2600))
    assert not wires.out(part).dont_fragment  # RFC 7915 5.1.1


@pytest.mark.parametrize(
    ("four", "six"),
    [
        *[(IcmpError(3, code), IcmpError(1, 0, ipv6=True)) for code in (0, 1, 5, 6, 7, 8, 11, 12)],
        *[(IcmpError(3, code), IcmpError(1, 1, ipv6=True)) for code in (9, 10, 13, 15)],
        (IcmpError(3, 3), IcmpError(1, 4, ipv6=True)),
        (IcmpError(3, 14), None),
        (IcmpError(3, 4, mtu=1400), IcmpError(2, 0, ipv6=True, mtu=1420)),
        (IcmpError(3, 4, mtu=576), IcmpError(2, 0, ipv6=True, mtu=1280)),
        (IcmpError(11, 0), IcmpError(3, 0, ipv6=True)),
        (IcmpError(11, 1), IcmpError(3, 1, ipv6=True)),
        (IcmpError(3, 2), None),
    ],
)
def test_errors_come_in_as_those_of_ipv6(four, six):
    wires = nat64_wires()
    outer = wires.out(udp(PHONE, SEEN)).source
    came = wires.into(Packet(Address(STRANGER.host, 0), outer, b"", four, SERVER))
    if six is None:
        assert came is None
        assert wires.lost == {Fate.FILTERED: 1}
    else:
        assert came == Packet(Address(Nat64Prefix().embed(STRANGER.host), 0), PHONE, b"", six, SEEN)


@pytest.mark.parametrize(
    ("six", "four"),
    [
        *[(IcmpError(1, code, ipv6=True), IcmpError(3, 1)) for code in (0, 2, 3)],
        (IcmpError(1, 1, ipv6=True), IcmpError(3, 10)),
        (IcmpError(1, 4, ipv6=True), IcmpError(3, 3)),
        (IcmpError(1, 5, ipv6=True), None),
        *[(IcmpError(3, code, ipv6=True), IcmpError(11, code)) for code in (0, 1)],
        (IcmpError(2, 0, ipv6=True, mtu=1400), IcmpError(3, 4, mtu=1380)),
        (IcmpError(4, 0, ipv6=True), None),
        (IcmpError(4, 1, ipv6=True), IcmpError(3, 2)),
    ],
)
def test_errors_leave_as_those_of_ipv4(six, four):
    wires = nat64_wires()
    outer = wires.out(udp(PHONE, SEEN)).source
    left = wires.out(Packet(Address(PHONE.host, 0), SEEN, b"", six, PHONE))
    if four is None:
        assert left is None
    else:
        assert (left.source, left.destination, left.icmp, left.quoted) == (Address(OUTER, 0), SERVER, four, outer)


def test_a_nat64_may_have_ipv4_inside_as_well():
    wires = Wires(lambda net: net.nat(OUTER, nat64=PREFIX), inside=(PHONE.host, "10.0.0.2"))
    outer = wires.out(udp(("10.0.0.2", 5), SERVER)).source
    assert wires.into(udp(SERVER, outer)) == udp(SERVER, ("10.0.0.2", 5))


def test_a_prefix_may_be_given_as_a_value():
    prefix = Nat64Prefix("2001:db8:64::/96")
    wires = nat64_wires(prefix)
    assert wires.box.nat64 == prefix
    assert wires.out(udp(PHONE, (prefix.embed(SERVER.host), 1))).destination == SERVER
    assert attrs.evolve(prefix, network=PREFIX) == Nat64Prefix()

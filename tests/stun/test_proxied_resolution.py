"""Servers behind a proxy: only the proxy is looked up."""

import math

import pytest

from sansice import Address, AddressRecord, LocalProtocolError, ProxyOptions, RecordKind, Resolve, ResolveError, Transport
from sansice.stun import HttpProxy, ProxiedResolution, ResolutionFailed, ServerResolved, ServerTarget, ServerUri

AT = Address("10.1.0.10", 3128)
PROXY = HttpProxy("10.1.0.10", 3128, "u", "p")
NAMED = HttpProxy("proxy.example", 8080)


def started(uri, proxy=PROXY, **options):
    resolution = ProxiedResolution(ServerUri.parse(uri), proxy, **options)
    resolution.start(now=0.0)
    return resolution, resolution.take_outputs()


def through(authority=None, at=AT, *, proxy=PROXY):
    return ProxyOptions(at, proxy.username, proxy.password, authority)


@pytest.mark.parametrize(
    ("uri", "targets"),
    [
        (
            "turns:turn.example:443?transport=tcp",
            (ServerTarget(Transport.TLS, AT, "turn.example", through("turn.example:443")),),
        ),
        ("turn:turn.example?transport=tcp", (ServerTarget(Transport.TCP, AT, None, through("turn.example:3478")),)),
        (
            "turn:turn.example",
            (ServerTarget(Transport.TCP, AT, None, through("turn.example:3478")),),
        ),
        ("turns:turn.example", (ServerTarget(Transport.TLS, AT, "turn.example", through("turn.example:5349")),)),
        ("turn:192.0.2.1:80?transport=tcp", (ServerTarget(Transport.TCP, Address("192.0.2.1", 80), None, through()),)),
        ("turn:[2001:db8::1]", (ServerTarget(Transport.TCP, Address("2001:db8::1", 3478), None, through()),)),
    ],
)
def test_the_servers_name_is_left_to_the_proxy(uri, targets):
    assert started(uri)[1] == [ServerResolved(targets)]


def test_a_certificate_may_be_named():
    (resolved,) = started("turns:192.0.2.1:443", verify_name="turn.example")[1]
    assert resolved.targets == (ServerTarget(Transport.TLS, Address("192.0.2.1", 443), "turn.example", through()),)
    with pytest.raises(LocalProtocolError, match="verify_name"):
        ProxiedResolution(ServerUri.parse("turns:192.0.2.1"), PROXY, verify_name="a b")


def test_the_proxys_name_is_looked_up_here_and_both_families_are_ways_out():
    resolution, outputs = started("turns:turn.example:443", NAMED)
    assert [(type(one), one.name, one.kind) for one in outputs] == [
        (Resolve, "proxy.example", RecordKind.AAAA),
        (Resolve, "proxy.example", RecordKind.A),
    ]
    assert resolution.deadline() < math.inf
    resolution.handle_resolved(outputs[0].query, (AddressRecord("2001:db8::10"),), now=0.1)
    resolution.handle_resolved(outputs[1].query, (AddressRecord("10.1.0.10"),), now=0.1)
    (resolved,) = resolution.take_outputs()
    assert [target.proxy for target in resolved.targets] == [
        through("turn.example:443", Address("2001:db8::10", 8080), proxy=NAMED),
        through("turn.example:443", Address("10.1.0.10", 8080), proxy=NAMED),
    ]
    assert [target.towards for target in resolved.targets] == [Address("2001:db8::10", 8080), Address("10.1.0.10", 8080)]
    assert str(resolved.targets[1]) == "turn.example:443 through 10.1.0.10:8080"


def test_a_proxy_that_nobody_knows_is_said_to_be_one():
    resolution, outputs = started("turns:turn.example:443", NAMED, families=(4,))
    resolution.handle_resolved(outputs[0].query, ResolveError.NOT_FOUND, now=0.1)
    (failed,) = resolution.take_outputs()
    assert failed.reason.startswith("the proxy http://proxy.example:8080: no server found")


def test_a_silent_name_server_is_given_up():
    resolution, _ = started("turns:turn.example:443", NAMED, timeout=1.0)
    resolution.handle_timer(now=resolution.deadline())
    assert [type(one) for one in resolution.take_outputs()] == [ResolutionFailed]


def test_who_cancels_hears_nothing():
    resolution, _ = started("turns:turn.example:443", NAMED)
    resolution.cancel(now=0.1)
    assert (resolution.deadline(), resolution.take_outputs()) == (math.inf, [])


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("turn:turn.example?transport=udp", "through a proxy UDP is not among the transports"),
        ("turns:turn.example?transport=udp", "through a proxy DTLS is not among the transports"),
        ("turns:192.0.2.1:443", "give the name to verify"),
    ],
)
def test_what_no_proxy_carries_is_not_asked(uri, words):
    (failed,) = started(uri)[1]
    assert words in failed.reason


def test_an_alternate_server_is_gone_to_by_the_same_way():
    named = ServerTarget(Transport.TLS, AT, "turn.example", through("turn.example:443"))
    other = Address("192.0.2.9", 443)
    assert named.redirected(other, "b.example") == ServerTarget(Transport.TLS, other, "b.example", through())
    plain = ServerTarget(Transport.TCP, Address("192.0.2.1", 80))
    assert plain.redirected(other, None) == ServerTarget(Transport.TCP, other)
    assert (str(plain), plain.towards) == ("192.0.2.1:80", plain.address)
    assert str(ServerTarget(Transport.TCP, other, None, through())) == "192.0.2.9:443 through 10.1.0.10:3128"

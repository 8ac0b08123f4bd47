"""NATs that make it hard, or should, or break what they forward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansice.simulation._scene._changes import At, NatRebooted
from sansice.simulation._scene._parts import AgentSpec, Expectation, HostSpec, NatSpec
from sansice.simulation._scene._scene import Scene

from ._cast import ASK_STUN, STUN, couple

_RELAY = "relayed candidates will connect it"


def nats() -> Iterator[Scene]:
    """The scenes of this module."""
    yield _between(
        NatSpec("office", "203.0.113.1", "symmetric"),
        NatSpec("campus", "198.51.100.1", "symmetric"),
        name="symmetric-to-symmetric",
        about="Both ends behind NATs that use another port for every destination: neither can guess where the other's packets "
        "will come from, and no rule of ICE helps. Firewalls of companies and of some mobile networks are like this.",
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield _between(
        NatSpec("office", "203.0.113.1", "symmetric"),
        NatSpec("home B", "198.51.100.1"),
        name="symmetric-to-port-restricted",
        about="An employee behind a symmetric firewall calls somebody at home. The home's box waits for a port that the "
        "firewall will not use; the commonest reason why a call needs a relay.",
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield _between(
        NatSpec("hotel", "203.0.113.1", "symmetric", lifetime=30.0),
        NatSpec("home B", "198.51.100.1", "restricted-cone"),
        name="hotel",
        about="The Wi-Fi of a hotel: a gateway with another port for every destination that forgets after 30 s. The home at "
        "the other end looks at addresses only, which is what lets this call succeed.",
        expect=Expectation(pair_types="prflx-srflx"),
        duration=120.0,
    )
    yield _between(
        NatSpec("router A", "203.0.113.1", "linux-masquerade"),
        NatSpec("router B", "198.51.100.1", "linux-masquerade"),
        name="linux-masquerade",
        about="Two routers that are Linux boxes with nftables, closed outside as a router should be: ports are kept where "
        "they are free, and connections are tracked.",
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield _between(
        NatSpec("router A", "203.0.113.1", "linux-masquerade-open-input"),
        NatSpec("router B", "198.51.100.1", "linux-masquerade-open-input"),
        name="linux-open-input",
        about="The same routers without a rule that closes their outside. A check of the one who is called comes before the "
        "caller sent any, and counts as a connection of the router's own that takes the port: what the caller sends "
        "then leaves from another one. A home-made router, or a container host, and a call that fails for no reason "
        "that anybody can see.",
        agents=(AgentSpec("alice", controlling=True, ice_servers=ASK_STUN), AgentSpec("bob", ice_servers=ASK_STUN, start=0.5)),
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield _between(
        NatSpec("home A", "203.0.113.1", lifetime=20.0),
        NatSpec("home B", "198.51.100.1", lifetime=20.0),
        name="short-lifetimes",
        about="Boxes that forget a mapping after 20 s, a sixth of what RFC 4787 REQ-5 asks for. Consent checks come every 5 s "
        "and keep the way open for as long as the call takes, even if nobody speaks.",
        expect=Expectation(pair_types="srflx-srflx"),
        duration=300.0,
    )
    yield _between(
        NatSpec("home A", "203.0.113.1"),
        NatSpec("home B", "198.51.100.1"),
        name="nat-reboots",
        about="A box is restarted during a call, and has another port for everything afterwards. The peer's box lets nothing "
        "in from there, so consent runs out after 30 s.",
        changes=(At(20.0, NatRebooted("home A")),),
        expect=Expectation(pair_types="srflx-srflx", lasts=False, later="a restart of ICE will bring the call back"),
    )
    yield _between(
        NatSpec("home A", "203.0.113.1", alg=True),
        NatSpec("home B", "198.51.100.1", alg=True),
        name="broken-alg",
        about="Boxes with an application level gateway that means well: it replaces the outer address by the inner one "
        "wherever it finds it in a packet. It is the reason why STUN has XOR-MAPPED-ADDRESS (RFC 8489 14.2), which it "
        "does not find.",
        expect=Expectation(pair_types="srflx-srflx"),
    )


def _between(a: NatSpec, b: NatSpec, **more: Any) -> Scene:
    """A call from one host behind each of two NATs."""
    parts: dict[str, Any] = {
        "nats": (a, b),
        "hosts": (HostSpec("alice", "192.168.1.2", behind=a.name), HostSpec("bob", "192.168.178.20", behind=b.name)),
        "servers": (STUN,),
        "agents": couple(),
    }
    return Scene(**{**parts, **more})

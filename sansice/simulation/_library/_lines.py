"""Lines that lose, delay and squeeze what crosses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansice.simulation._scene._changes import At, ServerRebooted
from sansice.simulation._scene._parts import AgentSpec, Expectation, HostSpec, NameSpec, NatSpec, TrafficSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._bursts import Bursts
from sansice.simulation._world._link import Link

from ._cast import ASK_STUN, STUN, couple

_HOME_B = NatSpec("home B", "198.51.100.1")


def lines() -> Iterator[Scene]:
    """The scenes of this module."""
    yield _at_home_over(
        Link(latency=0.3, jitter=0.01),
        name="satellite",
        about="A farm behind a geostationary satellite: 600 ms for every round trip before anybody has done anything. The "
        "first retransmission of a check leaves before the answer to it can be there.",
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield _at_home_over(
        Link(latency=0.004, jitter=0.004, bursts=Bursts.of(loss=0.08, length=3)),
        NatSpec("home B", "198.51.100.1", "full-cone"),
        name="lossy-wifi",
        about="A Wi-Fi at the far end of a flat. A packet in twelve is lost, and losses come three at a time, so that they "
        "take a request together with what repeats it. Where they take all that was asked of the STUN server, the other "
        "end's checks still find the way. One seed in some hundreds is too unlucky for all of that.",
        expect=Expectation(pair_types=("srflx-srflx", "prflx-srflx")),
    )
    yield _at_home_over(
        Link(latency=0.01, bandwidth=1e6, queue=65536),
        name="full-uplink",
        about="A home with an uplink of 1 Mbit/s on which somebody sends a film to the cloud. The box queues half a second of "
        "it, and every check waits at the end of the queue, or finds it full.",
        hosts=(
            HostSpec("alice", "192.168.1.2", behind="home A"),
            HostSpec("bob", "192.168.178.20", behind="home B"),
            HostSpec("laptop", "192.168.1.3", behind="home A"),
            HostSpec("cloud", "192.0.2.50"),
        ),
        traffic=(TrafficSpec("laptop", "cloud", 1e6),),
        agents=(
            AgentSpec("alice", controlling=True, ice_servers=ASK_STUN, start=5.0),
            AgentSpec("bob", ice_servers=ASK_STUN, start=5.0),
        ),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield _at_home_over(
        Link(latency=0.02, mtu=1280),
        name="small-mtu",
        about="A line inside a tunnel that passes nothing longer than 1280 bytes. Checks are short and notice nothing; the "
        "first large datagram of the application is cut in two, and both NATs must put up with fragments.",
        payload=1400,
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="stun-server-reboots",
        about="The STUN server is restarted at the moment when everybody asks it. A query is repeated after half a second and "
        "after one and a half, and finds it awake.",
        nats=(NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        names=(NameSpec("stun.example.org", "192.0.2.9"),),
        agents=couple(ice_servers="stun:stun.example.org"),
        changes=(At(0.0, ServerRebooted("stun", 1.0)),),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="called-late",
        about="The caller is ready, and the one who is called picks up after twenty seconds. Nothing has happened until then, "
        "and the mappings that STUN made must still be there.",
        nats=(NatSpec("home A", "203.0.113.1", lifetime=120.0), NatSpec("home B", "198.51.100.1", lifetime=120.0)),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        agents=(
            AgentSpec("alice", controlling=True, ice_servers=ASK_STUN),
            AgentSpec("bob", ice_servers=ASK_STUN, start=20.0),
        ),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="one-ipv4-one-ipv6",
        about="One end has only IPv4, the other only IPv6, and nothing translates between them. There is no pair to check.",
        nats=(NatSpec("home A", "203.0.113.1"),),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "2001:db8:b::2")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(connected=False, later="a relay with addresses of both families will connect it"),
    )


def _at_home_over(link: Link, other: NatSpec = _HOME_B, **more: Any) -> Scene:
    """A call between two homes, the first of which has this line."""
    parts: dict[str, Any] = {
        "nats": (NatSpec("home A", "203.0.113.1", link=link), other),
        "hosts": (HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.178.20", behind="home B")),
        "servers": (STUN,),
        "agents": couple(),
    }
    return Scene(**{**parts, **more})

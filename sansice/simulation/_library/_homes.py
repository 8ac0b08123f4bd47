"""At home: one's own NAT, a second one by accident, a provider's on top."""

from __future__ import annotations

from collections.abc import Iterator

from sansice.simulation._scene._parts import Expectation, HostSpec, NatSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

from ._cast import STUN, couple

_RELAY = "relayed candidates will connect it"


def homes() -> Iterator[Scene]:
    """The scenes of this module."""
    yield Scene(
        name="two-homes",
        about="Two people at home, each behind the box of a provider. The commonest call there is: neither box lets anybody "
        "in whom it was not sent to, and both open when both ends send at once.",
        nats=(NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="same-home",
        about="Two computers in one home network, or in one office. Their packets need not leave it, and with ICE they do not.",
        nats=(NatSpec("home", "203.0.113.1", lan=Link(latency=0.001)),),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home"), HostSpec("bob", "192.168.1.3", behind="home")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="host-host"),
    )
    yield _routers_behind_a_box(
        name="same-home-hairpin",
        about="A house where every flat put a router of its own behind the landlord's box. Neighbours know each other only by "
        "the box's outer address, and the box turns such packets round, as RFC 4787 wants.",
        hairpinning=True,
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield _routers_behind_a_box(
        name="same-home-no-hairpin",
        about="The same house with a box that does not turn packets round, as many do not: the neighbours could call the "
        "whole world, but not each other.",
        hairpinning=False,
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield Scene(
        name="double-nat",
        about="A router of one's own plugged into the provider's box, both of them translating. Nobody notices until "
        "something must come in; ICE comes in all the same.",
        nats=(
            NatSpec("box", "203.0.113.1"),
            NatSpec("own router", "192.168.0.2", behind="box"),
            NatSpec("home B", "198.51.100.1"),
        ),
        hosts=(HostSpec("alice", "192.168.1.2", behind="own router"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="overlapping-homes",
        about="Both homes use 192.168.1.0/24, and in each of them somebody else has the address of the other's caller: here a "
        "printer that refuses checks with ICMP errors. What answers at the right address may be the wrong computer.",
        nats=(NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")),
        hosts=(
            HostSpec("alice", "192.168.1.2", behind="home A"),
            HostSpec("printer A", "192.168.1.3", behind="home A"),
            HostSpec("bob", "192.168.1.3", behind="home B"),
            HostSpec("printer B", "192.168.1.2", behind="home B"),
        ),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="carrier-grade-same",
        about="Two customers of one provider that has run out of addresses (RFC 6598): each home translates, and the provider "
        "translates again. Its NAT must turn packets round (RFC 6888 REQ-1 with RFC 4787 REQ-9), or they could not "
        "call each other.",
        nats=(
            NatSpec("carrier", "203.0.113.1", "cgnat"),
            NatSpec("home A", "100.64.1.1", behind="carrier"),
            NatSpec("home B", "100.64.2.1", behind="carrier"),
        ),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="carrier-grade-different",
        about="Customers of two providers that both share out their addresses: four translations in a row between the two, "
        "and the same private numbers at both ends.",
        nats=(
            NatSpec("carrier A", "203.0.113.1", "cgnat"),
            NatSpec("home A", "100.64.1.1", behind="carrier A"),
            NatSpec("carrier B", "198.51.100.1", "cgnat"),
            NatSpec("home B", "100.64.1.1", behind="carrier B"),
        ),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="lan-only",
        about="A ship, a shop floor, a home whose line is cut: a network without an Internet. The STUN server never answers, "
        "and the agents wait the three seconds that gathering may take before they connect.",
        nats=(NatSpec("home", "203.0.113.1", lan=Link(latency=0.001), link=Link(loss=1.0)),),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home"), HostSpec("bob", "192.168.1.3", behind="home")),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="host-host", later="with trickling they will not wait for the server"),
    )


def _routers_behind_a_box(*, name: str, about: str, hairpinning: bool, expect: Expectation) -> Scene:
    return Scene(
        name=name,
        about=about,
        nats=(
            NatSpec("box", "203.0.113.1", hairpinning=hairpinning),
            NatSpec("first floor", "10.0.0.2", behind="box"),
            NatSpec("second floor", "10.0.0.3", behind="box"),
        ),
        hosts=(HostSpec("alice", "192.168.1.2", behind="first floor"), HostSpec("bob", "192.168.1.2", behind="second floor")),
        servers=(STUN,),
        agents=couple(),
        expect=expect,
    )

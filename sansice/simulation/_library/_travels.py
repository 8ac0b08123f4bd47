"""On the way: phones, laptops, and computers with more interfaces than they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from sansice.simulation._scene._changes import At, HostSlept, InterfaceDown, InterfaceReaddressed, InterfaceUp
from sansice.simulation._scene._parts import (
    AgentSpec,
    Expectation,
    HostSpec,
    InterfaceSpec,
    NameSpec,
    NatSpec,
    SegmentSpec,
)
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

from ._cast import ASK_STUN, STUN, couple
from ._relays import TURN

_WIFI = Link(latency=0.002, jitter=0.003)
_LTE = Link(latency=0.03, jitter=0.015)
_DEAD = Link(loss=1.0)
_AT_HOME = HostSpec("bob", "192.168.178.20", behind="home B")
_HOME_B = NatSpec("home B", "198.51.100.1")
_PHONE = HostSpec(
    "phone",
    interfaces=(
        InterfaceSpec("192.168.1.2", "home A", link=_WIFI),
        InterfaceSpec("100.64.7.7", "carrier", link=_LTE, up=False),
    ),
)
_ON_THE_WAY = (NatSpec("home A", "203.0.113.1"), NatSpec("carrier", "203.0.113.200", "cgnat"), _HOME_B)
_GATHER_AGAIN = "an agent that gathers while connected, and renominates, will move"


def travels() -> Iterator[Scene]:
    """The scenes of this module."""
    yield Scene(
        name="phone-leaves-wifi",
        about="Somebody on the phone walks out of the house. The Wi-Fi is gone, the mobile network comes up a second later, "
        "behind the carrier's NAT, and everything about the old path is worthless.",
        nats=_ON_THE_WAY,
        hosts=(_PHONE, _AT_HOME),
        servers=(STUN,),
        agents=couple("phone", "bob"),
        changes=(At(10.0, InterfaceDown("phone", "192.168.1.2")), At(11.0, InterfaceUp("phone", "100.64.7.7"))),
        expect=Expectation(pair_types="srflx-srflx", lasts=False, later=_GATHER_AGAIN),
    )
    yield Scene(
        name="wifi-to-lte",
        about="Somebody on the phone leaves the house, and the phone does what good ones do: the mobile network is up before the "
        "Wi-Fi is gone. Both ends gather on and on, trickle and renominate; voice runs both ways all the time, and nobody "
        "misses a word of it.",
        nats=_ON_THE_WAY,
        hosts=(_PHONE, _AT_HOME),
        servers=(STUN,),
        agents=tuple(
            AgentSpec(
                name,
                controlling=name == "phone",
                ice_servers=ASK_STUN,
                nomination="renominating",
                trickle=True,
                roams=True,
                talks=0.02,
            )
            for name in ("phone", "bob")
        ),
        changes=(At(10.0, InterfaceUp("phone", "100.64.7.7")), At(12.0, InterfaceDown("phone", "192.168.1.2"))),
        duration=20.0,
        expect=Expectation(pair_types="srflx-srflx", silence=1.0),
    )
    yield Scene(
        name="phone-keeps-both",
        about="A phone that keeps the mobile network up beside the Wi-Fi, as some do during a call, and loses the Wi-Fi. A "
        "valid pair over the mobile network was there all the time.",
        nats=_ON_THE_WAY,
        hosts=(
            HostSpec(
                "phone",
                interfaces=(
                    InterfaceSpec("192.168.1.2", "home A", link=_WIFI),
                    InterfaceSpec("100.64.7.7", "carrier", link=_LTE),
                ),
            ),
            _AT_HOME,
        ),
        servers=(STUN,),
        agents=couple("phone", "bob"),
        changes=(At(10.0, InterfaceDown("phone", "192.168.1.2")),),
        expect=Expectation(pair_types="srflx-srflx", lasts=False, later="an agent that keeps a second pair will move to it"),
    )
    yield Scene(
        name="new-lease",
        about="The router gives a laptop another address in the middle of a call. Its sockets keep the old one, which nobody "
        "delivers to any more.",
        nats=(NatSpec("home A", "203.0.113.1"), _HOME_B),
        hosts=(HostSpec("laptop", "192.168.1.2", behind="home A"), _AT_HOME),
        servers=(STUN,),
        agents=couple("laptop", "bob"),
        changes=(At(10.0, InterfaceReaddressed("laptop", "192.168.1.2", "192.168.1.77")),),
        expect=Expectation(pair_types="srflx-srflx", lasts=False, later=_GATHER_AGAIN),
    )
    yield Scene(
        name="laptop-sleeps",
        about="A laptop's lid is closed for 15 s and opened again. Its programs stood still and wake to a later hour; the "
        "peer has waited, and consent lives for 30 s, so the call goes on.",
        nats=(NatSpec("home A", "203.0.113.1"), _HOME_B),
        hosts=(HostSpec("laptop", "192.168.1.2", behind="home A"), _AT_HOME),
        servers=(STUN,),
        agents=couple("laptop", "bob"),
        changes=(At(10.0, HostSlept("laptop", 15.0)),),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield from _laptops()
    yield _nat64_phone(
        _AT_HOME,
        name="nat64-phone",
        about="A phone in a mobile network that has only IPv6, and a friend who has only IPv4. The carrier translates between "
        "the families (RFC 6146), and DNS64 names the STUN server (RFC 6147), so that STUN tells the phone an address "
        "of the other family. Agents of today have no use for it, and do not know how to write the friend's address in "
        "IPv6.",
        expect=Expectation(
            connected=False, later="an agent that learns the carrier's prefix (RFC 7050), or a relay, will connect"
        ),
    )
    yield _nat64_phone(
        HostSpec("bob", ("192.168.178.20", "2001:db8:b::20"), behind="home B"),
        name="nat64-phone-to-dual-stack",
        about="The same phone, and a friend whose home has IPv6 as well, behind a box that lets in only answers. The two need "
        "no translator: IPv6 is all that they have in common, and enough.",
        expect=Expectation(pair_types="host-host"),
    )
    yield Scene(
        name="broken-ipv6",
        about="Both ends have IPv6 addresses, and the provider of one of them routes them nowhere. Without ICE a program "
        "waits for IPv6 to time out; checks of both families run side by side and the one that is answered wins.",
        nats=(NatSpec("home A", "203.0.113.1"), _HOME_B),
        hosts=(
            HostSpec(
                "alice",
                interfaces=(
                    InterfaceSpec("2001:db8:a::2", "home A", link=_DEAD),
                    InterfaceSpec("192.168.1.2", "home A"),
                ),
            ),
            HostSpec("bob", ("2001:db8:b::2", "192.168.178.20"), behind="home B"),
        ),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="vpn-half-up",
        about="A VPN client has made its interface and got its address, and the tunnel behind it does not work. Everything "
        "that is sent from that address vanishes; the address in front of it still works.",
        segments=(SegmentSpec("tunnel", link=_DEAD),),
        nats=(NatSpec("home A", "203.0.113.1"), _HOME_B),
        hosts=(
            HostSpec("alice", interfaces=(InterfaceSpec("10.8.0.6", "tunnel"), InterfaceSpec("192.168.1.2", "home A"))),
            HostSpec("company", "10.8.0.1", behind="tunnel"),
            _AT_HOME,
        ),
        servers=(STUN,),
        agents=couple(),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="many-interfaces",
        about="A developer's computer: an address on the LAN, two bridges of containers that lead nowhere, a virtual "
        "machine's network and a VPN into the company, each with candidates of its own. One pair of many works.",
        segments=(SegmentSpec("docker0"), SegmentSpec("compose"), SegmentSpec("vmnet8")),
        nats=(
            NatSpec("home A", "203.0.113.1"),
            NatSpec("company", "192.0.2.200", "symmetric", link=Link(latency=0.03)),
            _HOME_B,
        ),
        hosts=(
            HostSpec(
                "developer",
                interfaces=(
                    InterfaceSpec("172.17.0.1", "docker0"),
                    InterfaceSpec("172.18.0.1", "compose"),
                    InterfaceSpec("192.168.56.1", "vmnet8"),
                    InterfaceSpec("10.8.0.6", "company"),
                    InterfaceSpec("192.168.1.2", "home A"),
                ),
            ),
            HostSpec("container", "172.17.0.2", behind="docker0"),
            _AT_HOME,
        ),
        servers=(STUN,),
        agents=couple("developer", "bob"),
        expect=Expectation(pair_types="srflx-srflx"),
    )


def _laptops() -> Iterator[Scene]:
    """Laptops that wake when consent has ended at both ends; their programs restart, and all is well in a second."""
    nats = (NatSpec("home A", "203.0.113.1"), NatSpec("café", "203.0.113.77"), _HOME_B)
    here, there = "192.168.1.2", "10.7.0.9"
    interfaces = (InterfaceSpec(here, "home A"), InterfaceSpec(there, "café", up=False))
    both = couple("laptop", "bob")
    yield Scene(
        name="laptop-wakes-late",
        about="A laptop's lid is closed for ten minutes. Consent has ended at both ends, the NAT has forgotten everything, and "
        "nothing of the call is worth anything. The laptop's program is told so as it wakes, and restarts at once.",
        nats=nats[::2],
        hosts=(HostSpec("laptop", here, behind="home A"), _AT_HOME),
        servers=(STUN,),
        agents=_talking(both),
        changes=(At(10.0, HostSlept("laptop", 600.0)),),
        duration=640.0,
        expect=Expectation(pair_types="srflx-srflx", silence=601.0),
    )
    yield Scene(
        name="laptop-wakes-elsewhere",
        about="A laptop sleeps in its bag on the way to a café, for ten minutes, and wakes in another network.",
        nats=nats,
        hosts=(HostSpec("laptop", interfaces=interfaces), _AT_HOME),
        servers=(STUN,),
        agents=_talking(both),
        changes=(
            At(10.0, HostSlept("laptop", 600.0)),
            At(60.0, InterfaceDown("laptop", here)),
            At(600.0, InterfaceUp("laptop", there)),
        ),
        duration=640.0,
        expect=Expectation(pair_types="srflx-srflx", silence=601.0),
    )
    yield Scene(
        name="laptop-wakes-relayed",
        about="A call that shows no address but those of relays, from a laptop that sleeps for an hour. When it wakes its "
        "relay has forgotten it.",
        nats=nats[::2],
        hosts=(HostSpec("laptop", here, behind="home A"), _AT_HOME),
        turn_servers=(TURN,),
        agents=tuple(attrs.evolve(one, policy="relay", ice_servers="turn:192.0.2.10") for one in _talking(both)),
        changes=(At(10.0, HostSlept("laptop", 3600.0)),),
        duration=3640.0,
        expect=Expectation(pair_types="relay-relay", silence=3601.0),
    )


def _talking(agents: tuple[AgentSpec, ...]) -> tuple[AgentSpec, ...]:
    """With programs that send a little now and then, and of which the first follows its host; the other waits to be called."""
    return tuple(attrs.evolve(agent, roams=agent.controlling, talks=0.1) for agent in agents)


def _nat64_phone(friend: HostSpec, **more: Any) -> Scene:
    """A call from a phone that has IPv6 and a translator."""
    return Scene(
        nats=(
            NatSpec("carrier", "203.0.113.200", "cgnat", nat64="64:ff9b::/96", firewall="stateful"),
            NatSpec("home B", "198.51.100.1", firewall="stateful"),
        ),
        hosts=(HostSpec("phone", "2001:db8:64::7", behind="carrier", link=_LTE), friend),
        servers=(STUN,),
        names=(NameSpec("stun.example.org", "192.0.2.9"),),
        agents=couple("phone", "bob", ice_servers="stun:stun.example.org"),
        **more,
    )

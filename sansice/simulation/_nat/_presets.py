"""Kinds of NAT and of firewall that have names, each with the place that describes it."""

from __future__ import annotations

import collections.abc
import types

import attrs

from ._firewall_kind import FirewallKind, Rule, Verdict
from ._kind import (
    Filtering,
    Hairpinning,
    Mapping,
    NatKind,
    Pooling,
    PortAssignment,
    Refresh,
    TcpTimeouts,
    Tracking,
    UnsolicitedSyn,
)

_CONNTRACK = "https://docs.kernel.org/networking/nf_conntrack-sysctl.html"

# nf_conntrack_tcp_timeout_syn_sent, _established, _time_wait, _close
_LINUX_TCP = TcpTimeouts(opening=120.0, established=432_000.0, closing=120.0, reset=10.0)

_LINUX = NatKind(
    tracking=Tracking.CONNECTIONS,
    ports=PortAssignment.PRESERVATION,
    lifetime=120.0,  # nf_conntrack_udp_timeout_stream
    unreplied=30.0,  # nf_conntrack_udp_timeout
    refresh=Refresh.BOTH,
    tcp=_LINUX_TCP,
    picks_up=True,  # nf_conntrack_tcp_loose
    refuses=True,
    about="A Linux router with a masquerade rule, and one that closes its outside: most home routers.",
    source=_CONNTRACK,
)

NAT_PRESETS: collections.abc.Mapping[str, NatKind] = types.MappingProxyType(
    {
        "full-cone": NatKind(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            about="One outer port for everyone, and everyone is let in.",
            source="RFC 3489 5, RFC 4787 4.1 and 5",
        ),
        "restricted-cone": NatKind(
            filtering=Filtering.ADDRESS_DEPENDENT,
            about="One outer port for everyone; the hosts that were sent to are let in.",
            source="RFC 3489 5, RFC 4787 4.1 and 5",
        ),
        "port-restricted": NatKind(
            about="One outer port for everyone; the ports that were sent to are let in.",
            source="RFC 3489 5, RFC 4787 4.1 and 5",
        ),
        "symmetric": NatKind(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            about="Another random outer port for each port that is sent to.",
            source="RFC 3489 5, RFC 4787 4.1 and 5",
        ),
        "symmetric-sequential": NatKind(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAssignment.SEQUENTIAL,
            about="Another outer port for each port that is sent to, one after the other, so that they can be guessed.",
            source="RFC 5128 3.5",
        ),
        "behave": NatKind(
            filtering=Filtering.ADDRESS_DEPENDENT,
            hairpinning=Hairpinning.EXTERNAL_SOURCE,
            parity=True,
            lifetime=300.0,
            unsolicited_syn=UnsolicitedSyn.UNREACHABLE_LATER,
            about="A home router that does all that the IETF asks for.",
            source="RFC 4787 12, RFC 5382 8",
        ),
        "cgnat": NatKind(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            hairpinning=Hairpinning.EXTERNAL_SOURCE,
            pooling=Pooling.PAIRED,
            lifetime=300.0,
            hold_down=120.0,
            max_mappings_per_host=1000,
            unsolicited_syn=UnsolicitedSyn.UNREACHABLE_LATER,
            about="A carrier's NAT for many subscribers that keeps to the rules.",
            source="RFC 6888 3: REQ-1, 2, 4, 7 and 8",
        ),
        "cgnat-symmetric": NatKind(
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            pooling=Pooling.ARBITRARY,
            lifetime=60.0,
            refresh=Refresh.BOTH,
            max_mappings_per_host=1000,
            about="A mobile carrier's NAT that keeps to none of the rules: other ports, other addresses, short lives.",
            source="RFC 7021; what RFC 6888 3 forbids",
        ),
        "linux-masquerade": _LINUX,
        "linux-masquerade-open-input": attrs.evolve(
            _LINUX,
            open_input=True,
            about="A Linux router whose outside is not closed: a probe that comes too early takes the port for its peer.",
        ),
        "linux-masquerade-random": attrs.evolve(
            _LINUX,
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAssignment.RANDOM,
            about='A Linux router with "masquerade fully-random": symmetric.',
            source=f"{_CONNTRACK}; nft(8), NAT STATEMENTS",
        ),
        "pf": NatKind(
            tracking=Tracking.CONNECTIONS,
            mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
            ports=PortAssignment.RANDOM,
            port_range=(50001, 65535),
            lifetime=60.0,  # udp.multiple
            unreplied=30.0,  # udp.single
            refresh=Refresh.BOTH,
            tcp=TcpTimeouts(opening=30.0, established=86_400.0, closing=45.0, reset=90.0),  # tcp.opening, .finwait, .closed
            about="An OpenBSD, FreeBSD or pfSense router as it comes: symmetric.",
            source="pf.conf(5), nat-to and set timeout",
        ),
        "port-overloading": NatKind(
            ports=PortAssignment.OVERLOADING,
            about="Every port is preserved, also where two hosts inside then share one.",
            source="RFC 4787 4.2.1",
        ),
        "short-lived": NatKind(
            lifetime=20.0,
            about="Forgets mappings within seconds, as many routers did that were measured.",
            source="RFC 4787 4.3; Hätönen et al., An Experimental Study of Home Gateway Characteristics, IMC 2010",
        ),
        "one-to-one": NatKind(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            ports=PortAssignment.PRESERVATION,
            port_range=(1, 65535),
            about="A cloud's outer address for one server; give it a forward from all ports to all ports.",
            source="RFC 2663 4.1.1, Basic NAT",
        ),
    }
)

_DNS = Rule(Verdict.ALLOW, "udp", ports=(53,))
_UDP = Rule(Verdict.DROP, "udp")

FIREWALL_PRESETS: collections.abc.Mapping[str, FirewallKind] = types.MappingProxyType(
    {
        "stateful": FirewallKind(
            lifetime=300.0,
            about="Everything out, answers in: IPv6 at home.",
            source="RFC 6092 3.2 and 3.3",
        ),
        "stateful-open": FirewallKind(
            filtering=Filtering.ENDPOINT_INDEPENDENT,
            lifetime=300.0,
            about="Everything out; who sends UDP may be answered by anyone.",
            source="RFC 6092 3.2.1",
        ),
        "udp-blocked": FirewallKind(
            rules=(_UDP,),
            about="UDP vanishes in both directions, TCP works.",
            source="RFC 7478 2.3",
        ),
        "udp-rejected": FirewallKind(
            rules=(attrs.evolve(_UDP, verdict=Verdict.UNREACHABLE),),
            about='UDP is answered with "administratively prohibited", TCP works.',
            source="RFC 1812 5.2.7.1",
        ),
        "web-only": FirewallKind(
            rules=(_DNS, Rule(Verdict.ALLOW, "tcp", ports=(80, 443), direction="out")),
            outbound=Verdict.DROP,
            about="Names, and TCP to ports 80 and 443.",
            source="RFC 7478 2.3",
        ),
        "tls-only": FirewallKind(
            rules=(_DNS, Rule(Verdict.ALLOW, "tcp", ports=(443,), direction="out")),
            outbound=Verdict.DROP,
            about="Names, and TCP to port 443.",
            source="RFC 7478 2.3",
        ),
        "closed": FirewallKind(
            outbound=Verdict.DROP,
            about="Nothing; with a rule for one address, only an explicit proxy there.",
            source="RFC 7478 2.3",
        ),
        "captive": FirewallKind(
            rules=(_DNS, Rule(Verdict.RESET, "tcp")),
            outbound=Verdict.UNREACHABLE,
            about="A hotel before the guest has logged in: names work, all else is refused. Set another kind to log in.",
            source="RFC 8952 1",
        ),
        "transparent": FirewallKind(
            inbound=Verdict.ALLOW,
            about="Lets everything through: to begin with, and to add rules to.",
            source="RFC 2979",
        ),
    }
)


def nat_kind(preset: str) -> NatKind:
    """The kind of NAT with this name.

    Raises:
        ValueError: there is none.
    """
    if preset == "open":
        raise ValueError('"open" is no NAT: leave it out')
    kind = NAT_PRESETS.get(preset)
    if kind is None:
        raise ValueError(f"no kind of NAT is called {preset!r}; there are {', '.join(NAT_PRESETS)}")
    return kind


def firewall_kind(preset: str) -> FirewallKind:
    """The kind of firewall with this name.

    Raises:
        ValueError: there is none.
    """
    kind = FIREWALL_PRESETS.get(preset)
    if kind is None:
        raise ValueError(f"no kind of firewall is called {preset!r}; there are {', '.join(FIREWALL_PRESETS)}")
    return kind

"""Which of its addresses an agent lets anybody see, in the words of W3C's ``RTCIceTransportPolicy``."""

from __future__ import annotations

from sansice._enums import IdentityEnum


class CandidatePolicy(IdentityEnum):
    """What is told to the peer, and what checks are sent from and answered on.

    ``ALL`` hides nothing. ``CONCEAL_HOST`` tells names in place of the addresses of host candidates, as browsers do, which only
    who is on the same link can find out about (draft-ietf-mmusic-mdns-ice-candidates). Loopback, which says nothing of anybody,
    and what a `RewriteRule` makes of an address are told. ``NO_HOST`` tells no host candidate: a socket takes part once a server
    has seen its outside, and then only that is told. ``RELAY`` uses relayed candidates alone, so that the peer learns no address
    of this network, nor of the NAT before it: nothing is sent to a peer and nothing of a peer's is answered but through a relay.
    Related addresses are hidden where they would tell what the policy hides (RFC 8839 5.1).
    """

    ALL = "all"
    CONCEAL_HOST = "conceal-host"
    NO_HOST = "no-host"
    RELAY = "relay"

"""What may be tuned about mDNS, and the bounds on what a peer, or anybody on the link, can make grow."""

from __future__ import annotations

import attrs


@attrs.frozen
class MdnsConfig:
    """Times in seconds, and bounds.

    Attributes:
        query_timeout: after which a name has not been found. Questions leave at the start of it, and 1, 3 and 7 s later.
        ask_unicast: whether the first question for a name asks for an answer by unicast, which spares the others on the link
            (draft 3.2.1). Only for who owns port 5353 of its addresses: where programs share it, an answer by unicast reaches
            just one of them (RFC 6762 15.1). The sockets of the adapters share it.
        ttl: time to live of our own records, what RFC 6762 10 recommends for addresses.
        max_ttl: beyond it nobody is believed: a name lasts no longer than the page or the call that it was made for.
        max_links: interfaces and families that are served; each costs a socket.
        max_names: our own, of all sessions: each may be multicast once a second on its link.
        max_searches: names that are looked for at a time. A peer may tell as many as it likes, and each is multicast.
        max_queries: questions of agents that wait for these names; more than one may wait for the same.
        max_cached: names remembered. Anybody on the link can announce as many as he likes.
        max_addresses: remembered of a name. More than one is of no use, so that a thousand need not be counted.
        max_unicast_answers: a second and link: what a flood of questions makes us send to one victim on the link.
    """

    query_timeout: float = 8.0
    ask_unicast: bool = False
    ttl: int = 120
    max_ttl: int = 120
    max_links: int = 16
    max_names: int = 256
    max_searches: int = 64
    max_queries: int = 256
    max_cached: int = 256
    max_addresses: int = 4
    max_unicast_answers: int = 50

    def __attrs_post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")


_POSITIVE = tuple(field.name for field in attrs.fields(MdnsConfig) if field.name != "ask_unicast")
DEFAULT_CONFIG = MdnsConfig()

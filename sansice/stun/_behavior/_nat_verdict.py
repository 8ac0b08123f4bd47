"""What a NAT's behaviour means for calls: between whom a direct path can be had (RFC 4787 4.1 and 5, RFC 5128 3.3 and 3.4).

A direct path means what ICE can reach without a relay, where the two are not on one local network.
"""

from __future__ import annotations

from ._nat_words import FilteringBehavior, MappingBehavior

_NONE, _INDEPENDENT, _ADDRESS, _PORT = MappingBehavior
_ANYONE, _BY_ADDRESS, _BY_PORT = FilteringBehavior

_STEADY = (_NONE, _INDEPENDENT)  # the outer address is one and the same for all partners


def direct_path(
    mapping: MappingBehavior,
    filtering: FilteringBehavior,
    other_mapping: MappingBehavior,
    other_filtering: FilteringBehavior,
) -> bool:
    """Whether two ends behind such NATs or firewalls find a direct path, both sending to the addresses a server saw."""
    steady, other_steady = mapping in _STEADY, other_mapping in _STEADY
    if steady and other_steady:
        return True  # hole punching: each opens its own filter for the other
    if steady:
        # The other's packets come from a port that nobody could foretell, at an address that was sent to.
        return filtering is not _BY_PORT
    if other_steady:
        return other_filtering is not _BY_PORT
    # Neither knows the other's port: one must let anyone in. It answers from a new port, which the other must let in; and
    # one of the two must answer that from the port it has, or each answer comes from yet another one.
    met = (filtering is _ANYONE and other_filtering is not _BY_PORT) or (other_filtering is _ANYONE and filtering is not _BY_PORT)
    return met and (mapping is _ADDRESS or other_mapping is _ADDRESS)


_RELAY = "needs a relay (TURN)"
_SYMMETRIC = 'a NAT whose mapping depends on the destination ("symmetric")'
_EVERYBODY = "direct calls work with everybody"
_NOT_BY_PORT = "whose NAT or firewall does not filter by port"

_SENTENCES: dict[tuple[MappingBehavior, FilteringBehavior | None], str] = {
    (_NONE, _ANYONE): f"No NAT and no firewall in the way: {_EVERYBODY}, and anybody can begin one.",
    (_NONE, _BY_ADDRESS): (
        "No NAT, but a firewall that lets in only whom was sent to before, by address (address-dependent filtering): "
        f"{_EVERYBODY}, as long as both sides send, as ICE does."
    ),
    (_NONE, _BY_PORT): (
        "No NAT, but a firewall that lets in only whom was sent to before, by address and port (address-and-port-dependent "
        f"filtering): {_EVERYBODY} but those behind {_SYMMETRIC}; a call with one of those {_RELAY}."
    ),
    (_NONE, None): (
        "No NAT; what a firewall lets in could not be tested: direct calls work at least with everybody who is not behind "
        f"{_SYMMETRIC}."
    ),
    (_INDEPENDENT, _ANYONE): (
        f'An open NAT (endpoint-independent mapping and filtering, "full cone"): {_EVERYBODY}, and anybody can begin one who '
        "knows the mapped address."
    ),
    (_INDEPENDENT, _BY_ADDRESS): (
        'A friendly NAT (endpoint-independent mapping, address-dependent filtering, "restricted cone"): '
        f"{_EVERYBODY}, as long as both sides send, as ICE does."
    ),
    (_INDEPENDENT, _BY_PORT): (
        'A common NAT (endpoint-independent mapping, address-and-port-dependent filtering, "port-restricted cone"): '
        f"{_EVERYBODY} but those behind {_SYMMETRIC}; a call with one of those {_RELAY}."
    ),
    (_INDEPENDENT, None): (
        "A NAT with endpoint-independent mapping; what it lets in could not be tested: direct calls work at least with "
        f"everybody who is not behind {_SYMMETRIC}."
    ),
    (_ADDRESS, _ANYONE): (
        "A NAT with address-dependent mapping, but endpoint-independent filtering: direct calls work with everybody "
        f"{_NOT_BY_PORT}; any other call {_RELAY}."
    ),
    (_ADDRESS, _BY_ADDRESS): (
        "A difficult NAT (address-dependent mapping and filtering): direct calls work only with those "
        f"{_NOT_BY_PORT}, and of those behind {_SYMMETRIC} only where it lets anybody in; any other call {_RELAY}."
    ),
    (_ADDRESS, _BY_PORT): (
        "A difficult NAT (address-dependent mapping, address-and-port-dependent filtering): direct calls work only with those "
        f"{_NOT_BY_PORT}, and who are not themselves behind {_SYMMETRIC}; any other call {_RELAY}."
    ),
    (_ADDRESS, None): (
        "A difficult NAT (address-dependent mapping); what it lets in could not be tested: direct calls work at best with "
        f"those {_NOT_BY_PORT}; any other call {_RELAY}."
    ),
    (_PORT, _ANYONE): (
        "A symmetric NAT (address-and-port-dependent mapping) with endpoint-independent filtering: direct calls work with "
        f"those {_NOT_BY_PORT}, unless its mapping, too, depends on address and port; any other call {_RELAY}."
    ),
    (_PORT, _BY_ADDRESS): (
        "A symmetric NAT (address-and-port-dependent mapping, address-dependent filtering): direct calls work only with "
        f"those {_NOT_BY_PORT}, and who are not behind {_SYMMETRIC} themselves (one whose mapping depends on the address "
        f"alone, and that lets anybody in, excepted); any other call {_RELAY}."
    ),
    (_PORT, _BY_PORT): (
        "A symmetric NAT (address-and-port-dependent mapping and filtering): direct calls work only with those "
        f"{_NOT_BY_PORT}, and who are not behind {_SYMMETRIC} themselves; any other call {_RELAY}."
    ),
    (_PORT, None): (
        "A symmetric NAT (address-and-port-dependent mapping); what it lets in could not be tested: direct calls work at best "
        f"with those {_NOT_BY_PORT}; any other call {_RELAY}."
    ),
}

_BLOCKED = (
    "Nothing came back over UDP: UDP is blocked here, or the server is down; if other servers are silent too, calls work only "
    "through a relay that is reached over TCP or TLS (TURN)."
)
_UNTESTED = (
    "There is a NAT, but the server could not tell of which kind: direct calls may or may not work, and ICE will find out; "
    "have a relay (TURN) ready."
)


def verdict_of(mapping: MappingBehavior | None, filtering: FilteringBehavior | None, *, blocked: bool) -> str:
    """One sentence for a person: what was found, and whom direct calls work with."""
    if blocked:
        return _BLOCKED
    return _UNTESTED if mapping is None else _SENTENCES[mapping, filtering]

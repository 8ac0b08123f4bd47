"""What may be done about a relay that does not work."""

from __future__ import annotations

from sansice.turn import TurnStep

_BY_CODE = {
    "300": "The server sends its clients elsewhere, and that led nowhere: ask its operator which address to use.",
    "401": "The name or the password is wrong, or its time is over. Time-limited ones are issued by: sansice credentials",
    "403": "The server refuses this on purpose. Most refuse private and loopback addresses as peers, and themselves.",
    "420": "The server does not know something that was asked for: it may be older than RFC 8656.",
    "437": "The server has forgotten the allocation: it was restarted, or a NAT on the way has moved this client.",
    "440": "The server has no relayed addresses of this family: try the other one with --family.",
    "441": "Another user has an allocation from this address and port.",
    "442": "The server does not relay UDP.",
    "443": "The peer is of another family than the relayed address: see --family.",
    "486": "This user has as many allocations as the server allows. Those left behind by others end within ten minutes.",
    "508": "The server has no free ports or no room: it is full, or draining.",
}

_PROXY = "Check the address, the name and the password of --proxy, and whether it lets connections through to this port."

# By what the error says, where neither code nor step tells causes apart.
_BY_CAUSE = {
    "whose certificate to expect": "Write the server's name in the URI, or beside the address: --server-name NAME.",
    "the certificate was refused": "Where its authority is one of yours, name it: --ca FILE. The name that it has to carry is "
    "the URI's, or --server-name NAME.",
    "the proxy ": _PROXY,
    "is no HTTP proxy": _PROXY,
}

_BY_STEP = {
    TurnStep.RESOLVE: "Check the name, or give the server's address.",
    TurnStep.WAIT: "The server has asked for some time without requests.",
    TurnStep.OPEN: "Check the port, and that a firewall lets it pass; try --transport tcp, or turns: for TLS.",
    TurnStep.ALLOCATE: "Check the port. Where a firewall drops UDP, --transport tcp or a turns: URI may pass.",
    TurnStep.DATA: "The allocation works, but no data came back. With --peer: does something answer there what it gets, as "
    "RFC 862 says? Otherwise a firewall may drop what goes to and from the server's relayed ports.",
}


_NOBODY = "The server wants to know who asks: --user NAME:PASSWORD."


def advice(step: TurnStep, error: str, *, named: bool = True) -> str:
    """A sentence on what to look at; empty where the error says it all.

    Args:
        step: where it failed.
        error: why, beginning with the code if the server sent one.
        named: whether there were credentials.
    """
    if error[:3] == "401" and not named:
        return _NOBODY
    by_cause = next((hint for cause, hint in _BY_CAUSE.items() if cause in error), "")
    return _BY_CODE.get(error[:3]) or by_cause or _BY_STEP.get(step, "")

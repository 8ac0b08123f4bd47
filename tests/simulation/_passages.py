"""Lines of a trace, written by hand: who passes whom."""

from sansice import Address
from sansice.simulation import Fate, Packet, Passage

A, B = Address("10.0.0.2", 5000), Address("198.51.100.2", 7)
OUTER = Address("203.0.113.1", 1024)


def outward(start=0.0, data=b"x"):
    """A packet of A's through the NAT "home" to the Internet."""
    inner, outer = Packet(A, B, data), Packet(OUTER, B, data)
    return [
        Passage(start, "alice", Fate.SENT, inner, "alice 10.0.0.2"),
        Passage(start, "home", Fate.ARRIVED, inner, "home inside"),
        Passage(start, "home", Fate.TRANSLATED, outer, "home outside"),
    ]


def delivered(time=0.02, data=b"x", place="bob"):
    """Its end."""
    return [Passage(time, place, Fate.DELIVERED, Packet(OUTER, B, data), f"{place} 198.51.100.2")]


def inward(start=0.0, data=b"y"):
    """A packet of B's as far as the NAT."""
    packet = Packet(B, OUTER, data)
    return [
        Passage(start, "bob", Fate.SENT, packet, "bob 198.51.100.2"),
        Passage(start + 0.02, "home", Fate.ARRIVED, packet, "home outside"),
    ]

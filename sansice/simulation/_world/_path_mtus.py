"""Path MTUs: what a host has learnt from "packet too big" (RFC 1191, RFC 8201)."""

from __future__ import annotations

KEPT_SECONDS = 600.0  # RFC 1191 6.3, RFC 8201 4: ten minutes, then a longer packet may try again
MAX_DESTINATIONS = 1024  # so that errors about destinations without end cannot fill a host


class PathMtus:
    """The longest packets that get through, by destination. The oldest is forgotten where there are too many."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def learn(self, destination: str, mtu: int, now: float) -> None:
        """A router has said that packets to a destination may have ``mtu`` bytes; it is believed only where that is less."""
        known = self.get(destination, now)
        if known is not None and known <= mtu:
            return
        self._known.pop(destination, None)
        if len(self._known) >= MAX_DESTINATIONS:
            del self._known[next(iter(self._known))]
        self._known[destination] = (mtu, now + KEPT_SECONDS)

    def get(self, destination: str, now: float) -> int | None:
        """What is known of a destination, in bytes; ``None`` where nothing is, or no longer."""
        mtu, until = self._known.get(destination, (None, 0.0))
        return mtu if now < until else None

"""What became of a relay that was tried, for people and programs."""

from __future__ import annotations

from typing import Any

import attrs

from sansice import Address, Transport
from sansice.turn import TurnError, TurnStep

from ._words import advice


@attrs.define
class Outcome:
    """What is known so far. Times in seconds.

    Attributes:
        uri: whom it is about.
        named: whether there were credentials.
        server, transport: who answered, and how it is reached.
        relayed: the address that peers send to.
        mapped: how the server sees this machine.
        lifetime: of the allocation, from one refresh to the next.
        setup: until there was an allocation.
        peer: through whom it was measured.
        round_trips: of each probe that came back.
        probes: how many were sent.
        throughput: bits of data a second that came back through the relay; ``None`` if that was not measured.
        step: where it failed.
        error: why.
    """

    uri: str
    named: bool = True
    server: Address | None = None
    transport: Transport | None = None
    relayed: Address | None = None
    mapped: Address | None = None
    lifetime: int | None = None
    setup: float | None = None
    peer: Address | None = None
    round_trips: list[float] = attrs.Factory(list)
    probes: int = 0
    throughput: float | None = None
    step: TurnStep | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether all went well."""
        return self.step is None

    @property
    def rtt(self) -> float | None:
        """The median, which a single hiccup leaves alone."""
        return sorted(self.round_trips)[len(self.round_trips) // 2] if self.round_trips else None

    @property
    def lost(self) -> int:
        """Probes that did not come back."""
        return self.probes - len(self.round_trips)

    def fail(self, error: TurnError) -> None:
        """It ended with this."""
        self.step = error.step
        self.error = f"{error.code} {error.reason}" if error.code else error.reason

    def allocated(self) -> str:
        """The sentence about the allocation."""
        return (
            f"{self.uri}: relays at {self.relayed}, allocated over {_word(self.transport)} by {self.server} in "
            f"{_ms(self.setup)} for {self.lifetime} s; it sees this machine as {self.mapped}"
        )

    def measured(self) -> str:
        """The sentence about the round trip."""
        lost = f", {self.lost} of {self.probes} probes lost" if self.lost else ""
        return f"round trip through the relay to {self.peer}: {_ms(self.rtt)} (median of {len(self.round_trips)}{lost})"

    def speed(self) -> str:
        """The sentence about the throughput."""
        return f"throughput through the relay and back: {(self.throughput or 0) / 1e6:.1f} Mbit/s of data"

    def failure(self) -> str:
        """The sentences about what went wrong, and what may be done about it."""
        if self.step is None:
            return ""
        hint = advice(self.step, self.error, named=self.named)
        return f"{self.uri}: {_STEPS[self.step]} failed: {self.error}" + (f"\n{hint}" if hint else "")

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "allocated": self.relayed is not None,
            "relayed": _text(self.relayed),
            "mapped": _text(self.mapped),
            "rtt_ms": _rounded(self.rtt, 1e3),
            "throughput_mbps": _rounded(self.throughput, 1e-6),
            "error": self.error or None,
            "step": self.step.value if self.step else None,
            "server": _text(self.server),
            "transport": self.transport.value if self.transport else None,
            "lifetime_s": self.lifetime,
            "setup_ms": _rounded(self.setup, 1e3),
            "peer": _text(self.peer),
            "probes": self.probes,
            "lost": self.lost,
        }


_STEPS = {
    TurnStep.RESOLVE: "looking its name up",
    TurnStep.WAIT: "asking it again so soon",
    TurnStep.OPEN: "connecting to it",
    TurnStep.AUTHENTICATE: "authenticating",
    TurnStep.ALLOCATE: "allocating a relayed address",
    TurnStep.REFRESH: "keeping the allocation",
    TurnStep.PERMIT: "getting a permission for the peer",
    TurnStep.BIND: "binding a channel to the peer",
    TurnStep.CONNECT: "connecting to the peer",
    TurnStep.DATA: "sending data through the relay",
}


def _word(transport: Transport | None) -> str:
    return transport.value if transport else "?"


def _ms(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds * 1000:.1f} ms"


def _text(address: Address | None) -> str | None:
    return None if address is None else str(address)


def _rounded(value: float | None, scale: float) -> float | None:
    return None if value is None else round(value * scale, 3)

"""One gathering: what was found when, and what became of each server."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from sansice import Address, Event
from sansice.ice import (
    Candidate,
    CandidateGathered,
    GatheringCompleted,
    HostAddress,
    InterfaceKind,
    ServerAnswered,
    ServerFailed,
)
from sansice_cli._text import printable


@attrs.frozen
class Found:
    """A candidate.

    Attributes:
        candidate: it.
        seconds: since the gathering began.
        host: the address of this machine that it stands for, as far as that is told.
    """

    candidate: Candidate
    seconds: float
    host: HostAddress | None = None

    def cells(self) -> tuple[str, ...]:
        """The columns of `HEADINGS`, for a person."""
        candidate = self.candidate
        base = candidate.related_address
        preference = (candidate.priority >> 24, candidate.priority >> 8 & 0xFFFF, 256 - (candidate.priority & 0xFF))
        return (
            f"{self.seconds * 1000:.1f} ms",
            candidate.type.value,
            candidate.transport.value,
            str(candidate.address),
            "" if base is None or base == Address("0.0.0.0", 0) else f"from {base}",
            "" if self.host is None else _described(self.host),
            # RFC 8445 5.1.2.1: preference of the type, of the address, and the component
            " | ".join(map(str, preference)),
        )


HEADINGS = ("found after", "type", "over", "address", "base", "interface", "priority")


@attrs.define(eq=False)
class ServerOutcome:
    """What became of a server.

    Attributes:
        url: as it was given.
        seconds: until it first answered; infinite where it never did.
        mapped: the addresses under which it saw this machine.
        relayed: the addresses at which it relays.
        errors: what went wrong, by the local address that asked; "" where nobody did.
    """

    url: str
    seconds: float = math.inf
    mapped: list[Address] = attrs.Factory(list)
    relayed: list[Address] = attrs.Factory(list)
    errors: dict[str, str] = attrs.Factory(dict)

    def take(self, event: ServerAnswered | ServerFailed) -> None:
        """It answered one of the local addresses, or failed it."""
        if isinstance(event, ServerFailed):
            self.errors[event.local] = printable(event.text)
            return
        self.seconds = min(self.seconds, event.seconds)
        self.mapped += [event.mapped] if event.mapped not in self.mapped else []
        self.relayed += [address for address in event.relayed if address not in self.relayed]

    @property
    def ok(self) -> bool:
        """Whether it answered anybody."""
        return self.seconds < math.inf

    @property
    def error(self) -> str | None:
        """Why it answered nobody."""
        if self.ok:
            return None
        texts = list(dict.fromkeys(self.errors.values()))
        return "; ".join(texts) if texts else "it was not waited for any longer"

    def sentence(self) -> str:
        """For a person."""
        if not self.ok:
            return f"{self.url}: {self.error}"
        relays = f", and relays at {_listed(self.relayed)}" if self.relayed else ""
        failed = [local for local in self.errors if local]
        missed = f" (not to {', '.join(failed)})" if failed else ""
        return f"{self.url}: sees {_listed(self.mapped)} after {self.seconds * 1000:.1f} ms{relays}{missed}"

    def to_json(self) -> dict[str, object]:
        """For a program."""
        return {
            "url": self.url,
            "ok": self.ok,
            "ms": round(self.seconds * 1000, 3) if self.ok else None,
            "error": self.error,
            "mapped": [str(address) for address in self.mapped],
            "relayed": [str(address) for address in self.relayed],
        }


def _listed(addresses: Sequence[Address]) -> str:
    return ", ".join(map(str, addresses))


class Round:
    """What one gathering has brought so far.

    Args:
        urls: of the servers.
        hosts: the addresses that were gathered from.
        began: the time at which it began.

    Attributes:
        found: candidates, in order.
        servers: by URL.
        seconds: how long it took; infinite while it goes on.
    """

    def __init__(self, urls: Sequence[str], hosts: Sequence[HostAddress] = (), *, began: float) -> None:
        self._began = began
        self._hosts = {one.host: one for one in hosts}
        self.found: list[Found] = []
        self.servers: dict[str, ServerOutcome] = {url: ServerOutcome(url) for url in urls}
        self.seconds: float = math.inf

    def take(self, event: Event, *, now: float) -> Found | None:
        """Note what the agent tells; a candidate that was not known before."""
        if isinstance(event, CandidateGathered):
            base = event.candidate.related_address or event.candidate.address
            self.found.append(Found(event.candidate, now - self._began, self._hosts.get(base[0])))
            return self.found[-1]
        if isinstance(event, (ServerAnswered, ServerFailed)):
            self.servers[event.url].take(event)
        elif isinstance(event, GatheringCompleted):
            self.seconds = now - self._began
        return None

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will come."""
        return self.seconds < math.inf

    @property
    def worked(self) -> bool:
        """Whether there is a candidate, and every server has answered."""
        return bool(self.found) and all(server.ok for server in self.servers.values())

    def sentence(self) -> str:
        """The end of it, for a person."""
        if not self.found:
            return "This machine has no address that could be used."
        number = len(self.found)
        return f"{number} candidate{'' if number == 1 else 's'}, complete after {self.seconds * 1000:.1f} ms."

    def to_json(self) -> dict[str, object]:
        """For a program."""
        return {
            "candidates": [one.candidate.to_sdp() for one in self.found],
            "servers": [server.to_json() for server in self.servers.values()],
            "addresses": [_to_json(host) for host in self._hosts.values()],
            "complete_ms": round(self.seconds * 1000, 3),
        }


def _described(host: HostAddress) -> str:
    known = [host.kind.value] if host.kind is not InterfaceKind.UNKNOWN else []
    known += ["temporary"] if host.is_temporary else []
    return f"on {host.interface}" + (f" ({', '.join(known)})" if known else "")


def _to_json(host: HostAddress) -> dict[str, object]:
    return {"address": host.host, "interface": host.interface, "kind": host.kind.value, "temporary": host.is_temporary}

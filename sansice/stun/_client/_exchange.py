"""What a client remembers: of a request until its outcome, of a server, of a socket."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, TypeAlias

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, DropReason, ProxyOptions
from sansice.stun._attributes import Attribute
from sansice.stun._authentication._client import ClientAuthentication, Protection
from sansice.stun._framing import StreamFramer
from sansice.stun._header import Method, TransactionId
from sansice.stun._paths import Path
from sansice.stun._transaction import StunTransaction

Attributes: TypeAlias = tuple[tuple[Attribute[Any], Any], ...]

MAX_REMEMBERED = 256  # ours: servers remembered for a socket; redirections could add to them without end


class ExchangeState(IdentityEnum):
    """Where a request is, from the first transaction to the last."""

    QUEUED = "waiting for its turn or its socket"
    RUNNING = "a transaction is under way"
    PAUSED = "waiting to ask again after a 5xx"
    DONE = "over"


class ExchangeInput(IdentityEnum):
    """What moves a request from one state to another."""

    START = "its turn has come"
    AGAIN = "to be asked again after a challenge, a redirection or a pause"
    PAUSE = "the server has a problem (5xx)"
    END = "the outcome"


EXCHANGE_TRANSITIONS: dict[tuple[ExchangeState, ExchangeInput], ExchangeState] = {
    (ExchangeState.QUEUED, ExchangeInput.START): ExchangeState.RUNNING,
    (ExchangeState.QUEUED, ExchangeInput.END): ExchangeState.DONE,
    (ExchangeState.RUNNING, ExchangeInput.AGAIN): ExchangeState.QUEUED,
    (ExchangeState.RUNNING, ExchangeInput.PAUSE): ExchangeState.PAUSED,
    (ExchangeState.RUNNING, ExchangeInput.END): ExchangeState.DONE,
    (ExchangeState.PAUSED, ExchangeInput.AGAIN): ExchangeState.QUEUED,
    (ExchangeState.PAUSED, ExchangeInput.END): ExchangeState.DONE,
}


@attrs.define(eq=False)
class Exchange:
    """A request and the transactions that it takes.

    Attributes:
        id: what the caller knows it by: the transaction id of the first transaction.
        method, attributes: what the caller asked.
        path: where it is asked now.
        hostname: of the server that was asked first; it stands in certificates (RFC 8489 10).
        authentication: what is known of the server's realm and nonce.
        state: by `EXCHANGE_TRANSITIONS`.
        transaction: the last one.
        protection: how that one was protected.
        asked: the servers that were asked, and when.
        challenges, resends, redirections: so far.
        concluding: the transaction under way is the last.
    """

    id: TransactionId
    method: Method
    attributes: Attributes
    path: Path
    hostname: str | None
    authentication: ClientAuthentication
    state: ExchangeState = ExchangeState.QUEUED
    transaction: StunTransaction | None = None
    protection: Protection | None = None
    asked: dict[Address, float] = attrs.Factory(dict)
    challenges: int = 0
    resends: int = 0
    redirections: int = 0
    concluding: bool = False

    def move(self, step: ExchangeInput) -> None:
        """Change the state."""
        self.state = EXCHANGE_TRANSITIONS[self.state, step]


@attrs.define(eq=False)
class Server:
    """A server that something is to be asked.

    Attributes:
        outstanding: transactions under way (RFC 8489 6.2).
        queue: what waits, in order.
    """

    outstanding: int = 0
    queue: list[Exchange] = attrs.Factory(list)


@attrs.define(eq=False)
class Socket:
    """A socket of the client's, or one that its owner lets it use.

    Attributes:
        path: as it was opened or adopted.
        own: whether the client opened it, and closes it.
        open: whether anything can be sent.
        hostname: what its certificate must say.
        alpn: what was offered.
        local: what was asked to bind to.
        framer: cuts a stream into messages.
        redirected: whether a server made the client open it.
        shared: whether it outlives each path through it (`StunClient.share`).
        drops: what was dropped, by the server that was asked.
        proxy: through which it was opened.
    """

    path: Path
    own: bool
    open: bool
    hostname: str | None
    alpn: tuple[str, ...]
    local: Address
    framer: StreamFramer
    redirected: bool = False
    shared: bool = False
    drops: OrderedDict[Address, Counter[DropReason]] = attrs.Factory(OrderedDict)
    proxy: ProxyOptions | None = None

    def asked(self, remote: Address) -> None:
        """Remember a server; the one that was asked least recently goes first."""
        self.drops.setdefault(remote, Counter())
        self.drops.move_to_end(remote)
        if len(self.drops) > MAX_REMEMBERED:
            self.drops.popitem(last=False)

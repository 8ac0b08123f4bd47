"""Requests that a server cannot answer at once, and answers that it may have to repeat."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

from sansice.machine import Address, SocketId
from sansice.stun._authentication._session import Session
from sansice.stun._header import TransactionId
from sansice.stun._integrity import IntegrityAlgorithm, IntegrityKey
from sansice.stun._message import Message
from sansice.stun._paths import Path

from ._behavior import Corner
from ._events import RequestId
from ._listening import Listening

TransactionKey: TypeAlias = tuple[SocketId, Address, TransactionId]


class Exchange(NamedTuple):
    """A request, and what its answer needs. A NamedTuple: one is made for every request.

    Attributes:
        path: where the request came from, and the answer goes.
        listening: the listener; it may be closed by now.
        local: where it arrived.
        corner: the alternates of that address, where RFC 5780 is on and there are any.
        request: the message.
        key, algorithm: what protects the answer, once the request is authenticated.
        username: as authenticated.
        session: the access token that proved it, if one did.
        postponed: it may take long, so that its stream is not kept open for its answer alone.
    """

    path: Path
    listening: Listening
    local: Address
    corner: Corner | None
    request: Message
    key: IntegrityKey | None = None
    algorithm: IntegrityAlgorithm = IntegrityAlgorithm.SHA1
    username: str | None = None
    session: Session | None = None
    postponed: bool = False

    @property
    def transaction(self) -> TransactionKey:
        """What a retransmission of the request has in common with it."""
        return self.path.socket, self.path.remote, self.request.transaction_id


MAX_UNPROVED_REQUEST = 2048  # bytes; a datagram could have 64 KiB, and nobody has shown yet that its sender may ask


class PendingRequests:
    """Requests that wait for the application: bounded, each for the same time, hence the oldest ends first.

    Those that are not authenticated yet are apart from those that are: strangers cannot take the places of users. Those that
    are postponed have more time, all of them the same, too; how many there are is the application's business.

    Args:
        limit: requests at once, of each of the two kinds.
        timeout: seconds that each may wait.

    Attributes:
        last: the last id handed out; 0 before the first.
    """

    __slots__ = ("_limit", "_postponed", "_timeout", "_transactions", "_unproved", "_waiting", "last")

    def __init__(self, limit: int, timeout: float) -> None:
        self._limit = limit
        self._timeout = timeout
        self._unproved: dict[RequestId, tuple[float, Exchange]] = {}
        self._waiting: dict[RequestId, tuple[float, Exchange]] = {}
        self._postponed: dict[RequestId, tuple[float, Exchange]] = {}
        self._transactions: dict[TransactionKey, RequestId] = {}
        self.last = RequestId(0)

    def __len__(self) -> int:
        return sum(len(requests) for requests in self._tables())

    def find(self, transaction: TransactionKey) -> RequestId | None:
        """The id of the request of that transaction, if it waits."""
        return self._transactions.get(transaction)

    def add(self, exchange: Exchange, now: float, *, authenticated: bool) -> RequestId | None:
        """Keep a request; ``None`` where the bound is reached, or it is larger than anything that strangers have to say."""
        requests = self._waiting if authenticated else self._unproved
        if len(requests) >= self._limit or (not authenticated and len(exchange.request.data) > MAX_UNPROVED_REQUEST):
            return None
        self.last = id = RequestId(self.last + 1)
        requests[id] = now + self._timeout, exchange
        self._transactions[exchange.transaction] = id
        return id

    def get(self, id: RequestId, *, authenticated: bool) -> Exchange | None:
        """A request that waits, for its keys or (``authenticated``) for its answer; ``None`` where it does not any more."""
        entry = (self._waiting.get(id) or self._postponed.get(id)) if authenticated else self._unproved.get(id)
        return None if entry is None else entry[1]

    def remove(self, id: RequestId) -> Exchange:
        """Take out a request that waits."""
        _, exchange = next(requests for requests in self._tables() if id in requests).pop(id)
        del self._transactions[exchange.transaction]
        return exchange

    def postpone(self, id: RequestId, deadline: float) -> None:
        """Let an authenticated request wait until then, which is no earlier than for any that was postponed before."""
        _, exchange = self._waiting.pop(id)
        self._postponed[id] = deadline, exchange._replace(postponed=True)

    def pop_due(self, now: float) -> Exchange | None:
        """Take out the next request that has waited for too long."""
        for requests in self._tables():
            if requests and _oldest(requests) <= now:
                return self.remove(next(iter(requests)))
        return None

    def discard_stream(self, socket: SocketId) -> None:
        """Forget the requests of a stream that is gone: nobody opens one towards a client (RFC 8489 6.2.2)."""
        for requests in self._tables():
            for id in [id for id, (_, exchange) in requests.items() if exchange.path.socket == socket]:
                self.remove(id)

    def clear(self) -> None:
        """Forget everything."""
        for requests in self._tables():
            requests.clear()
        self._transactions.clear()

    def deadline(self) -> float:
        """When the first has waited for too long, or `math.inf`."""
        return min(map(_oldest, self._tables()))

    def _tables(self) -> tuple[dict[RequestId, tuple[float, Exchange]], ...]:
        return self._unproved, self._waiting, self._postponed


def _oldest(requests: dict[RequestId, tuple[float, Exchange]]) -> float:
    return next(iter(requests.values()))[0] if requests else math.inf


class AnswerMemory:
    """What was answered to requests that must not be executed twice (RFC 8489 6.3.1), for a while and up to a bound.

    Args:
        limit: answers; the oldest is forgotten for a new one.
        lifetime: seconds.
    """

    __slots__ = ("_answers", "_lifetime", "_limit")

    def __init__(self, limit: int, lifetime: float) -> None:
        self._limit = limit
        self._lifetime = lifetime
        self._answers: dict[TransactionKey, tuple[float, bytes]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def put(self, transaction: TransactionKey, answer: bytes, now: float) -> None:
        """Remember an answer."""
        self._forget(now)
        if len(self._answers) >= self._limit:
            del self._answers[next(iter(self._answers))]
        self._answers[transaction] = now + self._lifetime, answer

    def get(self, transaction: TransactionKey, now: float) -> bytes | None:
        """The answer given to that transaction, if it is remembered."""
        self._forget(now)
        entry = self._answers.get(transaction)
        return None if entry is None else entry[1]

    def _forget(self, now: float) -> None:
        while self._answers and (oldest := next(iter(self._answers.items())))[1][0] <= now:
            del self._answers[oldest[0]]

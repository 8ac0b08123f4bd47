"""Requests under way, each with what is to be done with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias, cast

from sansice.machine import LocalProtocolError
from sansice.stun import (
    Attribute,
    Method,
    Path,
    StunClient,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
    TransactionTimedOut,
)

from ._codes import UNAUTHENTICATED

Outcome: TypeAlias = TransactionSucceeded | TransactionFailed | TransactionTimedOut
Then: TypeAlias = Callable[[Outcome, float], None]
"""Told of the outcome, with ``now``."""


class _Request(NamedTuple):
    then: Then
    method: Method | None = None  # what was asked, as far as it was asked here
    attributes: tuple[tuple[Attribute[Any], Any], ...] = ()


class Requests:
    """The requests of one owner.

    Args:
        stun: who sends them.
    """

    __slots__ = ("_parked", "_stun", "_waiting")

    def __init__(self, stun: StunClient) -> None:
        self._stun = stun
        self._waiting: dict[TransactionId, _Request] = {}
        self._parked: dict[TransactionId, _Request] = {}

    def ask(
        self, method: Method, attributes: Iterable[tuple[Attribute[Any], Any]], path: Path, then: Then, *, now: float
    ) -> TransactionId:
        """Ask; ``then`` is told, once, unless `forget` comes before.

        Raises:
            LocalProtocolError: as `StunClient.request` does.
        """
        given = tuple(attributes)
        transaction_id = self._stun.request(method, given, path=path, now=now)
        self._waiting[transaction_id] = _Request(then, method, given)
        return transaction_id

    def adopt(self, transaction_id: TransactionId, then: Then) -> None:
        """Take over a request that is under way already, or another interest in one."""
        self._waiting[transaction_id] = _Request(then)

    def release(self, transaction_id: TransactionId) -> None:
        """Somebody else adopts this one."""
        self._waiting.pop(transaction_id, None)

    def settle(self, outcome: Outcome, now: float) -> bool:
        """Hand an outcome to whom it belongs; whether it was one of these requests."""
        request = self._waiting.pop(outcome.id, None)
        if request is None:
            return False
        request.then(outcome, now)
        return True

    def park(self, transaction_id: TransactionId) -> None:
        """The server has not known who asked: this one waits until it does, for `reroute` or `unpark`."""
        self._parked[transaction_id] = self._waiting.pop(transaction_id)

    def unpark(self, *, now: float) -> None:
        """It does not come to know: what waits for that has not been answered."""
        parked, self._parked = self._parked, {}
        for transaction_id, request in parked.items():
            request.then(TransactionTimedOut(transaction_id), now)

    def reroute(self, path: Path, *, now: float) -> None:
        """Ask everything again, mostly on another way: the server does not know this client any more where it was."""
        before = {**self._parked, **self._waiting}
        self.forget(now=now)
        for transaction_id, (then, method, attributes) in before.items():
            try:
                self.ask(cast(Method, method), attributes, path, then, now=now)
            except LocalProtocolError:  # too much waits for this server
                then(TransactionTimedOut(transaction_id), now)

    def forget(self, *, now: float) -> None:
        """Nobody wants to know any more."""
        for transaction_id in tuple(self._waiting):
            self._stun.cancel(transaction_id, now=now)
        self._waiting.clear()
        self._parked.clear()

    def __contains__(self, transaction_id: object) -> bool:
        return transaction_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting) + len(self._parked)


def refusal(outcome: TransactionFailed | TransactionTimedOut) -> tuple[int | None, str]:
    """The code, if any, and words for a person."""
    if isinstance(outcome, TransactionTimedOut):
        return None, "the server does not answer"
    # A challenge has no words, to be short; where there are credentials the client below has said what is wrong with them.
    wordless = "the server asks for credentials" if outcome.code == UNAUTHENTICATED else "the server refuses"
    return outcome.code, outcome.reason or wordless

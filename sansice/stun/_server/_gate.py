"""Who may ask what: authentication, before everything else that a message may have wrong (RFC 8489 6.3, 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sansice.machine import Action, DropReason, Event
from sansice.stun._authentication._server import Authenticated, Awaiting, Rejected
from sansice.stun._authentication._session import Session
from sansice.stun._authentication._user_keys import Found, Pending
from sansice.stun._header import Method
from sansice.stun._message import Message
from sansice.stun._paths import Path

from ._answerer import Answerer
from ._config import StunServerConfig
from ._listening import Listening
from ._requests import Exchange
from ._stats import StunServerStats

SessionOf: TypeAlias = Callable[[Path], Session | None]


def no_session(path: Path) -> None:
    """What a server without a parent knows."""


class Gate:
    """Lets requests in, or tells them why not.

    Args:
        config: the server's.
        stats: the server's.
        answers: sends refusals.
        session_of: what a parent machine knows of who asks on a path.
    """

    __slots__ = ("_answers", "_config", "_session_of", "_stats")

    def __init__(self, config: StunServerConfig, stats: StunServerStats, answers: Answerer, session_of: SessionOf) -> None:
        self._config = config
        self._stats = stats
        self._answers = answers
        self._session_of = session_of

    def is_open(self, one: Listening, method: Method) -> bool:
        """Whether requests of a method need no credentials at a listener."""
        return one.authentication is None or (method is Method.BINDING and not self._config.authenticate_binding)

    def admit(
        self, exchange: Exchange, outputs: list[Action | Event], *, found: Found | Pending, now: float, unix: float
    ) -> Exchange | Awaiting | None:
        """Judge a request.

        Args:
            exchange: the request.
            outputs: where a refusal goes.
            found: keys that came later.
            now: monotonic seconds.
            unix: seconds of the wall clock.

        Returns:
            The exchange with all that its answer needs; what is to be found first; or ``None`` where it was refused.
        """
        one, path = exchange.listening, exchange.path
        authentication = one.authentication
        if authentication is None or self.is_open(one, exchange.request.method):
            return exchange
        session = self._session_of(path)
        result = authentication.authenticate(
            exchange.request, path.remote, now=now, unix=unix, found=found, at=one.at, session=session
        )
        if isinstance(result, Authenticated):
            return exchange._replace(key=result.key, algorithm=result.algorithm, username=result.username, session=result.session)
        if isinstance(result, Awaiting):
            return result
        self._stats.drop(result.drop)
        if isinstance(result, Rejected):
            answer = self._answers.refusal(exchange, result.code, result.reason, result.attributes)
            if not self._answers.is_modest(exchange, answer):
                brief = authentication.in_brief(result, path.remote, now=now, unix=unix, at=one.at)
                answer = self._answers.refusal(exchange, brief.code, brief.reason, brief.attributes)
            if self._answers.is_modest(exchange, answer):
                self._answers.send(exchange, answer, outputs, code=result.code, now=now)
            else:
                self._stats.drop(DropReason.TOO_SHORT)  # for what it would cost whomever the sender says he is
        return None

    def admits_indication(self, path: Path, one: Listening, message: Message, *, now: float, unix: float) -> bool:
        """Whether an indication comes from who it says, where the mechanism has a word for it; otherwise it is counted."""
        authentication = one.authentication
        if authentication is None or not authentication.covers_indications:
            return True
        result = authentication.authenticate(message, path.remote, now=now, unix=unix)
        if isinstance(result, Authenticated):
            return True
        # One that would have to wait for its keys is lost as well: it may be lost on the way at any time.
        self._stats.drop(DropReason.BAD_USERNAME if isinstance(result, Awaiting) else result.drop)
        return False

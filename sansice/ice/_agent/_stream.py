"""One stream: its components, its generations, and whether it can still connect (RFC 8445 7.2.5.4, 9; RFC 8863)."""

from __future__ import annotations

import math
from typing import cast

from sansice.ice._description import Credentials, Description
from sansice.ice._events import ConsentExpired, IceCause, PairSelected, PairValidated
from sansice.ice._pair import LocalCandidate, Pair
from sansice.machine import Address, DropReason, SocketError, SocketId
from sansice.stun import Message

from ._checker import Checker
from ._checklist import ChecklistEvent
from ._checks import Checks
from ._component import Component
from ._conclusion import Conclusion
from ._consent import ConsentAnswer
from ._session import OVER, News, PairAnswered, PairBecameValid, PairNominated, Session, timer_of


class Stream:
    """One stream of an agent.

    Attributes:
        index: its place among the streams.
        checker: the present generation.
        previous: the one before, until the present one has selected a pair for every component.
        components: in order.
        remote_complete: whether the peer has no more candidates for this generation.
        patience_over: whether this generation may fail (RFC 8863 4).
        lost_socket: what ended it, where that was a socket.
    """

    __slots__ = (
        "_checks",
        "_session",
        "checker",
        "components",
        "index",
        "lost_socket",
        "patience_over",
        "previous",
        "remote_complete",
    )

    def __init__(self, session: Session, checks: Checks, index: int, components: int, credentials: Credentials) -> None:
        self._session = session
        self._checks = checks
        self.index = index
        self.checker = Checker(session, checks, credentials, index, components)
        self.previous: Checker | None = None
        self.components = tuple(
            [Component(session, index, number, timer_of(index, number), self.checker) for number in range(1, components + 1)]
        )
        self.remote_complete = False
        self.patience_over = False
        self.lost_socket: SocketError | None = None
        session.add_stream(self.checker.list)

    @property
    def is_over(self) -> bool:
        """Whether it has failed, or the agent is closed."""
        return self._session.states[self.index] in OVER

    @property
    def is_selected(self) -> bool:
        """Whether every component has a selected pair."""
        for conclusion in self.checker.conclusions:
            if conclusion.selected is None:
                return False
        return True

    # ------------------------------------------------------------- candidates and descriptions

    def set_remote(self, description: Description, patience_ends: float) -> None:
        """Know the peer; `Checker.run` comes next. A second call with the same credentials adds what is new in it."""
        if self.checker.remote is None:
            self.checker.set_remote(description)
            self._session.timers.set(timer_of(self.index), patience_ends)  # RFC 8863 4
        else:
            for candidate in description.candidates:
                self.checker.add_remote(candidate)
        self.remote_complete = self.remote_complete or description.end_of_candidates

    def add_local(self, local: LocalCandidate) -> None:
        """Know a local candidate."""
        self.checker.add_local(local)

    def lose_socket(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A socket died, and with it the stream if a selected pair used it."""
        self.checker.remove_local(socket, now=now)
        for conclusion in self.checker.conclusions:
            pair = conclusion.selected
            if pair is None or pair.local.socket != socket:
                continue
            self.lost_socket = error
            if conclusion.mover is None:
                self.fail()
                return
            self._do_without(conclusion, now)

    # ------------------------------------------------------------- datagrams

    def handle_request(self, component: Component, socket: SocketId, source: Address, request: Message, *, now: float) -> None:
        """Answer a check of the peer's."""
        local = component.conclusion.pairing.local_on(socket)
        if local is None:  # a policy hides it, or its candidate is not told yet: nobody can mean it
            self._session.drop(DropReason.UNKNOWN_SOCKET)
        else:
            self.checker.handle_request(local, source, request, now=now)

    def handle_response(self, component: Component, socket: SocketId, source: Address, message: Message, *, now: float) -> None:
        """Take what can only be the answer to a consent check."""
        answer = component.handle_response(socket, source, message, now=now)
        if answer is ConsentAnswer.REVOKED:
            self.expire(component, revoked=True, now=now)
        elif answer is ConsentAnswer.RENEWED:
            self._answered()

    def _answered(self) -> None:
        """Consent is renewed on a component."""
        if not any(other.is_quiet for other in self.components):
            self._session.move(self.index, IceCause.SELECT if self.is_selected else IceCause.ANSWER)

    # ------------------------------------------------------------- what becomes of pairs

    def take(self, news: News, now: float) -> None:
        """Act on what became of a pair."""
        if self.is_over:
            return
        session, pair = self._session, news.pair
        component = self.components[pair.local.candidate.component - 1]
        conclusion = component.conclusion
        component.use(conclusion.selected or conclusion.best_valid, self.checker, now)
        if isinstance(news, PairAnswered):
            self._answered()
        elif isinstance(news, PairBecameValid):
            session.outputs.append(PairValidated(self.index, component.number, pair.snapshot()))
            if all(other.path is not None and not other.is_quiet for other in self.components):
                session.move(self.index, IceCause.VALIDATE)
        elif isinstance(news, PairNominated):
            if self.is_selected:
                self.checker.list.move(ChecklistEvent.NOMINATE)
                session.timers.cancel(timer_of(self.index))  # patience was for the first pairs
                self._answered()
            session.outputs.append(PairSelected(self.index, component.number, pair.snapshot()))

    # ------------------------------------------------------------- the end

    def expire(self, component: Component, *, revoked: bool, now: float) -> None:
        """Stop sending where consent has ended. On a selected pair that is the end of the stream (RFC 7675 5.1)."""
        pair = cast(Pair, component.used)  # there is no consent without
        self._session.outputs.append(ConsentExpired(self.index, component.number, revoked))
        answered_by = -math.inf if revoked else now - self._session.config.consent_timeout
        conclusion = component.conclusion
        is_selected = pair is conclusion.selected
        if is_selected and (revoked or conclusion.mover is None):
            self.fail()
            return
        self.checker.fail_valid(pair, answered_by, now=now)
        if not is_selected and not conclusion.was_lost:
            return
        if conclusion.best_valid is None:  # nobody answers anywhere any more
            self.fail()
        else:
            self._do_without(conclusion, now)

    def _do_without(self, conclusion: Conclusion, now: float) -> None:
        """A selected pair is dead, and renomination may bring another.

        Where none is valid now, one may still be found: from an address that this machine gets, or the peer. That long an
        agent is patient as it would be for consent.
        """
        conclusion.lose(now)
        self.patience_over = False
        self._session.timers.set(timer_of(self.index), now + self._session.config.consent_timeout)

    def fail_if_hopeless(self, gathering: bool) -> None:
        """Fail when nothing can connect any more, but never before patience has ended (RFC 8863 4)."""
        if not self.patience_over or self.is_over or self.is_selected:
            return
        no_more_candidates = self.remote_complete or self._session.config.assume_end_of_candidates  # RFC 8863 5
        no_more_candidates = no_more_candidates and not gathering
        nomination_failed = any(conclusion.has_failed for conclusion in self.checker.conclusions)
        was_lost = any(conclusion.was_lost and conclusion.best_valid is None for conclusion in self.checker.conclusions)
        if nomination_failed or was_lost or (no_more_candidates and self.checker.is_exhausted):
            self.fail()

    def fail(self) -> None:
        """The end for these credentials. From now on the stream is silent, so that the peer notices too."""
        self.stop()
        self._session.move(self.index, IceCause.FAIL)

    def stop(self) -> None:
        """Send and check nothing any more."""
        for component in self.components:
            component.stop()
        self.checker.fail_list()
        self._session.timers.cancel(timer_of(self.index))

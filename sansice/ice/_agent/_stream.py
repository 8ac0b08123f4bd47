"""One stream: its components, its generations, and whether it can still connect (RFC 8445 7.2.5.4, 9; RFC 8863)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from sansice._enums import IdentityEnum
from sansice.ice._candidate import Candidate
from sansice.ice._description import Credentials, Description
from sansice.ice._events import ConsentExpired, IceCause, PairSelected, PairValidated
from sansice.ice._pair import LocalCandidate, Pair
from sansice.ice._telling._tally import Ending
from sansice.machine import Address, DecodeError, DropReason, LocalProtocolError, SocketError, SocketId
from sansice.stun import USERNAME, XOR_MAPPED_ADDRESS, Message

from ._checker import Checker
from ._checklist import ChecklistEvent, ChecklistState
from ._checks import Checks
from ._component import Component
from ._conclusion import Conclusion
from ._consent import ConsentAnswer
from ._generations import Generations
from ._session import OVER, News, PairAnswered, PairBecameValid, PairNominated, Session, timer_of

if TYPE_CHECKING:
    from sansice.ice._tcp._paths import TcpLoss

MAX_USERNAME = 508  # bytes; RFC 8489 14.3


class Told(IdentityEnum):
    """What a description of the peer's is to a stream, by its credentials."""

    FIRST = "the first of this generation"
    SAME = "another one of this generation"
    NEXT = "the peer has restarted"
    OF_ANOTHER = "somebody else answers our present description, and has proven it"
    PAST = "of a generation that is over"


class Stream:
    """One stream of an agent.

    Attributes:
        index: its place among the streams.
        checker: the present generation.
        previous: those before whose pairs carry data, until the present one has selected a pair for every component.
        components: in order.
        remote_complete: whether the peer has no more candidates for this generation.
        patience_over: whether this generation may fail (RFC 8863 4).
        lost_socket: what ended it, where that was a socket.
        ending: how consent on a pair in use ended, where it did.
    """

    __slots__ = (
        "_checks",
        "_generations",
        "_has_restarted",
        "_session",
        "checker",
        "components",
        "ending",
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
        self.previous: tuple[Checker, ...] = ()
        self._has_restarted = False
        self._generations: Generations | None = None  # most peers have one only
        self.components = tuple(
            [Component(session, index, number, timer_of(index, number), self.checker) for number in range(1, components + 1)]
        )
        self.remote_complete = False
        self.patience_over = False
        self.lost_socket: SocketError | None = None
        self.ending: Ending | None = None
        session.add_stream(self.checker.list)

    @property
    def is_over(self) -> bool:
        """Whether it has failed, or the agent is closed."""
        return self._session.states[self.index] in OVER

    @property
    def is_selected(self) -> bool:
        """Whether every component has a selected pair."""
        conclusions = self.checker.conclusions
        if len(conclusions) == 1:
            return conclusions[0].selected is not None
        return all(conclusion.selected is not None for conclusion in self.wanted)

    @property
    def is_to_select(self) -> bool:
        """Whether it may still select a pair that it has not, without a restart."""
        return not self.is_selected and not self.is_over and not any(one.awaits_restart for one in self.checker.conclusions)

    @property
    def is_complete_now(self) -> bool:
        """Whether every component has a selected pair, which was not so before: the peer has fewer of them than thought."""
        return self.is_selected and self.checker.list.state is ChecklistState.RUNNING and not self.is_over

    @property
    def has_former(self) -> bool:
        """Whether something of earlier generations is kept."""
        return bool(self.previous) or any(component.former for component in self.components)

    @property
    def awaits_answer(self) -> bool:
        """Whether it has restarted, and the peer has not answered that yet."""
        return self._has_restarted and self.checker.remote is None

    @property
    def wanted(self) -> tuple[Conclusion, ...]:
        """The components that count: where the peer has fewer, only as many as it has (RFC 8445 6.1.2.2).

        How many it has is known once all its candidates are.
        """
        conclusions = self.checker.conclusions
        if len(conclusions) == 1 or not self.remote_complete or self.checker.waits_for_names:
            return conclusions
        return conclusions[: max((one.component for one in conclusions if one.pairing.remotes), default=len(conclusions))]

    # ------------------------------------------------------------- candidates and descriptions

    def look_at(self, description: Description) -> Told:
        """What a description is, by its credentials.

        Raises:
            LocalProtocolError: it cannot be the peer's, or not without a restart.
        """
        own, remote = self.checker.credentials, self.checker.remote
        is_own = (description.ufrag, description.pwd) == (own.ufrag, own.pwd)
        if is_own and not self._session.config.shared_credentials:
            raise LocalProtocolError("set_remote(): this is the agent's own description")
        if len(description.ufrag) + 1 + len(own.ufrag) > MAX_USERNAME:
            raise LocalProtocolError(f"set_remote(): both ufrags together make a USERNAME above {MAX_USERNAME} bytes")
        if self._generations is not None and self._generations.is_past(description.ufrag):
            return Told.PAST
        if remote is None:
            return Told.FIRST
        if (description.ufrag, description.pwd) == (remote.ufrag, remote.pwd):
            if description.lite != remote.lite:
                raise LocalProtocolError("set_remote(): only a restart makes a lite agent of a full one, or back (RFC 8445 9)")
            return Told.SAME
        if description.ufrag == remote.ufrag or description.pwd == remote.pwd:
            raise LocalProtocolError("set_remote(): a restart changes both ice-ufrag and ice-pwd (RFC 8839 4.4.1.1.1)")
        return Told.OF_ANOTHER if self.checker.has_heard_of(description.ufrag) else Told.NEXT

    def set_remote(self, description: Description, patience_ends: float) -> None:
        """Know the peer of this generation; `Checker.take_up_early` comes next."""
        self.checker.set_remote(description)
        self._session.timers.set(timer_of(self.index), patience_ends)  # RFC 8863 4
        for candidate in () if self._generations is None else self._generations.take(description.ufrag):
            if candidate is None:
                self.remote_complete = True
            else:
                self.checker.add_remote(candidate)

    def add_described(self, description: Description) -> None:
        """Add what is new in another description of this generation."""
        for candidate in description.candidates:
            self.checker.add_remote(candidate)

    def add_remote(self, candidate: Candidate, ufrag: str | None) -> bool:
        """Know a candidate that the peer trickled; ``ufrag`` names its generation (RFC 8838 11)."""
        if ufrag is not None and not self._is_present(ufrag):
            return self._keep(candidate, ufrag)
        if self.remote_complete:  # RFC 8838 14: ignored
            self._session.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        return self.checker.add_remote(candidate)

    def end_of_candidates(self, ufrag: str | None) -> None:
        """The peer has no more candidates for a generation (RFC 8838 13)."""
        if ufrag is None or self._is_present(ufrag):
            self.remote_complete = True
        else:
            self._keep(None, ufrag)

    def _is_present(self, ufrag: str) -> bool:
        """Whether a ufrag names the present generation."""
        return self.checker.remote is not None and self.checker.remote.ufrag == ufrag

    def _keep(self, candidate: Candidate | None, ufrag: str) -> bool:
        """Keep what belongs to a description to come, and ignore what belongs to one that is past."""
        if self._generations is None:
            self._generations = Generations(self._session.config.max_remote_candidates)
        if self._generations.is_past(ufrag):
            self._session.drop(DropReason.OLD_GENERATION)
            return False
        if not self._generations.keep(ufrag, candidate):
            self._session.drop(DropReason.LIMIT)
            return False
        return True

    def add_local(self, local: LocalCandidate) -> None:
        """Know a local candidate."""
        self.checker.add_local(local)

    def lose_socket(self, socket: SocketId, error: SocketError, *, is_moving: bool = False, now: float) -> None:
        """A socket died, and with it the stream if a selected pair used it for good.

        ``is_moving``: the machine has other addresses, and the application may want to restart from one of them.
        """
        if self.is_over:  # a restart must not begin with it
            self.checker.forget_local(socket)
            return
        self.checker.remove_local(socket, now=now)
        for component in self.components:
            if component.is_of_former and component.used is not None and component.used.local.socket == socket:
                self._leave_former(component, now)
        for conclusion in self.checker.conclusions:
            pair = conclusion.selected
            if pair is None or pair.local.socket != socket:
                continue
            self.lost_socket = error
            if conclusion.mover is not None:
                self._do_without(conclusion, now)
            elif is_moving:
                self._be_cut_off(conclusion, now)
            else:
                self.fail()
                return

    def lose_connection(self, component: Component, loss: TcpLoss, *, is_in_use: bool, was_answered: bool, now: float) -> None:
        """A TCP connection is no more, or was not to be had: checks on it fail (RFC 6544 7.1), but consent is not revoked.

        For that anybody on the way could end it (RFC 7675 5.2). The end that may opens another connection for the pair in use and
        asks at once, and the other end waits (RFC 6544 11.1). One that was closed without an answer is left to the next check
        for consent, or it would be opened again and again.
        """
        pair = self.find_pair(loss.socket, loss.remote)
        if self.is_over or pair is None:
            return
        checker = self.checker
        if loss.is_elsewhere:
            checker.fail_remote(component.conclusion, loss.remote, loss.why, now=now)
            return
        self._checks.lose(pair, loss.why, now=now)
        if not is_in_use:
            if not loss.can_reopen and pair in checker.list:
                checker.fail_pairs(component.conclusion, (pair,), loss.why, now=now)
        elif not loss.can_reopen:
            component.conclusion.is_cut = True
        elif was_answered:
            component.ask_again(pair, now)

    # ------------------------------------------------------------- restarts

    def restart(self, credentials: Credentials) -> None:
        """Begin another generation (RFC 8445 9): all is forgotten but the role, and the pairs that carry data."""
        session, old = self._session, self.checker
        if old.remote is not None:
            if self._generations is None:
                self._generations = Generations(session.config.max_remote_candidates)
            self._generations.end(old.remote.ufrag)
        new = Checker(session, self._checks, credentials, self.index, len(self.components))
        new.generation = old.generation + 1
        if credentials == old.credentials:
            new.inherit_early(old)
        old.retire()
        former = (*self.previous, old)
        self.previous = tuple([one for one in former if any(other.uses(one) for other in self.components)])
        self.checker, session.lists[self.index] = new, new.list
        for component in self.components:
            component.restart(new)
        self._has_restarted = True
        self.remote_complete = self.patience_over = False
        self.lost_socket = self.ending = None
        session.timers.cancel(timer_of(self.index))
        new.inherit_locals(old)
        session.move(self.index, IceCause.RESTART)

    def _leave_former(self, component: Component, now: float) -> None:
        """What an earlier generation had in use is dead: use what this one has found so far, if anything."""
        conclusion = component.conclusion
        component.select(conclusion.selected)
        component.use(conclusion.selected or conclusion.best_valid, self.checker, now)
        if component.path is not None:
            self._validate()

    def follow_data(self, component: Component, socket: SocketId, source: Address, now: float) -> None:
        """The peer sends over a valid pair of this generation, though an earlier one's is in use here: he has left that.

        A peer restarts because his network is another one, and his old address hears nothing. To wait for the nomination would
        be a second of silence; RFC 8445 9 allows the earlier pair meanwhile, and 12.1 any that is valid.
        """
        pair = self.checker.list.find(socket, source)
        if pair is not None and pair.valid is not None:
            self._leave_former(component, now)

    def find_pair(self, socket: SocketId, remote: Address) -> Pair | None:
        """The pair of that path, of the latest generation that has one."""
        found = (one.list.find(socket, remote) for one in (self.checker, *reversed(self.previous)))
        return next((pair for pair in found if pair is not None), None)

    def forget_former(self) -> None:
        """Earlier generations have nothing in use any more, and what was on its way has come."""
        self.previous = ()
        for component in self.components:
            component.former = ()

    # ------------------------------------------------------------- datagrams

    def handle_request(self, component: Component, socket: SocketId, source: Address, request: Message, *, now: float) -> None:
        """Answer a check of the peer's: the generation whose ufrag it names does."""
        local = component.conclusion.pairing.local_on(socket)
        if local is None:  # a policy hides it, or its candidate is not told yet: nobody can mean it
            self._session.drop(DropReason.UNKNOWN_SOCKET)
        else:
            checker = self._former_of(request) if self.previous else None
            (checker or self.checker).handle_request(local, source, request, now=now)

    def _former_of(self, request: Message) -> Checker | None:
        try:
            username = request.get(USERNAME) or ""
        except DecodeError:  # the present generation counts it
            return None
        ufrag = username.partition(":")[0]
        if ufrag == self.checker.credentials.ufrag:
            return None
        return next((one for one in self.previous if one.credentials.ufrag == ufrag), None)

    def handle_response(self, component: Component, socket: SocketId, source: Address, message: Message, *, now: float) -> None:
        """Take what can only be the answer to a consent check."""
        answer = component.handle_response(socket, source, message, now=now)
        if answer is ConsentAnswer.REVOKED:
            self.expire(component, revoked=True, now=now)
        elif answer is ConsentAnswer.RENEWED:
            self._answered()
            self.checker.see_mapping(component.used, message.get(XOR_MAPPED_ADDRESS))

    def _answered(self) -> None:
        """Consent is renewed on a component."""
        if all(self.components[conclusion.component - 1].is_alive for conclusion in self.wanted):
            self._session.move(self.index, IceCause.SELECT if self.is_selected else IceCause.ANSWER)

    # ------------------------------------------------------------- what becomes of pairs

    def take(self, news: News, now: float) -> None:
        """Act on what became of a pair."""
        if self.is_over:
            return
        session, pair = self._session, news.pair
        component = self.components[pair.local.candidate.component - 1]
        conclusion = component.conclusion
        if conclusion.awaits_restart:  # what else is valid the peer does not use
            return
        if isinstance(news, PairAnswered) and pair is not (conclusion.selected or conclusion.best_valid):
            return  # of a pair beside the one in use
        if conclusion.selected is not None or not component.is_of_former:  # else what is in use stays (RFC 8445 9)
            component.use(conclusion.selected or conclusion.best_valid, self.checker, now)
            component.is_quiet = component.is_quiet or conclusion.is_in_doubt
        if isinstance(news, PairAnswered):
            self._answered()
        elif isinstance(news, PairBecameValid):
            session.outputs.append(PairValidated(self.index, component.number, pair.snapshot()))
            self._validate()
        elif isinstance(news, PairNominated):
            component.select(pair)
            self.complete()
            session.outputs.append(PairSelected(self.index, component.number, pair.snapshot()))

    def _validate(self) -> None:
        """A component has a path: do all, and is the peer there?"""
        if all(self.components[conclusion.component - 1].is_alive for conclusion in self.wanted):
            self._session.move(self.index, IceCause.VALIDATE)

    def complete(self) -> None:
        """A component has selected, or need not any more: is that all?"""
        if self.is_over or not self.is_selected:
            return
        session = self._session
        self.checker.list.move(ChecklistEvent.NOMINATE)
        for component in self.components[len(self.wanted) :]:  # the peer has no such one any more
            component.stop()
        session.timers.cancel(timer_of(self.index))  # patience was for the first pairs
        self._answered()

    # ------------------------------------------------------------- the end

    def expire(self, component: Component, *, revoked: bool, now: float) -> None:
        """Stop sending where consent has ended. On a selected pair that is the end of the stream (RFC 7675 5.1)."""
        pair = cast(Pair, component.used)  # there is no consent without
        self._session.outputs.append(ConsentExpired(self.index, component.number, revoked))
        if component.is_of_former:
            self._leave_former(component, now)
            return
        answered_by = -math.inf if revoked else now - self._session.config.consent_timeout
        conclusion = component.conclusion
        is_selected = pair is conclusion.selected
        self.ending = Ending.REVOKED if revoked else Ending.of(due=component.until, now=now)
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
            # A pair that failed before, with its connection, is not told of again: it would expire for ever.
            component.use(conclusion.best_valid, self.checker, now)

    def _do_without(self, conclusion: Conclusion, now: float) -> None:
        """A selected pair is dead, and renomination may bring another.

        Where none is valid now, one may still be found: from an address that this machine gets, or the peer. That long an
        agent is patient as it would be for consent.
        """
        self._session.move(self.index, IceCause.QUIET)  # connectivity is lost for now, as W3C's "disconnected" has it
        self.components[conclusion.component - 1].select(None)
        conclusion.lose(now)
        self.patience_over = False
        self._session.timers.set(timer_of(self.index), now + self._session.config.consent_timeout)

    def _be_cut_off(self, conclusion: Conclusion, now: float) -> None:
        """A selected pair is dead, and only a restart can bring another: the stream waits for that as it would for consent."""
        self._session.move(self.index, IceCause.QUIET)
        conclusion.cut_off()
        self.components[conclusion.component - 1].stop()
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
        if nomination_failed or was_lost or (no_more_candidates and self._is_exhausted):
            self.fail()

    @property
    def _is_exhausted(self) -> bool:
        """Whether a component has no valid pair, and no pair is still being tried (RFC 8445 7.2.5.4)."""
        if self.checker.has_unfinished:
            return False
        return any(conclusion.best_valid is None for conclusion in self.wanted)

    def fail(self) -> None:
        """The end for these credentials. From now on the stream is silent, so that the peer notices too."""
        self.stop()
        self._session.move(self.index, IceCause.FAIL)

    def stop(self) -> None:
        """Send and check nothing any more."""
        for component in self.components:
            component.stop()
        self.previous = ()
        self.checker.fail_list()
        self._session.timers.cancel(timer_of(self.index))

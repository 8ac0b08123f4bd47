"""Finding a server by its URI: the machine that asks the DNS (RFC 8489 8.1, RFC 5928, RFC 7350 4.6.2, RFC 5780 5.1)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

import attrs

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import (
    Address,
    Entropy,
    Event,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    Record,
    Resolve,
    ResolveError,
    Transport,
)
from sansice.stun._uri import ServerUri, host_name

from ._order import usable_records
from ._rules import (
    ADDRESS_KINDS,
    Answer,
    Question,
    Search,
    ServerTarget,
    default_transports,
    usable_transports,
)

TIMEOUT = 10.0  # seconds: three questions in a row, none of them answered, and something to spare
MIN_TIMEOUT = 0.01  # seconds
_QUESTION_SHARE = 0.3  # of the whole: so that SRV and NAPTR may time out and the addresses still be asked for
# RFC 8305 3 waits 50 ms for the other family, because it can still use what comes later. Here what comes later is lost.
_REST = 1.0

# RFC 5928's longest example asks seven questions. A hostile zone would have us ask for ever.
MAX_QUESTIONS = 48
MAX_OUTSTANDING = 8  # at once, so that a client is no burst of DNS queries
_MAX_REASONS = 6  # questions named in a failure

_FAMILIES = (4, 6)


class ResolutionState(IdentityEnum):
    """Where a resolution is."""

    IDLE = "not started"
    ASKING = "waiting for answers"
    DONE = "over"


class ResolutionInput(IdentityEnum):
    """What moves a resolution from one state to another."""

    START = "start"
    END = "all is known, time is up, or cancelled"


RESOLUTION_TRANSITIONS: dict[tuple[ResolutionState, ResolutionInput], ResolutionState] = {
    (ResolutionState.IDLE, ResolutionInput.START): ResolutionState.ASKING,
    (ResolutionState.IDLE, ResolutionInput.END): ResolutionState.DONE,
    (ResolutionState.ASKING, ResolutionInput.END): ResolutionState.DONE,
    (ResolutionState.DONE, ResolutionInput.END): ResolutionState.DONE,
}


class _Limit(IdentityEnum):
    """Deadlines beside those of the questions."""

    ALL = "the whole resolution"
    REST = "what is still missing once there is something to try"


@attrs.frozen
class ServerResolved(Event):
    """The servers of a URI are known.

    Attributes:
        targets: at least one, each once, in the order to try. Try the next when one does not answer; better, race them:
            start the next some 250 ms after the one before, and take the first that answers (RFC 8305 5).
    """

    targets: tuple[ServerTarget, ...]


@attrs.frozen
class ResolutionFailed(Event):
    """There is nothing to try.

    Attributes:
        reason: words for a person: what the URI does not allow, or what was asked and came to nothing. They do not repeat
            the URI, which whoever shows them puts before.
    """

    reason: str


class ServerResolution(Machine):
    """Turns one URI into the addresses to try; then it is over. Everything is asked again by the next one.

    An IP address is answered within `start`. A name with a port is looked up by A and AAAA. One without a port is looked
    up by SRV first, and before that by NAPTR, if it is a TURN server's and the URI names no transport; where neither has
    anything, the name's addresses and the default port are the answer. Names keep the order that the DNS gives them, and
    the families of one name take turns (RFC 8305 4). Only NAPTR makes TLS or DTLS of a ``turn:`` URI.

    The answer comes at once for all: a machine that races targets needs their order. So that a name server that is
    silent about one family costs little, a resolution that has something to try and waits for nothing but addresses
    ends a second later with what it has.

    Args:
        uri: the server's. There is no default one (RFC 8489 8).
        transports: what to use, in order of preference; what the URI does not allow is passed over. By default UDP for
            ``stun``, TLS for ``stuns``, everything for ``turn`` and ``turns``: UDP, TCP, TLS, DTLS.
        service: the SRV service instead of the scheme: ``"stun-behavior"`` (RFC 5780), to which ``stuns`` adds its "s".
        verify_name: what the server's certificate must carry, if not the URI's host. Without it a secure URI with an IP
            address is refused (RFC 8489 8.1, RFC 7350 4.1.1).
        families: 6 and 4 or one of them, the preferred one first.
        skip: servers to be left out, as those that answered an Allocate with 437, 486 or 508 (RFC 5928 3).
        ids: of the tree of machines that this one is in.
        timeout: seconds until it ends with what it has.
        entropy: draws by the weight of SRV records.

    Attributes:
        state: where it is.

    Raises:
        LocalProtocolError: no family, an unknown or a repeated one; a service for a TURN server; a timeout under
            `MIN_TIMEOUT`; ``verify_name`` is no host name.
    """

    __slots__ = (
        "_answers",
        "_asked",
        "_entropy",
        "_families",
        "_ids",
        "_service",
        "_skip",
        "_timeout",
        "_timers",
        "_transports",
        "_uri",
        "_verify_name",
        "state",
    )

    def __init__(
        self,
        uri: ServerUri,
        *,
        transports: Sequence[Transport] | None = None,
        service: str | None = None,
        verify_name: str | None = None,
        families: Sequence[int] = (6, 4),
        skip: Collection[Address] = (),
        ids: Ids | None = None,
        timeout: float = TIMEOUT,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        if not families or len(set(families)) < len(families) or any(family not in _FAMILIES for family in families):
            raise LocalProtocolError(f"families are 6 and 4 or one of them, not {families!r}")
        if service is not None and uri.is_turn:
            raise LocalProtocolError(f"{uri}: the SRV service of a TURN server is its scheme, not {service!r}")
        if not timeout >= MIN_TIMEOUT:
            raise LocalProtocolError(f"a timeout of {timeout} seconds leaves no time to ask: at least {MIN_TIMEOUT}")
        self._uri = uri
        self._transports = default_transports(uri) if transports is None else tuple(transports)
        self._service = service
        self._verify_name = _checked_name(verify_name)
        self._families = tuple(families)
        self._skip = frozenset(skip)
        self._ids = ids if ids is not None else Ids()
        self._timeout = timeout
        self._entropy = entropy
        self._answers: dict[Question, Answer] = {}
        self._asked: dict[QueryId, Question] = {}
        self._timers: FewTimers[QueryId | _Limit] = FewTimers()
        self.state: ResolutionState = ResolutionState.IDLE

    def start(self, *, now: float) -> None:
        """Begin. Ends in `ServerResolved` or `ResolutionFailed`, possibly before this returns.

        Raises:
            LocalProtocolError: it was started or cancelled before.
        """
        if self.state is not ResolutionState.IDLE:
            raise LocalProtocolError("a resolution is started once: make another one")
        self._move(ResolutionInput.START)
        try:
            self._transports = usable_transports(self._uri, self._transports)
            self._check_identity()
        except ValueError as error:
            self._end(ResolutionFailed(str(error)))
            return
        self._timers.set(_Limit.ALL, now + self._timeout)
        self._advance(now)

    def cancel(self, *, now: float) -> None:
        """Forget it: no event follows. Safe at any time, and again."""
        self._end()

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """Take an answer; one that came too late, or that nobody asked for, changes nothing."""
        question = self._asked.pop(query, None)
        if question is None:
            return
        self._timers.cancel(query)
        if not isinstance(answer, ResolveError):
            answer = usable_records(question.kind, answer, self._entropy)  # once: every look sees the same order
        self._answers[question] = answer
        self._advance(now)

    def handle_timer(self, *, now: float) -> None:
        """Give up on questions that have waited too long, and in the end on all of them."""
        while (due := self._timers.pop_due(now)) is not None:
            if isinstance(due, _Limit):
                self._conclude(self._search(self._answer_or_timeout))
            else:
                self._answers[self._asked.pop(due)] = ResolveError.TIMEOUT
        if self.state is ResolutionState.ASKING:
            self._advance(now)

    def deadline(self) -> float:
        """When a question, the rest, or the whole is given up."""
        return self._timers.earliest

    def _check_identity(self) -> None:
        if self._uri.is_secure and self._uri.is_literal and self._verify_name is None:
            raise ValueError(
                "an IP address says nothing about whose certificate to expect: "
                "write the server's name, or give the name to verify beside the address (RFC 8489 8.1)"
            )

    def _advance(self, now: float) -> None:
        search = self._search(self._answer)
        if not search.wanted:
            self._conclude(search)
            return
        waiting = set(self._asked.values())
        for question in search.wanted:
            if len(self._asked) == MAX_OUTSTANDING:
                break
            if question not in waiting:
                self._ask(question, now)
        if search.found and _Limit.REST not in self._timers and all(one.kind in ADDRESS_KINDS for one in search.wanted):
            self._timers.set(_Limit.REST, now + _REST)

    def _ask(self, question: Question, now: float) -> None:
        query = self._ids.query()
        self._asked[query] = question
        self._timers.set(query, now + self._timeout * _QUESTION_SHARE)
        self._outputs.append(Resolve(query, question.name, question.kind))

    def _search(self, answer: Callable[[Question], Answer | None]) -> Search:
        return Search(self._uri, self._transports, service=self._service, families=self._families, answer=answer)

    def _answer(self, question: Question) -> Answer | None:
        answer = self._answers.get(question)
        if answer is None and len(self._answers) + len(self._asked) >= MAX_QUESTIONS and question not in self._asked.values():
            return ResolveError.FAILURE
        return answer

    def _answer_or_timeout(self, question: Question) -> Answer:
        return self._answers.get(question, ResolveError.TIMEOUT)

    def _conclude(self, search: Search) -> None:
        targets = tuple(
            ServerTarget(transport, address, self._identity(transport))
            for transport, address in search.found
            if address not in self._skip
        )
        self._end(ServerResolved(targets) if targets else ResolutionFailed(self._explain(search)))

    def _identity(self, transport: Transport) -> str | None:
        if transport in (Transport.UDP, Transport.TCP):
            return None
        return self._verify_name if self._verify_name is not None else self._uri.host

    def _explain(self, search: Search) -> str:
        if search.found:
            return f"each of its {len(search.found)} servers is to be left alone for now"
        if self._uri.is_literal:
            families = " or ".join(f"IPv{family}" for family in self._families)
            return f"{self._uri.host} is no {families} address of a server"
        asked = [*self._answers.items(), *((question, ResolveError.TIMEOUT) for question in self._asked.values())]
        told = [f"{question.kind.value} {question.name}: {_outcome(answer)}" for question, answer in asked[:_MAX_REASONS]]
        if len(asked) > _MAX_REASONS:
            told.append(f"{len(asked) - _MAX_REASONS} more")
        return f"no server found ({'; '.join(told)})"

    def _end(self, *outcome: Event) -> None:
        self._move(ResolutionInput.END)
        self._outputs.extend(outcome)
        # RFC 5928 3: what was learned is not to be used again.
        self._answers.clear()
        self._asked.clear()
        self._timers.clear()

    def _move(self, event: ResolutionInput) -> None:
        self.state = RESOLUTION_TRANSITIONS[self.state, event]


def _checked_name(verify_name: str | None) -> str | None:
    if verify_name is None:
        return None
    try:
        return host_name(verify_name)
    except ValueError as error:
        raise LocalProtocolError(f"verify_name: {error}") from None


def _outcome(answer: Answer) -> str:
    return answer.value if isinstance(answer, ResolveError) else "nothing usable"

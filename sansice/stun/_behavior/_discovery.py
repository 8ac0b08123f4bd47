"""NAT behaviour discovery: which kind of NAT or firewall is in the way, asked of a server that has two addresses (RFC 5780)."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import Any

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import (
    Address,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun._errors import LookupStep
from sansice.stun._resolution._resolution import ResolutionFailed, ServerResolution, ServerResolved
from sansice.stun._uri import ServerUri

from ._alternate import why_no_alternate
from ._asking import Asking
from ._config import BehaviorConfig
from ._events import (
    AlgDetected,
    BehaviorDiscovered,
    BehaviorFailed,
    BehaviorProgressed,
    FilteringDiscovered,
    FragmentsDiscovered,
    HairpinningDiscovered,
    LifetimeDiscovered,
    LifetimeNarrowed,
    MappingDiscovered,
    TestUnavailable,
)
from ._filtering import FilteringTest
from ._fragments import FragmentsTest
from ._hairpinning import HairpinningTest
from ._lifetime import LifetimeTest
from ._mapping import MappingTest
from ._nat_behavior import NatBehavior
from ._nat_words import BehaviorTest, MappingBehavior, ServerKind
from ._questions import Outcome, Port, Question, Replied, Reply, Server
from ._running import Finding, Moves, Test, unavailable

DEFAULT_BEHAVIOR_TESTS = (BehaviorTest.FILTERING, BehaviorTest.MAPPING, BehaviorTest.HAIRPINNING, BehaviorTest.FRAGMENTS)
"""All but the lifetime, which takes minutes."""

MAPPING_LIFETIME_LIMIT = 300.0  # seconds; RFC 4787 4.3 wants two minutes and recommends five
SERVICE = "stun-behavior"  # RFC 5780 5.1


class BehaviorState(IdentityEnum):
    """Where a discovery is."""

    IDLE = "not started"
    RESOLVING = "looking up the server's name"
    REACHING = "asking whether a server answers"
    CLASSIC = "asking it by the rules of RFC 3489"
    TESTING = "running the tests"
    DONE = "over"


class BehaviorInput(IdentityEnum):
    """What moves a discovery from one state to another."""

    START = "start"
    RESOLVED = "there are addresses to try"
    NO_ALTERNATE = "an answer without a second address"
    REACHED = "all is known that the tests need"
    END = "all is over, or closed"


BEHAVIOR_TRANSITIONS: dict[tuple[BehaviorState, BehaviorInput], BehaviorState] = {
    (BehaviorState.IDLE, BehaviorInput.START): BehaviorState.RESOLVING,
    (BehaviorState.RESOLVING, BehaviorInput.RESOLVED): BehaviorState.REACHING,
    (BehaviorState.REACHING, BehaviorInput.NO_ALTERNATE): BehaviorState.CLASSIC,
    (BehaviorState.REACHING, BehaviorInput.REACHED): BehaviorState.TESTING,
    (BehaviorState.CLASSIC, BehaviorInput.REACHED): BehaviorState.TESTING,
    **{(state, BehaviorInput.END): BehaviorState.DONE for state in BehaviorState},
}


@attrs.define(eq=False)
class BehaviorStats:
    """Counters of a discovery.

    Attributes:
        requests: transactions begun.
        dropped: datagrams that answered nothing, by reason.
    """

    requests: int = 0
    dropped: Counter[DropReason] = attrs.field(factory=Counter)


class BehaviorDiscovery(Machine):
    """Finds out how the NATs and firewalls between here and a server treat UDP.

    Emits `BehaviorProgressed` before each test and a finding or `TestUnavailable` after it, and in the end exactly one of
    `BehaviorDiscovered` and `BehaviorFailed`. The order of the tests is fixed: filtering comes before mapping, because
    mapping sends to the server's second address, and firewalls exist that then let it in at every port. With the default
    schedule it takes 8.5 s for each silence that is a result: about 20 s behind the commonest NATs; the lifetime test
    takes minutes. Nothing that is measured is made better by guessing: what the server cannot show is unavailable.

    A server that names no second address is asked by RFC 3489, which has the same tests. Where it knows that neither,
    mapping and filtering are unavailable.

    The second address and the mapped ones are the server's word, so they are not trusted: one that cannot be right is
    refused, and to strangers that a lying server names go at most ``4 * schedule.rc`` Binding requests of 20 bytes: half
    of them in the mapping test, half in the hairpinning test, twenty in all by default. ALTERNATE-SERVER is ignored, and
    no more than ten transactions begin in a second (RFC 5780 5).

    Args:
        server: a ``stun`` URI, whose name is looked up by the SRV service "stun-behavior" (RFC 5780 5.1), or an address.
        local: the address to ask from, and then only servers of its family; with a port, that one is used for
            reachability and mapping. By default the one by which the system routes to the server, and ports that the
            system chooses (RFC 5780 4.1).
        tests: what to find out; see `DEFAULT_BEHAVIOR_TESTS`.
        lifetime_limit: the longest silence to try, in seconds.
        families: 6 and 4 or one of them, the preferred one first. By default IPv4, where the NATs are.
        config: times and bounds.
        ids: of the tree of machines that this one is in.
        entropy: draws transaction ids and the spread of retransmissions.

    Attributes:
        state: where it is.

    Raises:
        ValueError: ``server`` is text but no URI.
        LocalProtocolError: a URI of another scheme, no test, or a limit that is not positive.
    """

    __slots__ = (
        "_alternate",
        "_asking",
        "_behavior",
        "_complaints",
        "_config",
        "_lifetime_limit",
        "_no_alternate",
        "_open",
        "_pending",
        "_primary",
        "_resolution",
        "_silent",
        "_step",
        "_targets",
        "_test",
        "_total",
        "state",
    )

    def __init__(
        self,
        server: ServerUri | Address | str,
        *,
        local: Address | None = None,
        tests: Collection[BehaviorTest] = DEFAULT_BEHAVIOR_TESTS,
        lifetime_limit: float = MAPPING_LIFETIME_LIMIT,
        families: Sequence[int] = (4, 6),
        config: BehaviorConfig | None = None,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        uri = _uri_of(server)
        if not tests:
            raise LocalProtocolError("no test is asked for")
        if not 0 < lifetime_limit < math.inf:
            raise LocalProtocolError(f"a lifetime limit of {lifetime_limit} s; it must be positive and finite")
        ids = ids if ids is not None else Ids()
        self.state: BehaviorState = BehaviorState.IDLE
        self._config = config if config is not None else BehaviorConfig()
        self._lifetime_limit = lifetime_limit
        self._pending: deque[BehaviorTest] = deque(test for test in BehaviorTest if test in tests)
        self._total = len(self._pending)
        self._asking = Asking(local=local, config=self._config, ids=ids, entropy=entropy)
        self._resolution = ServerResolution(
            uri,
            transports=(Transport.UDP,),
            service=SERVICE,
            families=families if local is None else (6 if local.is_ipv6 else 4,),
            ids=ids,
            timeout=self._config.resolve_timeout,
            entropy=entropy,
        )
        self._behavior = NatBehavior(str(server))
        self._targets: deque[Address] = deque()
        self._complaints: list[str] = []  # one for each target that was tried in vain
        self._silent = False
        self._step = LookupStep.RESOLVE  # how far it came
        self._primary = Address("", 0)
        self._alternate: Server | None = None
        self._no_alternate = ""
        self._open: list[Question] = []  # what is asked and not answered yet
        self._test: Test | None = None

    @property
    def stats(self) -> BehaviorStats:
        """What was sent, and what was dropped."""
        return BehaviorStats(self._asking.sent, Counter(self._asking.dropped))

    def start(self, *, now: float) -> None:
        """Begin.

        Raises:
            LocalProtocolError: it was started or closed before.
        """
        if self.state is not BehaviorState.IDLE:
            raise LocalProtocolError(f"a discovery starts once; this one is {self.state.value}")
        self._move(BehaviorInput.START)
        self._resolution.start(now=now)
        self._absorb(now)

    def close(self, *, now: float) -> None:
        """End it, at any time: the sockets are closed, and no event follows."""
        self._resolution.cancel(now=now)
        self._end()

    # ------------------------------------------------------------- inputs

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """What waited for the socket can be asked."""
        self._asking.handle_socket_opened(socket, local, now=now)
        self._absorb(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A test that needs the socket is unavailable."""
        self._asking.handle_socket_failed(socket, error, now=now)
        self._absorb(now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Answers, and requests of ours that came back."""
        for datagram in batch:
            # One by one: what an answer leads to may be told before the next is looked at.
            self._asking.handle_datagrams(socket, (datagram,), now=now)
            self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """Somebody is not there."""
        self._asking.handle_icmp(socket, destination, error, now=now)
        self._absorb(now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer about the server's name."""
        self._resolution.handle_resolved(query, answer, now=now)
        self._absorb(now)

    def handle_timer(self, *, now: float) -> None:
        """Ask, ask again, or take silence for an answer."""
        self._resolution.handle_timer(now=now)
        self._asking.handle_timer(now=now)
        self._absorb(now)

    def deadline(self) -> float:
        """The next question, retransmission or end."""
        return min(self._resolution.deadline(), self._asking.deadline())

    def _absorb(self, now: float) -> None:
        for output in self._resolution.take_outputs():
            if isinstance(output, ServerResolved):
                self._targets.extend(target.address for target in output.targets[: self._config.max_targets])
                self._move(BehaviorInput.RESOLVED)
                self._step = LookupStep.OPEN
                self._try_next(now)
            elif isinstance(output, ResolutionFailed):
                self._fail(output.reason)
            else:
                self._outputs.append(output)
        while outputs := self._asking.take_outputs():
            for output in outputs:
                if self.state is BehaviorState.DONE:
                    return  # what else came of the same input is of no interest: the sockets are closed
                if isinstance(output, Replied):
                    self._take(output.question, output.reply, now)
                else:
                    self._outputs.append(output)

    # ------------------------------------------------------------- reaching a server

    def _try_next(self, now: float) -> None:
        """RFC 5780 4.2, with the next address of the server."""
        if self._targets:
            self._primary = self._targets.popleft()
            self._asking.aim(self._primary)
            self._ask(Question(Port.FIRST, self._primary), now)
        elif self._silent:
            reason = f"no answer over UDP: {'; '.join(self._complaints)}"
            for test in self._pending:
                self._finding(TestUnavailable(test, reason))
            self._conclude()
        else:
            self._fail("; ".join(self._complaints))

    def _ask(self, question: Question, now: float) -> None:
        self._open.append(question)
        self._asking.ask(question, now=now)

    def _take(self, question: Question, reply: Reply, now: float) -> None:
        if question not in self._open:
            return  # of a test that was over before, by another reply to the same input
        self._open.remove(question)
        if reply.mapped is not None and reply.plain is not None:
            self._compare(reply.plain, reply.mapped)
        if self._test is not None:
            self._play(self._test.take(question, reply), now)
        elif self.state is BehaviorState.CLASSIC:
            self._take_classic(reply, now)
        else:
            self._take_first(question, reply, now)

    def _take_first(self, question: Question, reply: Reply, now: float) -> None:
        if reply.outcome is not Outcome.ANSWERED:
            self._silent = self._silent or reply.outcome is Outcome.SILENT
            if reply.local is not None:
                self._step = LookupStep.REQUEST
            self._behavior = attrs.evolve(self._behavior, local=reply.local)
            self._complaints.append(reply.complaint(question))
            self._try_next(now)
            return
        self._behavior = attrs.evolve(self._behavior, local=reply.local, mapped=reply.mapped)
        if reply.other is not None:
            self._no_alternate = why_no_alternate(reply.other, self._primary)
            if self._no_alternate:
                self._no_alternate = f"OTHER-ADDRESS is refused: {self._no_alternate}"
            else:
                self._alternate = Server(self._primary, reply.other)
            self._begin_tests(now)
            return
        self._no_alternate = "the server has no second address: it sends no OTHER-ADDRESS"
        if not self._config.classic or not self._needs_alternate():
            self._begin_tests(now)
            return
        self._move(BehaviorInput.NO_ALTERNATE)
        self._ask(Question(Port.FIRST, self._primary, classic=True, requests=self._config.classic_requests), now)

    def _take_classic(self, reply: Reply, now: float) -> None:
        """RFC 3489 10.1, test I: CHANGED-ADDRESS is what OTHER-ADDRESS is today."""
        if reply.changed is not None and reply.outcome is Outcome.ANSWERED:
            refused = why_no_alternate(reply.changed, self._primary)
            if refused:
                self._no_alternate = f"CHANGED-ADDRESS is refused: {refused}"
            else:
                self._alternate = Server(self._primary, reply.changed, classic=True)
                self._behavior = attrs.evolve(self._behavior, kind=ServerKind.RFC3489)
        self._begin_tests(now)

    def _needs_alternate(self) -> bool:
        return any(test in (BehaviorTest.FILTERING, BehaviorTest.MAPPING) for test in self._pending)

    def _compare(self, plain: Address, mapped: Address) -> None:
        """What the server wrote twice should still be the same (RFC 5780 3.6)."""
        if plain == mapped:
            if self._behavior.alg is None:
                self._behavior = attrs.evolve(self._behavior, alg=False)
        elif not self._behavior.alg:
            self._behavior = attrs.evolve(self._behavior, alg=True)
            self._outputs.append(AlgDetected(plain, mapped))

    # ------------------------------------------------------------- the tests

    def _begin_tests(self, now: float) -> None:
        self._move(BehaviorInput.REACHED)
        self._next_test(now)

    def _next_test(self, now: float) -> None:
        """Begin the next test that can be run; conclude after the last."""
        while self._pending:
            test = self._pending.popleft()
            self._outputs.append(BehaviorProgressed(test, self._total - len(self._pending) - 1, self._total))
            made = self._make(test)
            if isinstance(made, tuple):
                self._play(made, now)
                continue
            self._test = made
            self._play(made.begin(), now)
            return
        self._conclude()

    def _make(self, test: BehaviorTest) -> Test | Moves:
        """The test, or what is to be told instead."""
        behavior, primary = self._behavior, self._primary
        mapped = behavior.mapped or primary
        if test is BehaviorTest.HAIRPINNING:
            return HairpinningTest(primary)
        if test is BehaviorTest.FRAGMENTS:
            return FragmentsTest(primary, mapped, self._config.padding)
        if test is BehaviorTest.LIFETIME:
            return LifetimeTest(primary, self._lifetime_limit, self._config)
        server = self._alternate
        if test is BehaviorTest.MAPPING:
            if server is None and behavior.local is not None and not behavior.natted:
                return (MappingDiscovered(MappingBehavior.NONE, behavior.local, mapped),)
            return MappingTest(server) if server is not None else unavailable(test, self._no_alternate)
        if server is None:
            return unavailable(test, self._no_alternate)
        if server.alternate.host in self._asking.contacted:
            return unavailable(test, f"{server.alternate.host} was asked before, which opens the filter for it")
        return FilteringTest(server)

    def _play(self, moves: Moves, now: float) -> None:
        for move in moves:
            if isinstance(move, Question):
                self._ask(move, now)
            else:
                self._finding(move)
        if self._test is not None and self._test.over:
            self._test = None
            self._open.clear()
            self._asking.forget()
            self._next_test(now)

    def _finding(self, event: Finding) -> None:
        self._outputs.append(event)
        found: dict[str, Any]
        if isinstance(event, FilteringDiscovered):
            found = {"filtering": event.filtering}
        elif isinstance(event, MappingDiscovered):
            found = {"mapping": event.mapping, "local": event.local, "mapped": event.mapped}
        elif isinstance(event, HairpinningDiscovered):
            found = {"hairpinning": event.hairpinning}
        elif isinstance(event, FragmentsDiscovered):
            found = {"fragments": event.fragments}
        elif isinstance(event, LifetimeDiscovered | LifetimeNarrowed):
            found = {"lifetime_s": event.alive_s, "expired_s": event.expired_s}
        else:
            found = {"unavailable": (*self._behavior.unavailable, (event.test, event.reason))}
        self._behavior = attrs.evolve(self._behavior, **found)

    # ------------------------------------------------------------- the end

    def _conclude(self) -> None:
        self._end(BehaviorDiscovered(self._behavior))

    def _fail(self, reason: str) -> None:
        self._end(BehaviorFailed(self._behavior.server, self._step, reason))

    def _end(self, *events: Event) -> None:
        self._move(BehaviorInput.END)
        self._test = None
        self._targets.clear()
        self._pending.clear()
        self._asking.close()
        self._outputs.extend(self._asking.take_outputs())
        self._outputs.extend(events)

    def _move(self, step: BehaviorInput) -> None:
        self.state = BEHAVIOR_TRANSITIONS[self.state, step]


def _uri_of(server: ServerUri | Address | str) -> ServerUri:
    if isinstance(server, Address):
        return ServerUri.of("stun", server.host, server.port)
    uri = ServerUri.parse(server) if isinstance(server, str) else server
    if uri.scheme != "stun":
        raise LocalProtocolError(f"{uri}: what NATs do is tested over UDP, so with a stun: URI")
    return uri

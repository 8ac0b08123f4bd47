"""From a URI to the address that a server sees: resolution, targets raced, one Binding each (RFC 8489 8.1, RFC 8305 5)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import cast

import attrs

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import (
    Action,
    Address,
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
from sansice.stun._authentication._credentials import Credentials
from sansice.stun._errors import LookupStep
from sansice.stun._header import Method, TransactionId
from sansice.stun._paths import Path, PathClosed, PathOpened
from sansice.stun._resolution._resolution import MIN_TIMEOUT, ResolutionFailed, ServerResolution, ServerResolved
from sansice.stun._resolution._rules import ServerTarget, default_transports
from sansice.stun._transaction import TransactionFailed, TransactionSucceeded, TransactionTimedOut
from sansice.stun._uri import ServerUri

from ._client import StunClient
from ._config import StunClientConfig
from ._lookup_reasons import describe_failure, describe_silence
from ._redirects import Redirected

ATTEMPT_DELAY = 0.25  # seconds; RFC 8305 5: Connection Attempt Delay
LOOKUP_TIMEOUT = 10.0  # ours: seconds; five requests to each server, and as long as a person will wait

_DEFAULT_CONFIG = StunClientConfig()


class LookupState(IdentityEnum):
    """Where a look-up is."""

    IDLE = "not started"
    RESOLVING = "asking the name service"
    RACING = "asking servers"
    DONE = "over"


class LookupInput(IdentityEnum):
    """What moves a look-up from one state to another."""

    START = "start"
    RESOLVED = "the targets are known"
    END = "an answer, the last failure, the timeout, or close"


LOOKUP_TRANSITIONS: dict[tuple[LookupState, LookupInput], LookupState] = {
    (LookupState.IDLE, LookupInput.START): LookupState.RESOLVING,
    (LookupState.IDLE, LookupInput.END): LookupState.DONE,
    (LookupState.RESOLVING, LookupInput.RESOLVED): LookupState.RACING,
    (LookupState.RESOLVING, LookupInput.END): LookupState.DONE,
    (LookupState.RACING, LookupInput.END): LookupState.DONE,
    (LookupState.DONE, LookupInput.END): LookupState.DONE,
}


@attrs.frozen
class FailedAttempt:
    """A target that gave no mapped address.

    Attributes:
        target: who was asked.
        step: how far it came: ``OPEN`` or ``REQUEST``.
        reason: words for a person.
    """

    target: ServerTarget
    step: LookupStep
    reason: str


@attrs.frozen
class MappedAddressDiscovered(Event):
    """A server answered.

    Attributes:
        uri: what was looked up.
        target: who answered.
        local: what the socket was bound to.
        mapped: how the server sees it (RFC 8489 14.2).
        rtt: seconds of the round trip; ``None`` where a request was sent again and nobody knows which one was answered.
    """

    uri: ServerUri
    target: ServerTarget
    local: Address
    mapped: Address
    rtt: float | None


@attrs.frozen
class BindingLookupFailed(Event):
    """No server answered.

    Attributes:
        uri: what was looked up.
        step: how far the best attempt came.
        reason: words for a person, about every target that was tried.
        attempts: the same one by one, in the order in which they failed.
    """

    uri: ServerUri
    step: LookupStep
    reason: str
    attempts: tuple[FailedAttempt, ...] = ()


@attrs.define(eq=False)
class _Attempt:
    """A Binding request to one target."""

    target: ServerTarget
    path: Path
    started: float


class _Timer(IdentityEnum):
    """The deadlines beside those of the resolution and the client."""

    NEXT = "the next attempt"
    TIMEOUT = "the whole look-up"


class BindingLookup(Machine):
    """A URI in, the mapped address out: exactly one `MappedAddressDiscovered` or `BindingLookupFailed`.

    The name is resolved (`ServerResolution`), then each target gets a socket and a Binding request, in order, 250 ms
    after the one before or at once when one has failed (RFC 8305 5). The first answer wins; all sockets are closed then.

    Args:
        uri: ``stun:``, ``stuns:``, ``turn:`` or ``turns:``.
        transports: what to use, in order of preference, where the URI leaves a choice; left out, the default of the scheme.
        credentials: for servers that want them.
        local: what to bind to: then only targets of its family are tried. Port 0 is any port. With a fixed port, all UDP
            targets are asked through one socket, and the others one after the other.
        verify_name: what certificates must say, instead of the URI's host.
        timeout: seconds until it fails, whatever is still under way.
        alpn: protocols to offer over TLS and DTLS (RFC 7443).
        config: of the client.
        ids: the counter of the machine that this one is part of.
        entropy: makes transaction ids, and orders SRV records of one priority.

    Attributes:
        uri: as parsed.

    Raises:
        ValueError: ``uri`` is no URI of those schemes; the timeout is not finite, or under 10 ms.
        LocalProtocolError: ``config`` rules out the credentials or every transport; ``verify_name`` is no host name.
    """

    __slots__ = (
        "_alpn",
        "_attempts",
        "_client",
        "_config",
        "_failed",
        "_local",
        "_locals",
        "_resolution",
        "_shared",
        "_started",
        "_state",
        "_targets",
        "_timeout",
        "_timers",
        "uri",
    )

    def __init__(
        self,
        uri: ServerUri | str,
        *,
        transports: Sequence[Transport] | None = None,
        credentials: Credentials | None = None,
        local: Address | None = None,
        verify_name: str | None = None,
        timeout: float = LOOKUP_TIMEOUT,
        alpn: Sequence[str] = (),
        config: StunClientConfig = _DEFAULT_CONFIG,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        if not MIN_TIMEOUT <= timeout < math.inf:
            raise ValueError(f"a timeout of {timeout} s: it must be finite and at least {MIN_TIMEOUT} s")
        ids = ids if ids is not None else Ids()
        self.uri: ServerUri = ServerUri.parse(uri) if isinstance(uri, str) else uri
        if config.classic or config.anycast:
            wanted = default_transports(self.uri) if transports is None else transports
            transports = tuple(transport for transport in wanted if transport is Transport.UDP)
            if not transports:
                raise LocalProtocolError(f"{self.uri} is not to be asked over UDP, and this configuration uses nothing else")
        self._alpn = tuple(alpn)
        self._attempts: dict[TransactionId, _Attempt] = {}
        self._client = StunClient(credentials=credentials, config=config, ids=ids, entropy=entropy)
        self._failed: list[FailedAttempt] = []
        self._local = local
        self._locals: dict[SocketId, Address] = {}  # of the sockets that are open
        self._shared: Path | None = None  # of the one socket with the fixed port
        self._started = 0.0
        self._state = LookupState.IDLE
        self._targets: list[ServerTarget] = []
        self._timeout = timeout
        self._timers: FewTimers[_Timer] = FewTimers()
        self._resolution = ServerResolution(
            self.uri,
            transports=transports,
            verify_name=verify_name,
            families=(6, 4) if local is None else (6,) if local.is_ipv6 else (4,),
            ids=ids,
            timeout=timeout,
            entropy=entropy,
        )

    @property
    def state(self) -> LookupState:
        """Where it is."""
        return self._state

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._state is LookupState.DONE

    def start(self, *, now: float) -> None:
        """Look up.

        Raises:
            LocalProtocolError: it was started or closed before.
        """
        if self._state is not LookupState.IDLE:
            raise LocalProtocolError("a look-up starts once")
        self._move(LookupInput.START)
        self._started = now
        self._timers.set(_Timer.TIMEOUT, now + self._timeout)
        self._resolution.start(now=now)
        self._absorb(now)

    def close(self, *, now: float) -> None:
        """Give up in silence; after the end a no-op."""
        self._end(now)
        self._absorb(now)

    # ------------------------------------------------------------- what the world says

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """For the resolution."""
        self._resolution.handle_resolved(query, answer, now=now)
        self._absorb(now)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """For the client, as everything below."""
        self._client.handle_socket_opened(socket, local, now=now)
        self._absorb(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """The targets that were asked through it have failed."""
        self._client.handle_socket_failed(socket, error, now=now)
        self._absorb(now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Answers, perhaps."""
        self._client.handle_datagrams(socket, batch, now=now)
        self._absorb(now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Answers, perhaps, or the end."""
        self._client.handle_stream_data(socket, data, now=now)
        self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """Nobody listens there."""
        self._client.handle_icmp(socket, destination, error, now=now)
        self._absorb(now)

    def handle_timer(self, *, now: float) -> None:
        """Start the next attempt, retransmit, or give up."""
        self._resolution.handle_timer(now=now)
        self._client.handle_timer(now=now)
        self._absorb(now)  # an answer, or the last failure, comes before the timeout
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is _Timer.TIMEOUT:
                self._give_up(now)
            else:
                self._start_next(now)
        self._absorb(now)

    def deadline(self) -> float:
        """The earliest of these."""
        return min(self._timers.earliest, self._resolution.deadline(), self._client.deadline())

    # ------------------------------------------------------------- inside

    def _move(self, step: LookupInput) -> None:
        self._state = LOOKUP_TRANSITIONS[self._state, step]

    def _absorb(self, now: float) -> None:
        while outputs := [*self._resolution.take_outputs(), *self._client.take_outputs()]:
            for output in outputs:
                if isinstance(output, Action):
                    self._outputs.append(output)
                elif self._state is not LookupState.DONE:
                    self._take(output, now)

    def _take(self, event: Event, now: float) -> None:
        match event:
            case ServerResolved(targets):
                self._move(LookupInput.RESOLVED)
                self._targets = list(targets)
                self._start_next(now)
            case ResolutionFailed(reason):
                self._fail(LookupStep.RESOLVE, reason, now)
            case PathOpened(path, local):
                self._locals[path.socket] = local
            case PathClosed(path) if self._shared is not None and path.socket == self._shared.socket:
                self._shared = None
            case Redirected(id, _, new, server_hostname):
                attempt = self._attempts[id]
                attempt.path = new
                attempt.target = attempt.target.redirected(new.remote, server_hostname)
            case TransactionSucceeded(id, _, rtt, mapped):
                self._succeed(self._attempts[id], cast(Address, mapped), rtt, now)
            case TransactionFailed(id) | TransactionTimedOut(id):
                self._drop_attempt(self._attempts.pop(id), event, now)
            case _:  # a closed path fails its requests; what a server asks or tells is no answer
                pass

    def _start_next(self, now: float) -> None:
        """Ask the next target; then the one after has 250 ms to wait (RFC 8305 5)."""
        while self._targets:
            target = self._targets.pop(0)
            try:
                path = self._path_to(target, now)
                transaction_id = self._client.request(Method.BINDING, path=path, now=now)
            except LocalProtocolError as error:  # the request is too long for this transport
                self._failed.append(FailedAttempt(target, LookupStep.OPEN, str(error)))
                continue
            self._attempts[transaction_id] = _Attempt(target, path, now)
            if self._targets and not self._is_sequential(target):
                self._timers.set(_Timer.NEXT, now + ATTEMPT_DELAY)
            return
        if not self._attempts:
            self._fail_all(now)

    def _is_sequential(self, target: ServerTarget) -> bool:
        """Whether two such targets cannot be tried at a time: both sockets would be bound to the same port."""
        return self._local is not None and self._local.port != 0 and target.transport is not Transport.UDP

    def _path_to(self, target: ServerTarget, now: float) -> Path:
        shares = self._local is not None and self._local.port != 0 and target.transport is Transport.UDP
        if not shares:
            return self._client.open(target, local=self._local, alpn=self._alpn, now=now)
        if self._shared is None:
            self._shared = self._client.open(target, local=self._local, now=now)
        return attrs.evolve(self._shared, remote=target.address)

    def _succeed(self, attempt: _Attempt, mapped: Address, rtt: float | None, now: float) -> None:
        local = self._locals[attempt.path.socket]
        self._outputs.append(MappedAddressDiscovered(self.uri, attempt.target, local, mapped, rtt))
        self._end(now)

    def _drop_attempt(self, attempt: _Attempt, event: TransactionFailed | TransactionTimedOut, now: float) -> None:
        dropped = self._client.dropped(attempt.path)
        step = LookupStep.REQUEST if attempt.path.socket in self._locals else LookupStep.OPEN
        self._failed.append(FailedAttempt(attempt.target, step, describe_failure(event, dropped, now - attempt.started)))
        if attempt.path.socket != (self._shared.socket if self._shared is not None else None):
            self._client.release(attempt.path, now=now)
        self._timers.cancel(_Timer.NEXT)
        self._start_next(now)

    def _give_up(self, now: float) -> None:
        # The resolution has the same timeout and is asked first, so it is over by now.
        for attempt in self._attempts.values():
            is_open = attempt.path.socket in self._locals
            reason = describe_silence(is_open, self._client.dropped(attempt.path), now - attempt.started)
            self._failed.append(FailedAttempt(attempt.target, LookupStep.REQUEST if is_open else LookupStep.OPEN, reason))
        self._fail_all(now)

    def _fail_all(self, now: float) -> None:
        asked = any(attempt.step is LookupStep.REQUEST for attempt in self._failed)
        words = (f"{attempt.target.address} ({attempt.target.transport.value}): {attempt.reason}" for attempt in self._failed)
        self._fail(LookupStep.REQUEST if asked else LookupStep.OPEN, "; ".join(words), now)

    def _fail(self, step: LookupStep, reason: str, now: float) -> None:
        self._outputs.append(BindingLookupFailed(self.uri, step, reason, tuple(self._failed)))
        self._end(now)

    def _end(self, now: float) -> None:
        self._move(LookupInput.END)
        self._timers.clear()
        self._targets.clear()
        self._attempts.clear()
        self._resolution.cancel(now=now)
        self._client.close(now=now)

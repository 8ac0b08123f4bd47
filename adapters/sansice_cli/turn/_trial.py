"""A relay is tried: allocation, permission, data, step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import attrs
import trio

from sansice import Address, Transport
from sansice.sockets import TlsConfig
from sansice.stun import HttpProxy, LongTermCredentials, ServerUri
from sansice.turn import Family, TurnClientConfig, TurnError, TurnStep
from sansice_trio import TurnConnection, TurnPeer, open_turn

from ._measure import echo, round_trips, throughput
from ._outcome import Outcome

_PROBES = 20


@attrs.frozen(kw_only=True)
class Trial:
    """What is tried.

    Attributes:
        uri: the server.
        credentials: for servers that ask for them.
        peer: an echo to send to; ``None``: a second allocation of ours.
        measure: send data at all.
        seconds: how long as much as possible is sent; 0 for not at all.
        family: of the relayed address.
        transports: towards the server, where the URI leaves a choice.
        verify_name: what its certificate must carry instead of the URI's host.
        timeout: seconds for each step.
        tls: what to trust.
        proxy: through which it is reached, over TCP or TLS.
    """

    uri: ServerUri
    credentials: LongTermCredentials | None
    peer: Address | None
    measure: bool
    seconds: float
    family: Family | None
    transports: Sequence[Transport] | None
    verify_name: str | None
    timeout: float
    tls: TlsConfig
    proxy: HttpProxy | None = None

    async def run(self, report: Callable[[str], None]) -> Outcome:
        """Try it; ``report`` takes each sentence as it is found to be true."""
        outcome = Outcome(str(self.uri), named=self.credentials is not None)
        began = trio.current_time()
        try:
            async with self._open() as turn:
                outcome.setup = trio.current_time() - began
                self._note(turn, outcome)
                report(outcome.allocated())
                if self.measure:
                    await self._measure(turn, outcome, report)
        except TurnError as error:
            outcome.fail(error)
        return outcome

    def _open(self) -> AbstractAsyncContextManager[TurnConnection]:
        return open_turn(
            self.uri,
            None,
            self.credentials,
            family=self.family,
            transports=self.transports,
            verify_name=self.verify_name,
            proxy=self.proxy,
            tls=self.tls,
            config=TurnClientConfig(allocate_timeout=self.timeout),
        )

    def _note(self, turn: TurnConnection, outcome: Outcome) -> None:
        path = turn.client.path
        if path is not None:
            outcome.server, outcome.transport = path.remote, path.transport
        outcome.relayed, outcome.mapped, outcome.lifetime = turn.relayed[0], turn.mapped, turn.lifetime

    async def _measure(self, turn: TurnConnection, outcome: Outcome, report: Callable[[str], None]) -> None:
        if self.peer is not None:
            await self._measure_to(turn.peer(self.peer), outcome, report)
            return
        async with self._open() as other:
            back, there = other.peer(turn.relayed[0]), turn.peer(other.relayed[0])
            await self._until_ready(back)
            async with trio.open_nursery() as nursery:

                async def run(work: Awaitable[None]) -> None:
                    try:
                        await work
                    except TurnError as error:  # kept out of the nursery, which would make a group of it
                        outcome.fail(error)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(run, echo(back))
                await run(self._measure_to(there, outcome, report))

    async def _measure_to(self, peer: TurnPeer, outcome: Outcome, report: Callable[[str], None]) -> None:
        outcome.peer = peer.address
        await self._until_ready(peer)
        await round_trips(peer, 1, self.timeout)  # which finds the way, and binds the channels
        outcome.round_trips = await round_trips(peer, _PROBES, min(1.0, self.timeout))
        outcome.probes = _PROBES
        if not outcome.round_trips:
            told = f": {peer.address} is said to be unreachable (ICMP)" if peer.unreachable else ""
            raise TurnError(outcome.uri, TurnStep.DATA, f"nothing of {_PROBES} datagrams came back from {peer.address}{told}")
        report(outcome.measured())
        if self.seconds:
            outcome.throughput = await throughput(peer, self.seconds)
            report(outcome.speed())

    async def _until_ready(self, peer: TurnPeer) -> None:
        with trio.move_on_after(self.timeout) as scope:
            await peer.ready()
        if scope.cancelled_caught:
            raise TurnError(str(self.uri), TurnStep.PERMIT, f"the server did not answer within {self.timeout:g} s")

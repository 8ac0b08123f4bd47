"""Servers asked at once, a machine each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from sansice import Transport
from sansice.sockets import TlsConfig
from sansice.stun import (
    BindingLookup,
    BindingLookupFailed,
    LongTermCredentials,
    MappedAddressDiscovered,
    ServerUri,
    ShortTermCredentials,
)
from sansice_trio import open_driver


@attrs.frozen(kw_only=True)
class Question:
    """How servers are asked; the fields are those of `BindingLookup`.

    Attributes:
        tls: what to trust over TLS and DTLS.
    """

    timeout: float
    transports: Sequence[Transport] | None = None
    credentials: LongTermCredentials | ShortTermCredentials | None = None
    verify_name: str | None = None
    tls: TlsConfig = attrs.field(factory=TlsConfig)

    def machine(self, uri: ServerUri) -> BindingLookup:
        """The look-up of one server."""
        return BindingLookup(
            uri,
            transports=self.transports,
            credentials=self.credentials,
            verify_name=self.verify_name,
            timeout=self.timeout,
            entropy=os.urandom,
        )


@attrs.frozen
class Result:
    """What became of one server.

    Attributes:
        uri: whom it is about.
        answer: what it said, or
        error: why there is no address.
    """

    uri: ServerUri
    answer: MappedAddressDiscovered | None = None
    error: str = ""

    def sentence(self) -> str:
        """For a person."""
        answer = self.answer
        if answer is None:
            return f"{self.uri}: {self.error}"
        took = f" in {answer.rtt * 1000:.1f} ms" if answer.rtt is not None else ", after repeated requests"
        nat = "" if answer.mapped != answer.local else " (no NAT: it is the local one)"
        return f"{self.uri}: {answer.mapped}{nat}, as {answer.target.address} sees it over {answer.target.transport.value}{took}"

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        answer = self.answer
        return {
            "uri": str(self.uri),
            "ok": answer is not None,
            "mapped": str(answer.mapped) if answer else None,
            "rtt_ms": round(answer.rtt * 1000, 3) if answer and answer.rtt is not None else None,
            "error": self.error or None,
            "local": str(answer.local) if answer else None,
            "server": str(answer.target.address) if answer else None,
            "transport": answer.target.transport.value if answer else None,
        }


async def ask_all(
    uris: Sequence[ServerUri], question: Question, report: Callable[[Result], None], *, first_is_enough: bool
) -> list[Result]:
    """Ask all servers at once, and report each as it answers or fails; the results in the order of ``uris``.

    Args:
        uris: whom to ask; the same one twice is asked twice.
        question: how.
        report: takes each result, at once.
        first_is_enough: the first address ends it.
    """
    results = {index: Result(uri, error="not waited for, as another server has answered") for index, uri in enumerate(uris)}
    async with trio.open_nursery() as nursery:

        async def one(index: int, uri: ServerUri) -> None:
            result = results[index] = await _ask(uri, question)
            report(result)
            if result.answer is not None and first_is_enough:
                nursery.cancel_scope.cancel()

        for index, uri in enumerate(uris):
            nursery.start_soon(one, index, uri)
    return list(results.values())


async def _ask(uri: ServerUri, question: Question) -> Result:
    machine = question.machine(uri)
    async with open_driver(machine, tls=question.tls) as (driver, events):
        driver.call(machine.start)
        async for event in events:
            if isinstance(event, MappedAddressDiscovered):
                return Result(uri, event)
            if isinstance(event, BindingLookupFailed):
                reason = event.reason.removeprefix(f"{uri}: ")
                return Result(uri, error=reason.replace("the name to verify beside the address", "it as --server-name"))  # here
    raise RuntimeError("the look-up ended without an answer")

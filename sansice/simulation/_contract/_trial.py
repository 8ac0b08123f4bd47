"""One trial of a machine: a first run that checks every step, and reruns that must not differ from it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import attrs

from sansice.machine import (
    Action,
    Address,
    Entropy,
    Event,
    LocalProtocolError,
    Machine,
    OpenSocket,
    Resolve,
    SendDatagram,
    SendDatagrams,
    SocketId,
)
from sansice.simulation._recording._values import to_json

from ._clauses import Call, Clause, ContractBreach
from ._inspect import snapshot, why_not_an_output

CONSTRUCTION, SETUP = "construction", "setup"  # how the calls that are no methods show in a report
TIMERS_A_STEP = 100  # of a machine with short timers, while an hour passes


@attrs.frozen
class Subject:
    """What is tried, as `check_machine` was told."""

    factory: Callable[[Entropy], Machine]
    setup: Callable[[Any, float], object] | None = None
    secrets: Callable[[Any], Iterable[str | bytes]] | None = None
    sockets: tuple[SocketId, ...] = ()


class Draws:
    """Seeded entropy that counts how often it is drawn from."""

    __slots__ = ("_random", "count")

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.count = 0

    def __call__(self, count: int) -> bytes:
        self.count += 1
        return self._random.randbytes(count)


class Trial:
    """A machine under watch: every call goes through `tell`, which checks what can be checked at once.

    Attributes:
        now: the time that the machine believes in.
        calls: everything that it was told, construction and setup first.
        results, outputs: what came of each call, as `form`.
        datagrams: the outputs as `flat_forms`.
        asked, deadlines: how often the deadline was asked for after each call, and what it was.
        opening, asking: sockets and questions not answered yet.
        sockets: what may be fed: the ones handed to the machine, and those it opened.
        sent: its datagrams, newest last.
    """

    def __init__(self, subject: Subject, seed: int, now: float, prompt: bool) -> None:
        self._subject = subject
        self._draws = Draws(seed)
        self._prompt = prompt
        self._handed: tuple[list[Action | Event], list[Action | Event]] = ([], [])
        self.now = now
        self.calls: list[Call] = []
        self._texts: list[str] = []
        self.asked: list[int] = []
        self.deadlines: list[float] = []
        self.results: list[str] = []
        self.outputs: list[list[str]] = []
        self.datagrams: list[list[str]] = []
        self.opening: list[OpenSocket] = []
        self.asking: list[Resolve] = []
        self.sockets: list[SocketId] = list(subject.sockets)
        self.sent: list[SendDatagram] = []
        self._note(Call(CONSTRUCTION, (), {"now": now}))
        self.machine = subject.factory(self._draws)
        self._drain()
        if subject.setup is not None:
            self._note(Call(SETUP, (), {"now": now}))
            subject.setup(self.machine, now)
            self._drain()
        self._open_promptly()

    # ------------------------------------------------------------- telling

    def tell(self, method: str, *arguments: Any) -> None:
        """Feed the machine: call a ``handle_*`` method, which must not raise."""
        self._feed(method, arguments)
        self._open_promptly()

    def command(self, method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Call one of its commands, which may raise `LocalProtocolError` and must then have done nothing."""
        call = self._note(Call(method, arguments, {**keywords, "now": self.now}, command=True))
        before, drawn = snapshot(self.machine), self._draws.count
        try:
            result = getattr(self.machine, method)(*call.arguments, **call.keywords)
        except LocalProtocolError as error:
            self._check_untouched(error, before, drawn)
            self.results[-1] = f"LocalProtocolError: {error}"
        except Exception as error:
            self.breach(Clause.CALLER_ERRORS, f"{method}() raised {error!r}", error)
        else:
            self.results[-1] = form(result)
        self._drain()
        self._open_promptly()

    def pass_time(self, seconds: float) -> None:
        """Let time pass as under a driver that is never late."""
        end = self.now + seconds
        for _ in range(TIMERS_A_STEP):
            deadline = self.deadline()
            if deadline > end:
                self.now = end
                return
            self.now = max(self.now, deadline)
            self.tell_timer()

    def leap(self, seconds: float) -> None:
        """Let time jump, as when a laptop slept: one timer, late."""
        self.now += seconds
        self.tell_timer()

    def tell_timer(self) -> None:
        """Call ``handle_timer`` now; afterwards the deadline must lie in the future."""
        self._feed("handle_timer", ())
        deadline = self.deadline()
        if not deadline > self.now:
            self.breach(Clause.TIMER_MOVES_ON, f"deadline() is {deadline!r} after handle_timer(now={self.now!r})")
        self._open_promptly()

    def deadline(self) -> float:
        """The machine's deadline, asked for twice."""
        drawn = self._draws.count
        self.asked[-1] += 2
        try:
            first, second = self.machine.deadline(), self.machine.deadline()
        except Exception as error:
            self.breach(Clause.DEADLINE, f"deadline() raised {error!r}", error)
        if not isinstance(first, float) or math.isnan(first):
            self.breach(Clause.DEADLINE, f"deadline() is {first!r}, not a float")
        if first != second:
            self.breach(Clause.DEADLINE, f"deadline() is {first!r}, then {second!r}, and nothing happened in between")
        if self._draws.count != drawn:
            self.breach(Clause.DEADLINE, "deadline() draws entropy")
        if self._take():
            self.breach(Clause.DEADLINE, "deadline() makes outputs")
        self.deadlines[-1] = first
        return first

    # ------------------------------------------------------------- checking

    def _note(self, call: Call) -> Call:
        self.calls.append(call)
        self.asked.append(0)
        self.deadlines.append(math.inf)
        self.results.append("")
        self.outputs.append([])
        self.datagrams.append([])
        return call

    def _feed(self, method: str, arguments: tuple[Any, ...]) -> None:
        call = self._note(Call(method, arguments, {"now": self.now}))
        try:
            getattr(self.machine, method)(*call.arguments, **call.keywords)
        except Exception as error:
            self.breach(Clause.PEER_ERRORS, f"{method}() raised {error!r}", error)
        self._drain()

    def _drain(self) -> None:
        earlier, copy = self._handed
        outputs = self._take()
        if self._take():
            self.breach(Clause.EMPTIED, "take_outputs() hands over outputs twice, or some of them late")
        if earlier != copy:
            self.breach(Clause.EMPTIED, "a list that take_outputs() handed over was changed afterwards")
        if outputs:
            self._handed = (outputs, list(outputs))
            self.datagrams[-1] = flat_forms(outputs)
        for output in outputs:
            self._check_output(output)
            self.outputs[-1].append(form(output))
            match output:
                case OpenSocket():
                    self.opening.append(output)
                case Resolve():
                    self.asking.append(output)
                case SendDatagram():
                    self.sent.append(output)
                case SendDatagrams():
                    self.sent += one_by_one(output)
        self.deadline()

    def _take(self) -> list[Action | Event]:
        try:
            return self.machine.take_outputs()
        except Exception as error:
            self.breach(Clause.EMPTIED, f"take_outputs() raised {error!r}", error)

    def _open_promptly(self) -> None:
        while self._prompt and self.opening:
            action = self.opening.pop(0)
            self.sockets.append(action.socket)
            self._feed("handle_socket_opened", (action.socket, local_of(action)))

    def _check_output(self, output: Action | Event) -> None:
        why = why_not_an_output(output)
        if why:
            self.breach(Clause.VALUES, why)
        text = repr(output)
        self._texts.append(text)
        values = (getattr(output, name) for name in _field_names(output))
        raw = [value for value in values if isinstance(value, bytes) and value and repr(value) in text]
        if raw:
            self.breach(Clause.HEX, f"{text} shows {raw[0]!r} raw")

    def check_secrets(self) -> None:
        """No secret shows in the repr of the machine or of what it put out."""
        if self._subject.secrets is None:
            return
        texts = [repr(self.machine), *self._texts]
        for secret in self._subject.secrets(self.machine):
            needle = secret.hex() if isinstance(secret, bytes) else secret
            shown = [text for text in texts if needle in text]
            if shown:
                self.breach(Clause.SECRETS, f"a secret shows in {shown[0]}")

    def _check_untouched(self, error: LocalProtocolError, before: Any, drawn: int) -> None:
        what = f"a command raised LocalProtocolError ({error})"
        if self._draws.count != drawn:
            self.breach(Clause.CALLER_ERRORS, f"{what}, and has drawn entropy")
        if snapshot(self.machine) != before:
            self.breach(Clause.CALLER_ERRORS, f"{what}, and has changed the machine's state")

    def breach(self, clause: Clause, finding: str, cause: BaseException | None = None) -> NoReturn:
        """Raise `ContractBreach`."""
        raise ContractBreach(clause, f"{type(self.machine).__name__}: {finding}", self.calls) from cause


def local_of(action: OpenSocket) -> Address:
    """Where a system might have bound it."""
    return Address(action.bind[0], action.bind[1] or 40000 + action.socket % 20000)


def _field_names(output: object) -> Iterable[str]:
    kind = type(output)
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    return getattr(output, "_fields", ())


def one_by_one(output: SendDatagrams) -> list[SendDatagram]:
    """What a `SendDatagrams` means."""
    return [SendDatagram(output.socket, *item) for item in output.items]


def flat_forms(outputs: Iterable[Action | Event]) -> list[str]:
    """Outputs as `form`, every datagram by itself; those that are sent in one go are in the order of their sockets.

    Whatever else a machine puts out stays between what it has sent before and after. How datagrams of different sockets
    follow each other is nothing that anybody could see.
    """
    forms: list[str] = []
    sent: list[SendDatagram] = []
    for output in (*outputs, None):
        match output:
            case SendDatagram():
                sent.append(output)
            case SendDatagrams():
                sent += one_by_one(output)
            case _:
                forms += map(form, sorted(sent, key=lambda one: one.socket))
                sent.clear()
                if output is not None:
                    forms.append(form(output))
    return forms


def form(value: object) -> str:
    """What "byte for byte" compares."""
    return json.dumps(to_json(value, strict=False))

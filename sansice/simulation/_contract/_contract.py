"""`check_machine`: tries any machine against the contract."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sansice.machine import Address, Entropy, Machine, QueryId, ResolveError, SendDatagram, SocketId

from ._clauses import Clause, ContractBreach
from ._hostile import ERRORS, Arrive, Play, random_datagram
from ._inspect import weigh
from ._reruns import APART, VARIATIONS, rerun
from ._script import script
from ._trial import Draws, Subject, Trial

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

M = TypeVar("M", bound=Machine)

POOL = 256  # datagrams kept from the trials for the flood


def check_machine(
    factory: Callable[[Entropy], M],
    *,
    commands: Mapping[str, SearchStrategy[Any] | Sequence[Any]] | None = None,
    setup: Callable[[M, float], object] | None = None,
    sockets: Sequence[SocketId] = (),
    datagrams: SearchStrategy[bytes] | None = None,
    answers: Callable[[SendDatagram], bytes | None] | None = None,
    secrets: Callable[[M], Iterable[str | bytes]] | None = None,
    measure: Callable[[M], int] = weigh,
    bound: int | None = None,
    flood: int = 2000,
    batches: bool = False,
    max_examples: int = 100,
) -> None:
    """Try a machine against every clause of the contract that can be tried from outside.

    Hypothesis makes sequences of what a driver, a peer and a caller may do: sockets that open, fail and die, noise,
    messages like STUN, the machine's own datagrams reflected and damaged, ICMP errors, answers to nothing asked,
    commands, time that passes and time that leaps. Each is run step by step under watch, then again on fresh
    machines: identically, draining late, asking for the deadline never and often, and with timers that were not due.
    Nothing of that may make a difference. A breach is reduced to the fewest calls that show it.

    What it cannot see within one process: decisions by ``hash()`` of text, which change with PYTHONHASHSEED.

    Example::

        def test_pinger_keeps_the_contract():
            check_machine(
                lambda entropy: Pinger(PEER, entropy=entropy),
                setup=lambda pinger, now: pinger.start("192.0.2.1", now=now),
                commands={
                    "ping": st.tuples(st.binary(max_size=64)),     # pinger.ping(b"...", now=...)
                    "set_interval": [(0.5,), (-1.0,)],              # one of these; -1.0 is a LocalProtocolError
                    "close": [()],
                },
                measure=lambda pinger: len(pinger.waiting),
                bound=100,
            )

    Args:
        factory: makes a machine that draws from the entropy it is given. Whatever else it needs must be the same
            each time it is called.
        commands: by method name, the arguments to try: a strategy or a sequence of tuples (positional) or dicts (by
            keyword). ``now`` is added. Calls may be wrong in any way that the command answers with `LocalProtocolError`.
        setup: brings a fresh machine to where trying is worth while, by commands at the time given.
        sockets: ids that the machine was handed by its maker, and may be fed on without having opened them.
        datagrams: more to feed, beside noise: a strategy of what this machine's peers send.
        answers: what a peer that means well would answer to a datagram of the machine, or ``None`` for nothing. A pure
            function. Without it no script gets past a handshake that needs a peer's cooperation.
        secrets: what must not show in any repr, as text or in hex.
        measure: how large the machine's state is; by default the number of objects, bytes and characters it holds.
        bound: what ``measure`` may never exceed. Without one, the second half of the flood may add at most one for ten inputs.
        flood: hostile inputs, each from another stranger, after which the state is measured; 0 leaves it out.
        batches: the machine promises more than the contract does: what arrives together comes to the same as if it had
            arrived one by one, `SendDatagrams` taken for the datagrams in it. Events of one datagram come before those of
            the next, then; what leaves through different sockets may still change places.
        max_examples: sequences to try.

    Raises:
        ContractBreach: names the clause, what was seen, and what the machine was told.
        ImportError: Hypothesis is not installed.
    """
    try:
        import hypothesis
        from hypothesis.errors import Flaky
    except ImportError as error:
        raise ImportError("check_machine needs Hypothesis: pip install hypothesis (it comes with sansice[test])") from error

    subject = Subject(factory, setup, secrets, tuple(sockets))
    known: list[bytes] = []

    @hypothesis.settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=(
            hypothesis.HealthCheck.too_slow,
            hypothesis.HealthCheck.data_too_large,
            hypothesis.HealthCheck.large_base_example,
        ),
    )
    @hypothesis.given(**script(commands or {}, datagrams, answers))
    def keeps_the_contract(seed: int, origin: float, prompt: bool, steps: list[Play]) -> None:
        trial = Trial(subject, seed, origin, prompt)
        for step in steps:
            step.play(trial)
        trial.check_secrets()
        for variation in (*VARIATIONS, APART) if batches else VARIATIONS:
            rerun(subject, seed, trial, variation)
        if len(known) < POOL:
            known.extend(data for step in steps if isinstance(step, Arrive) for data in step.batch)
            known.extend(sent.data for sent in trial.sent)

    try:
        keeps_the_contract()
    except Flaky as error:
        # Hypothesis runs a failing script again, and this one then passed.
        name = type(factory(Draws(0))).__name__
        finding = f"{name}: the same script breaks the contract on one machine and not on the next"
        raise ContractBreach(Clause.REPRODUCIBLE, finding, ()) from error
    if flood:
        _flood(Trial(subject, 0, 1000.0, prompt=True), flood, known, measure, bound)


def _flood(trial: Trial, count: int, known: list[bytes], measure: Callable[[Any], int], bound: int | None) -> None:
    draw = random.Random(0)
    half = 0
    for number in range(1, count + 1):
        _splash(trial, number, draw, known)
        trial.pass_time(0.001)
        if number == count // 2:
            half = measure(trial.machine)
        if bound is not None and number % max(1, count // 20) == 0 and (size := measure(trial.machine)) > bound:
            trial.breach(Clause.BOUNDED, f"after {number} hostile inputs it measures {size}, and {bound} is its bound")
    size = measure(trial.machine)
    if bound is None and size - half > (count - count // 2) // 10:
        trial.breach(Clause.BOUNDED, f"{count // 2} hostile inputs leave it at {half}, {count} at {size}: it grows with each")


def _splash(trial: Trial, number: int, draw: random.Random, known: list[bytes]) -> None:
    stranger = Address(f"198.18.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000)
    socket = trial.sockets[number % len(trial.sockets)] if trial.sockets else SocketId(1)
    match number % 16:
        case 1:
            trial.tell("handle_icmp", socket, stranger, ERRORS[number % len(ERRORS)])
        case 2:
            trial.tell("handle_stream_data", SocketId(-number), draw.randbytes(20))
        case 3:
            trial.tell("handle_resolved", QueryId(number), ResolveError.NOT_FOUND)
        case 4:
            trial.tell("handle_datagrams", SocketId(number + 1_000_000), [(stranger, random_datagram(draw, known))])
        case _:
            trial.tell("handle_datagrams", socket, [(stranger, random_datagram(draw, known))])

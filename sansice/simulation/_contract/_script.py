"""Hypothesis strategies for sequences of steps. Hypothesis is imported when they are made, not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sansice.machine import ResolveError, SendDatagram, SocketErrorKind

from ._hostile import (
    ATTRIBUTE_TYPES,
    ERRORS,
    MESSAGE_TYPES,
    RECORDS,
    Accept,
    Answer,
    Arrive,
    Command,
    Die,
    Leap,
    PassTime,
    Reflect,
    Reply,
    StreamData,
    StreamSent,
    Unreachable,
    WallClock,
    stun_like,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

ORIGINS = (1000.0, 0.0, -5.0, 1e7)  # "now" is monotonic seconds of arbitrary origin
MAX_STEPS = 12


def script(
    commands: Mapping[str, SearchStrategy[Any] | Sequence[Any]],
    datagrams: SearchStrategy[bytes] | None,
    answers: Callable[[SendDatagram], bytes | None] | None,
) -> dict[str, SearchStrategy[Any]]:
    """Strategies for the arguments of one trial: ``seed``, ``origin``, ``prompt`` and ``steps``."""
    from hypothesis import strategies as st

    socket, peer = st.integers(-1, 7), st.integers(0, 7)
    data = _datagrams() if datagrams is None else _datagrams() | datagrams
    kinds = st.sampled_from(SocketErrorKind)
    seconds = st.sampled_from([0.0, 0.05, 0.5, 5.0, 39.5, 3600.0]) | st.floats(0.0, 60.0)
    records = st.lists(st.sampled_from(RECORDS), max_size=3).map(tuple) | st.sampled_from(ResolveError)
    flips = st.lists(st.integers(0, 8 * 1500 - 1), max_size=3).map(tuple)
    steps: list[SearchStrategy[Any]] = [
        st.builds(PassTime, seconds),
        st.builds(Leap, st.sampled_from([0.0, 1.0, 1e6]) | seconds),
        st.builds(Arrive, socket, peer, st.lists(data, min_size=1, max_size=3).map(tuple)),
        st.builds(Reflect, st.integers(0, 3), st.sampled_from([0x0100, 0x0000, 0x0110, 0x0010]), flips),
        st.builds(Answer, st.booleans(), kinds, records),
        st.builds(Die, socket, kinds),
        st.builds(Unreachable, socket, peer, st.sampled_from(ERRORS)),
        st.builds(StreamData, socket, data),
        st.builds(StreamSent, socket, st.integers(0, 100_000)),
        st.builds(Accept, socket, peer),
        st.builds(WallClock, st.floats(0.0, 4e9)),
    ]
    if answers is not None:
        steps += [st.builds(Reply, st.just(answers), st.integers(0, 3))] * 3  # three times as likely as anything else
    steps += [_command(name, arguments) for name, arguments in commands.items()]
    return {
        "seed": st.integers(0, 2**16),
        "origin": st.sampled_from(ORIGINS),
        "prompt": st.sampled_from([True, False]),
        # A list of lists, because Hypothesis draws five items on average, however many are allowed.
        "steps": st.lists(st.lists(st.one_of(steps), max_size=MAX_STEPS), max_size=MAX_STEPS).map(_join),
    }


def _join(parts: list[list[Any]]) -> list[Any]:
    return [step for part in parts for step in part]


def _datagrams() -> SearchStrategy[bytes]:
    from hypothesis import strategies as st

    attribute = st.tuples(st.sampled_from(ATTRIBUTE_TYPES), st.binary(max_size=24))
    lies = st.just(0) | st.integers(-8, 8)
    transaction_id = st.just(bytes(12)) | st.binary(min_size=12, max_size=12)
    return st.binary(max_size=64) | st.builds(
        stun_like, st.sampled_from(MESSAGE_TYPES), transaction_id, st.lists(attribute, max_size=5), lies
    )


def _command(name: str, arguments: SearchStrategy[Any] | Sequence[Any]) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    tried = st.sampled_from(arguments) if isinstance(arguments, Sequence) else arguments
    return tried.map(lambda given: Command(name, (), given) if isinstance(given, dict) else Command(name, tuple(given), {}))

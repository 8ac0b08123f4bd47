"""The clauses of the contract that can be tried, and the report of a breach."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple


class Clause(enum.Enum):
    """What a machine promises. The numbers are those of the contract in ``docs/design.md``."""

    LATE_DRAINING = "2. work happens when the input arrives; draining late changes nothing"
    BATCHES = "2. datagrams that arrive together are no more than the same datagrams one after the other"
    EMPTIED = "2. take_outputs() hands over, and empties the queue"
    DEADLINE = "3. deadline() is a time, and asking for it does nothing"
    TIMER_MOVES_ON = "3. after handle_timer(now=t), deadline() > t"
    SPURIOUS_TIMER = "3. a handle_timer before the deadline is a no-op"
    REPRODUCIBLE = "4. same inputs and same entropy give the same outputs, byte for byte"
    VALUES = "5. outputs are immutable actions and events"
    HEX = "5. byte fields have a hex repr"
    SECRETS = "5. secrets never appear in a repr"
    CALLER_ERRORS = "6. a caller's mistake raises LocalProtocolError and leaves the state untouched"
    PEER_ERRORS = "6. nothing that the peer or the world does raises out of handle_*"
    BOUNDED = "9. state that a peer can make grow is bounded"


class Call(NamedTuple):
    """One call of a machine's method, with ``now`` among the keywords."""

    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    command: bool = False

    def __str__(self) -> str:
        arguments = [repr(argument) for argument in self.arguments]
        arguments += [f"{name}={argument!r}" for name, argument in self.keywords.items()]
        return f"{self.method}({', '.join(arguments)})"


MAX_CALLS_SHOWN = 40


class ContractBreach(AssertionError):
    """A machine breaks the contract.

    Attributes:
        clause: which part of it.
        calls: what the machine was told, up to the call that shows the breach.
    """

    def __init__(self, clause: Clause, finding: str, calls: Sequence[Call]) -> None:
        self.clause = clause
        self.calls: tuple[Call, ...] = tuple(calls)
        first = max(0, len(calls) - MAX_CALLS_SHOWN)
        told = [f"  {number}. {call}" for number, call in enumerate(self.calls[first:], first + 1)]
        if first:
            told.insert(0, f"  ... {first} before these")
        super().__init__("\n".join([f"clause {clause.value}", finding, "what the machine was told:", *(told or ["  nothing"])]))

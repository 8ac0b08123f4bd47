"""One call of a machine, with everything that came of it."""

from __future__ import annotations

import json

import attrs

from ._values import Json, without_secrets


@attrs.define
class Step:
    """One call of a machine and everything that came of it, as JSON forms.

    Attributes:
        method: its name; "" is the machine's construction.
        arguments: the positional ones.
        keywords: the others; ``now`` is one of them.
        drawn: the entropy, in hex, draw by draw.
        answers: [name, answer] of the policy functions asked.
        result: what the call returned.
        raised: the exception it raised instead, as text, or "".
        outputs: what the machine wanted done and known.
        deadline: the machine's afterwards.
    """

    method: str = ""
    arguments: list[Json] = attrs.field(factory=list)
    keywords: dict[str, Json] = attrs.field(factory=dict)
    drawn: list[str] = attrs.field(factory=list)
    answers: list[Json] = attrs.field(factory=list)
    result: Json = None
    raised: str = ""
    outputs: list[Json] = attrs.field(factory=list)
    deadline: float = 0.0

    def __str__(self) -> str:
        if not self.method:
            return "construction"
        arguments = [json.dumps(without_secrets(argument)) for argument in self.arguments]
        arguments += [f"{name}={json.dumps(without_secrets(argument))}" for name, argument in self.keywords.items()]
        return f"{self.method}({', '.join(arguments)})"


@attrs.frozen
class Made:
    """How a machine was constructed.

    Attributes:
        machine: its class: "sansice.ice:IceAgent".
        arguments, keywords: as JSON forms, ``entropy`` apart; empty for a class that is not one of sansice's machines,
            which a replay cannot construct.
    """

    machine: str
    arguments: list[Json] = attrs.field(factory=list)
    keywords: dict[str, Json] = attrs.field(factory=dict)

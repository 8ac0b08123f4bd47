"""The calls of a trial once more, in ways that the contract says make no difference."""

from __future__ import annotations

import attrs

from sansice.machine import LocalProtocolError, Machine

from ._clauses import Call, Clause, ContractBreach
from ._trial import CONSTRUCTION, SETUP, Draws, Subject, Trial, flat_forms, form


@attrs.frozen
class Variation:
    """A way to run the same calls again.

    Attributes:
        clause: what is broken if something else comes out.
        says: that, in words.
        drain: drain after every call, or once at the end.
        deadlines: how often the deadline is asked for after every call; -1 for as often as in the trial.
        timers: call ``handle_timer`` wherever it is not due.
        apart: feed datagrams that arrived together one by one.
    """

    clause: Clause
    says: str
    drain: bool = True
    deadlines: int = -1
    timers: bool = False
    apart: bool = False


VARIATIONS = (
    Variation(Clause.REPRODUCIBLE, "the same calls and the same entropy, on a second machine"),
    Variation(Clause.DEADLINE, "deadline() is never asked for", deadlines=0),
    Variation(Clause.DEADLINE, "deadline() is asked for fifty times after every call", deadlines=50),
    Variation(Clause.SPURIOUS_TIMER, "a handle_timer wherever none is due", timers=True),
    Variation(Clause.LATE_DRAINING, "take_outputs() only at the end", drain=False),
)
APART = Variation(Clause.BATCHES, "datagrams that arrive together, told one by one", apart=True)


def rerun(subject: Subject, seed: int, trial: Trial, variation: Variation) -> None:
    """Tell a fresh machine what the trial's was told, in another way, and compare what comes of it.

    Raises:
        ContractBreach: something else does.
    """
    again = _Again(subject, seed, variation)
    came: list[tuple[int, str]] = []
    for index, call in enumerate(trial.calls):
        try:
            result, outputs, deadline = again.tell(call, trial.asked[index], trial.deadlines[index])
        except Exception as error:
            raise _difference(trial, variation, index, "no exception", repr(error)) from error
        if result != trial.results[index]:
            raise _difference(trial, variation, index, trial.results[index], result)
        if deadline != trial.deadlines[index]:
            raise _difference(trial, variation, index, f"deadline() is {trial.deadlines[index]!r}", f"it is {deadline!r}")
        came += [(index, output) for output in outputs]
    came += [(len(trial.calls) - 1, output) for output in again.left()]
    of_trial = trial.datagrams if variation.apart else trial.outputs
    expected = [(index, output) for index, outputs in enumerate(of_trial) for output in outputs]
    for position in range(max(len(came), len(expected))):
        (at, wanted), (late, got) = (outputs[position] if position < len(outputs) else _NOTHING for outputs in (expected, came))
        if wanted != got or (variation.drain and at != late):
            where = min(index for index in (at, late) if index >= 0)
            raise _difference(trial, variation, where, wanted, got)


_NOTHING = (-1, "nothing")


class _Again:
    def __init__(self, subject: Subject, seed: int, variation: Variation) -> None:
        self._subject = subject
        self._variation = variation
        self._draws = Draws(seed)
        self._machine: Machine = Machine()

    def tell(self, call: Call, asked: int, deadline: float) -> tuple[str, list[str], float]:
        result = self._call(call)
        machine, now = self._machine, call.keywords["now"]
        if self._variation.timers and deadline > now:
            machine.handle_timer(now=now)
        outputs = self.left() if self._variation.drain else []
        found = deadline
        for _ in range(asked if self._variation.deadlines < 0 else self._variation.deadlines):
            found = machine.deadline()
        # Where it was not asked for in the trial, nobody knows what it was.
        return result, outputs, found if asked else deadline

    def left(self) -> list[str]:
        outputs = self._machine.take_outputs()
        return flat_forms(outputs) if self._variation.apart else [form(output) for output in outputs]

    def _call(self, call: Call) -> str:
        if call.method == CONSTRUCTION:
            self._machine = self._subject.factory(self._draws)
            return ""
        if call.method == SETUP and self._subject.setup is not None:
            self._subject.setup(self._machine, call.keywords["now"])
            return ""
        if self._variation.apart and call.method == "handle_datagrams":
            socket, batch = call.arguments
            for one in batch:
                self._machine.handle_datagrams(socket, [one], **call.keywords)
            return ""
        try:
            result = getattr(self._machine, call.method)(*call.arguments, **call.keywords)
        except LocalProtocolError as error:
            return f"LocalProtocolError: {error}"
        return form(result) if call.command else ""


def _difference(trial: Trial, variation: Variation, index: int, wanted: str, got: str) -> ContractBreach:
    finding = f"{type(trial.machine).__name__}: {variation.says}: that makes a difference\n  first: {wanted}\n  then:  {got}"
    return ContractBreach(variation.clause, finding, trial.calls[: index + 1])

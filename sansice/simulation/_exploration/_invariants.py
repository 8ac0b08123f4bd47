"""All invariants that are shipped."""

from __future__ import annotations

from ._agreement import Connects, EndsAgree, OneSelectedPair, RolesDiffer, SelectionLasts
from ._checking_rules import AnswersCount, ChecksAreTriggered, FoundationsThaw, PacingIsKept, PairsAreInOrder
from ._invariant import MakeInvariant
from ._life_rules import ConsentEnds, DeadlinesAreAhead, StateIsBounded, TheOverAreSilent
from ._trust_rules import (
    ChecksAreAnswered,
    DataIsTrusted,
    NominationsAreDue,
    NominationsAreFollowed,
    PairsAreChecked,
    PrioritiesAreTrue,
    RolesAreSettled,
    StrangersChangeNothing,
)

INVARIANTS: tuple[MakeInvariant, ...] = (
    EndsAgree,
    RolesDiffer,
    OneSelectedPair,
    SelectionLasts,
    Connects,
    DataIsTrusted,
    StrangersChangeNothing,
    PairsAreChecked,
    NominationsAreDue,
    NominationsAreFollowed,
    ChecksAreAnswered,
    RolesAreSettled,
    PrioritiesAreTrue,
    ChecksAreTriggered,
    AnswersCount,
    PairsAreInOrder,
    FoundationsThaw,
    PacingIsKept,
    DeadlinesAreAhead,
    StateIsBounded,
    ConsentEnds,
    TheOverAreSilent,
)
"""Every invariant that holds for any two `IceAgent`; beside them a machine that raises breaks ``NothingRaises``, and one
whose timer never ends, or is due again at the same instant, ``TimeMovesOn``."""

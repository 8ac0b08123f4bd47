"""Deviations and schedules as values and as JSON."""

import json

import pytest

from sansice.simulation import Deviation, DeviationKind
from sansice.simulation._exploration._deviations import schedule_of

ALL = [
    Deviation(0, DeviationKind.LOSE, -1),
    Deviation(1, DeviationKind.COPY, 2),
    Deviation(2, DeviationKind.HOLD, 3),
    Deviation(3, DeviationKind.HURRY, 1),
    Deviation(4, DeviationKind.LATE, 40.0),
    Deviation(5, DeviationKind.REPLAY),
    Deviation(6, DeviationKind.FORGE, 1),
    Deviation(7, DeviationKind.FAULT, name="the NAT reboots"),
]


@pytest.mark.parametrize("deviation", ALL, ids=lambda deviation: deviation.kind.value)
def test_a_deviation_is_the_same_after_json(deviation):
    assert Deviation.from_json(json.loads(json.dumps(deviation.to_json()))) == deviation
    assert str(deviation).startswith(f"step {deviation.step}: ")


def test_every_kind_is_tried_here():
    assert {deviation.kind for deviation in ALL} == set(DeviationKind)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (7, "a deviation is an object, not 7"),
        ({"kind": "lose"}, "step: a number from 0 on, not None"),
        ({"step": -1, "kind": "lose"}, "step: a number from 0 on, not -1"),
        ({"step": True, "kind": "lose"}, "step: a number from 0 on, not True"),
        ({"step": 1, "kind": "explode"}, "kind: one of lose, copy, hold, hurry, late, replay, forge, fault, not 'explode'"),
        ({"step": 1}, "kind: one of .*, not None"),
        ({"step": 1, "kind": "hold", "amount": -1}, "amount: a number from 0 on, or -1 to lose everything, not -1"),
        ({"step": 1, "kind": "hold", "amount": "2"}, "amount: .*, not '2'"),
        ({"step": 1, "kind": "late", "amount": float("nan")}, "amount: .*, not nan"),
        ({"step": 1, "kind": "late", "amount": float("inf")}, "amount: .*, not inf"),
        ({"step": 1, "kind": "fault"}, "name: a fault has one and nothing else has, not ''"),
        ({"step": 1, "kind": "lose", "name": "x"}, "name: a fault has one and nothing else has, not 'x'"),
        ({"step": 1, "kind": "fault", "name": 5}, "name: .*, not 5"),
    ],
)
def test_what_is_no_deviation_is_refused_with_its_place(fields, says):
    with pytest.raises(ValueError, match=says):
        Deviation.from_json(fields)


def test_a_schedule_is_in_the_order_of_its_steps_and_has_one_deviation_a_step():
    assert schedule_of(reversed(ALL)) == tuple(ALL)
    with pytest.raises(ValueError, match="step 1 has two deviations: copy and replay"):
        schedule_of([*ALL[:3], Deviation(1, DeviationKind.REPLAY)])


def test_what_is_lost_for_good_and_what_a_forgery_displaces_is_said():
    assert str(Deviation(3, DeviationKind.LOSE, -1)) == "step 3: lose this packet and all that follow it to this place"
    forged = "a stranger forges this packet without the password"
    assert [str(Deviation(1, DeviationKind.FORGE, amount)) for amount in (0, 1)] == [
        f"step 1: {forged}",
        f"step 1: {forged}, and the true one is lost",
    ]

"""Schedule files: what is none is refused with its place."""

import io
import json

import pytest

from mutants._worlds import plain
from sansice.simulation import Breach, Counterexample, Deviation, DeviationKind, replay_schedule, scene

EXAMPLE = Counterexample(
    "plain", (Deviation(2, DeviationKind.LOSE), Deviation(4, DeviationKind.REPLAY)), Breach("X", "broken", 1.0, 9, ("a", "b"))
)


def changed(**fields):
    whole = json.loads(EXAMPLE.to_json())
    whole.update(fields)
    return json.dumps({key: value for key, value in whole.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schedule: not JSON, or cut"),
        (EXAMPLE.to_json()[:-20], "schedule: not JSON, or cut"),
        ("[" * 100_000, "schedule: not JSON, or cut"),
        ("[]", "schedule: not a sansice schedule"),
        (changed(**{"sansice-schedule": None}), "schedule: not a sansice schedule"),
        (changed(**{"sansice-schedule": 2}), "schedule: version 2 is not version 1"),
        (changed(deviations=None), "schedule: deviations: a list is missing"),
        (changed(deviations=[{"step": 1, "kind": "lose"}, {"step": -1}]), r"schedule: deviations\[1\]: step: a number"),
        (
            changed(deviations=[{"step": 1, "kind": "late", "amount": 10**400}]),
            r"schedule: deviations\[0\]: amount: a number from 0 on",
        ),
        (changed(deviations=[{"step": 1, "kind": "lose"}] * 2), "schedule: deviations: step 1 has two deviations"),
        (changed(scene={"name": 5}), "schedule: scene: "),
        (changed(), "schedule: found in a world that is no scene"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_place(text, says):
    with pytest.raises(ValueError, match=says):
        replay_schedule(text)


def test_a_schedule_is_read_from_a_file_and_names_faults_of_its_world():
    assert replay_schedule(io.StringIO(EXAMPLE.to_json()), plain).breach is None
    text = changed(deviations=[{"step": 2, "kind": "fault", "name": "B explodes"}])
    with pytest.raises(ValueError, match="there is no fault 'B explodes' here; there are: A is killed, B is killed"):
        replay_schedule(text, plain)


def test_a_counterexample_in_a_scene_carries_it():
    homes = scene("two-homes")
    example = Counterexample("two-homes", (), EXAMPLE.breach, homes)
    assert json.loads(example.to_json())["scene"] == json.loads(homes.to_json())
    assert replay_schedule(example.to_json()).breach is None

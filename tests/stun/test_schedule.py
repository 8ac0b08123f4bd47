import math

import pytest

from sansice.stun import Schedule


@pytest.mark.req("RFC8489-018", "RFC8489-025", "RFC8489-026")
def test_the_defaults_are_those_of_the_rfc(vectors):
    expected = vectors["derived"]["retransmit_schedule_ms"]
    schedule = Schedule()
    assert [1000 * schedule.send_offset(sent) for sent in range(schedule.rc)] == expected["send_at"]
    assert 1000 * schedule.duration == expected["fail_at"]
    assert (schedule.rto, schedule.rc, schedule.rm, schedule.ti) == (0.5, 7, 16, 39.5)


def test_duration_follows_the_fields():
    assert Schedule(rto=1.0, rc=1, rm=2).duration == 2.0
    assert Schedule(rto=1.0, rc=3, rm=4).duration == 7.0


@pytest.mark.req("RFC8489-019")
def test_less_than_half_a_second_is_refused_unless_asked_for():
    with pytest.raises(ValueError, match=r"rto 0\.499 is below 0\.5"):
        Schedule(rto=0.499)
    assert Schedule(rto=0.499, minimum_rto=0).rto == 0.499
    with pytest.raises(ValueError, match="rto"):
        Schedule(rto=0, minimum_rto=0)


@pytest.mark.parametrize(
    "fields",
    [
        {"rto": math.inf},
        {"rto": math.nan},
        {"rc": 0},
        {"rc": 33},
        {"rm": 0},
        {"rm": math.inf},
        {"ti": 0.0},
        {"ti": math.inf},
    ],
)
def test_nonsense_is_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Schedule(**fields)

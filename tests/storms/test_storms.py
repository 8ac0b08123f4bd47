"""Storms: a sample of `python tests/storms`, and the arithmetic of its predictions."""

import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from sansice.ice import IceConfig
from sansice.ice._agent._stream import Stream
from sansice.simulation import Link
from storms._rule import Life, answered, outlived, outlives, unanswered
from storms._storm import STORM, run_storm

HERE = Path(__file__).parent
CONFIG = IceConfig()


@pytest.mark.req("RFC7675-005")
def test_agents_in_storms_agree_and_fail_only_where_the_rules_demand_it():
    run = subprocess.run([sys.executable, HERE, "--seeds", "120", "--json"], check=False, capture_output=True, text=True)
    report = json.loads(run.stdout.splitlines()[-1])
    assert run.returncode == 0, report
    assert (report["seeds"], report["disagreements"], report["failures_that_no_rule_demands"]) == (120, [], [])
    assert report["connected"] > 60
    assert report["failures"]["consent"] > 60
    assert all(rate["samples"] > 50 for rate in report["rates"].values())


def test_storm_is_the_same_every_time():
    assert run_storm(3) == run_storm(3)


def test_agent_that_ends_consent_too_early_is_found(monkeypatch):
    monkeypatch.setattr("sansice.ice._agent._consent.Consent.expires_at", property(lambda self: self.pair.answered_at + 20.0))
    assert "ConsentEnds" in "".join(run_storm(seed).breach for seed in range(8))


def test_agent_that_fails_with_its_first_answer_missing_has_no_reason(monkeypatch):
    check = Stream.handle_request

    def give_up(self, *args, **kwargs):
        check(self, *args, **kwargs)
        self.fail()

    monkeypatch.setattr(Stream, "handle_request", give_up)
    assert "" in run_storm(0).reasons.values()


@pytest.mark.parametrize(
    ("link", "likely"),
    [
        (Link(), 1.0),
        (Link(loss=1.0), 0.0),
        (Link(loss=0.4), 0.36),
        (Link(loss=0.5, duplication=1.0), 0.375),  # one request in two; of its two answers three in four times one at least
    ],
)
def test_request_is_answered_as_often_as_two_packets_arrive(link, likely):
    assert answered(link) == pytest.approx(likely)


def test_request_is_unanswered_only_if_every_transmission_is():
    """Sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s."""
    half = Link(loss=1.0 - 0.5**0.5)
    assert [unanswered(half, CONFIG, seconds) for seconds in (0.0, 0.49, 0.5, 3.4, 39.5)] == pytest.approx(
        [0.5, 0.5, 0.25, 0.125, 0.5**7]
    )
    assert unanswered(attrs.evolve(half, latency=1.0), CONFIG, 3.4) == pytest.approx(0.25)  # the third answer comes later
    assert unanswered(half, CONFIG, 1000.0) == pytest.approx(0.5**7)


@pytest.mark.long
def test_consent_lasts_for_ever_without_loss_and_half_a_minute_without_answers():
    assert outlives(Link(latency=0.3), CONFIG, 600.0) == 1.0
    lost = Link(latency=0.3, loss=1.0)
    assert (outlives(lost, CONFIG, 30.0), outlives(lost, CONFIG, 30.1)) == (1.0, 0.0)


@pytest.mark.long
def test_consent_lasts_as_a_count_of_its_checks_says():
    """Between 30 and 31 s: five checks always go out early enough, 4 to 6 s apart, often six and at most seven."""
    alive = outlives(STORM, CONFIG, 30.5)
    lost = 1.0 - answered(STORM)
    assert 1.0 - lost**4 < alive < 1.0 - lost**7
    assert outlives(STORM, CONFIG, 90.0) < outlives(STORM, CONFIG, 60.0) < alive


def test_lives_that_were_not_watched_to_their_end_count_as_long_as_they_were():
    assert outlived([Life(10.0, True), Life(20.0, True), Life(30.0, False)], 15.0) == pytest.approx(2 / 3)
    assert outlived([Life(10.0, False), Life(20.0, True), Life(30.0, False)], 25.0) == pytest.approx(1 / 2)
    assert outlived([Life(10.0, True), Life(10.0, False)], 25.0) == pytest.approx(1 / 2)
    assert outlived([], 25.0) == 1.0

"""What is said of a relay that was tried."""

import pytest

from sansice import Address, Transport
from sansice.turn import TurnError, TurnStep
from sansice_cli.turn._outcome import Outcome
from sansice_cli.turn._words import advice


def test_the_median_and_what_was_lost():
    outcome = Outcome("turn:relay.example", peer=Address("192.0.2.1", 7), probes=5, round_trips=[0.5, 0.01, 0.012])
    assert (outcome.rtt, outcome.lost) == (0.012, 2)
    assert outcome.measured() == "round trip through the relay to 192.0.2.1:7: 12.0 ms (median of 3, 2 of 5 probes lost)"
    assert Outcome("turn:relay.example").rtt is None


def test_what_is_not_known_is_null():
    found = Outcome("turn:relay.example").to_json()
    assert {name for name, value in found.items() if value is not None} == {"allocated", "probes", "lost"}
    assert Outcome("turn:relay.example").allocated().count("?") == 2


def test_json_has_plain_units():
    outcome = Outcome("turn:relay.example", transport=Transport.TLS, setup=0.0123456, round_trips=[0.001], throughput=2.5e6)
    found = outcome.to_json()
    assert (found["setup_ms"], found["rtt_ms"], found["throughput_mbps"], found["transport"]) == (12.346, 1.0, 2.5, "tls")
    assert outcome.speed() == "throughput through the relay and back: 2.5 Mbit/s of data"


@pytest.mark.parametrize("step", TurnStep)
def test_every_step_has_words_for_its_failure(step):
    outcome = Outcome("turn:relay.example")
    assert outcome.ok
    assert outcome.failure() == ""
    outcome.fail(TurnError("turn:relay.example", step, "so it is"))
    assert not outcome.ok
    assert outcome.failure().startswith("turn:relay.example: ")
    assert " failed: so it is" in outcome.failure()


@pytest.mark.parametrize("code", [300, 401, 403, 420, 437, 440, 441, 442, 443, 486, 508])
def test_every_code_of_turn_has_advice_that_comes_before_the_steps(code):
    outcome = Outcome("turn:relay.example")
    outcome.fail(TurnError("turn:relay.example", TurnStep.ALLOCATE, "refused", code))
    assert outcome.error == f"{code} refused"
    sentence, hint = outcome.failure().splitlines()
    assert sentence == f"turn:relay.example: allocating a relayed address failed: {code} refused"
    assert hint != advice(TurnStep.ALLOCATE, "")


@pytest.mark.parametrize(("named", "hint"), [(True, "is wrong"), (False, "--user NAME:PASSWORD")])
def test_who_named_nobody_is_told_to_and_others_that_the_name_is_wrong(named, hint):
    outcome = Outcome("turn:relay.example", named=named)
    outcome.fail(TurnError("turn:relay.example", TurnStep.AUTHENTICATE, "refused", 401))
    assert hint in outcome.failure().splitlines()[1]


@pytest.mark.parametrize(
    ("step", "reason", "hint"),
    [
        (TurnStep.OPEN, "the certificate was refused: self-signed certificate", "--ca FILE"),
        (TurnStep.RESOLVE, "an IP address says nothing about whose certificate to expect", "--server-name NAME"),
        (TurnStep.OPEN, "192.0.2.1:5349 (tls): the proxy 10.1.0.10:3128 answered 407", "of --proxy"),
        (TurnStep.OPEN, "192.0.2.1:5349 (tls): not connected through the proxy 10.1.0.10:3128 in time", "of --proxy"),
        (TurnStep.OPEN, "192.0.2.1:5349 (tls): 10.1.0.10:22 is no HTTP proxy", "of --proxy"),
    ],
)
def test_advice_about_certificates_and_proxies_is_not_about_ports_and_names(step, reason, hint):
    outcome = Outcome("turns:relay.example")
    outcome.fail(TurnError("turns:relay.example", step, reason))
    assert hint in outcome.failure().splitlines()[1]
    assert advice(step, "") not in outcome.failure()


def test_where_nothing_can_be_advised_nothing_is():
    outcome = Outcome("turn:relay.example")
    outcome.fail(TurnError("turn:relay.example", TurnStep.REFRESH, "gone", 499))
    assert outcome.failure() == "turn:relay.example: keeping the allocation failed: 499 gone"

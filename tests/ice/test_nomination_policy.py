"""The values of a nomination policy; what an agent makes of them is in test_nomination.py and test_renomination.py."""

import math

import pytest

from ice._wire import candidate
from sansice.ice import CandidatePair, CandidateType, PairState
from sansice.ice._nomination import MAX_NOMINATION, NOMINATION, REGULAR, RENOMINATION, Choice, Nomination, Nominee
from sansice.stun import MessageClass, Method, TransactionId, decode_untrusted, encode

PAIR = CandidatePair(candidate("192.0.2.1"), candidate("198.51.100.1"), 1, PairState.SUCCEEDED, False)


def test_a_nomination_is_written_as_libwebrtc_and_pion_read_it():
    data = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), [(NOMINATION, 0x010203)])
    assert data[20:] == bytes.fromhex("c001 0004 00010203")
    assert decode_untrusted(data).get(NOMINATION) == 0x010203
    assert RENOMINATION == "renomination"


def test_whoever_does_not_know_a_nomination_may_ignore_it():
    data = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), [(NOMINATION, MAX_NOMINATION)])
    assert decode_untrusted(data).unknown_required() == ()
    assert NOMINATION.code >= 0x8000


def test_the_default_is_regular_nomination_once():
    assert Nomination() == REGULAR
    assert (REGULAR.renominate, REGULAR.choose, REGULAR.accept, REGULAR.use_candidate_in_consent) == (False, None, None, False)


def test_a_choice_is_for_now_unless_it_says_when():
    assert Choice(Nominee(PAIR)).at == -math.inf


def test_waits_that_are_left_out_are_the_configurations():
    defaults = {CandidateType.HOST: 0.1, CandidateType.RELAYED: 2.0}
    assert REGULAR.waits(defaults) is defaults
    own = {CandidateType.HOST: 0.3}
    policy = Nomination(acceptance_waits=own)
    own[CandidateType.RELAYED] = 9.0
    assert policy.waits(defaults) == {CandidateType.HOST: 0.3, CandidateType.RELAYED: 2.0}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rtt_gain": -0.1}, "rtt_gain: -0.1"),
        ({"relay_cost": math.inf}, "relay_cost: inf"),
        ({"settle": math.nan}, "settle: nan"),
        ({"acceptance_waits": {CandidateType.HOST: -1.0}}, "acceptance_waits: -1.0 for host"),
        ({"renominate": True, "max_kept": 0}, "max_kept: 0 is outside 1..16"),
        ({"renominate": True, "max_kept": 17}, "max_kept: 17"),
        ({"standby": True}, "standby: only with renominate"),
        ({"prefer_rtt": True}, "prefer_rtt: only with renominate"),
    ],
)
def test_nonsense_is_refused_by_name(options, match):
    with pytest.raises(ValueError, match=match):
        Nomination(**options)

"""What strangers send: nothing that the password's owners could have written."""

import pytest

from sansice.simulation import Packet
from sansice.simulation._exploration._strangers import FORGED_DATA, STRANGER, forged, replayed
from sansice.stun import ERROR_CODE, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS, decode_untrusted, short_term_key
from simulation._exploring import ELSEWHERE, HERE, PASSWORDS, THERE, answer, check

KEY = short_term_key(PASSWORDS["A"])


def test_a_replay_has_the_same_bytes_and_a_strangers_address_of_the_family():
    packet = Packet(THERE, HERE, check())
    assert replayed(packet) == packet._replace(source=STRANGER[False])
    six = packet._replace(destination=HERE._replace(host="2001:db8::1"))
    assert replayed(six).source == STRANGER[True]


def test_a_forged_check_nominates_and_is_not_authentic():
    original = check()
    packet = forged(Packet(THERE, HERE, original))
    message = decode_untrusted(packet.data, require_fingerprint=True)
    assert packet.source == THERE
    assert message.transaction_id == original[8:20]
    assert message.get(USERNAME) == "AAAA:BBBB"
    assert USE_CANDIDATE in message
    assert message.has_integrity and not message.verify(KEY)


@pytest.mark.parametrize("code", [None, 487])
def test_a_forged_answer_says_the_same_and_is_not_authentic(code):
    packet = forged(Packet(THERE, HERE, answer(check(), mapped=ELSEWHERE, code=code, by="A")))
    message = decode_untrusted(packet.data)
    assert message.get(XOR_MAPPED_ADDRESS) == (ELSEWHERE if code is None else None)
    assert (ERROR_CODE in message) is (code is not None)
    assert USE_CANDIDATE not in message
    assert not message.verify(KEY)


def test_forged_data_comes_from_the_strangers_own_address():
    assert forged(Packet(THERE, HERE, b"\x80data")) == Packet(STRANGER[False], HERE, FORGED_DATA)

from ice._wire import at, make_local
from sansice.ice._agent._early import EarlyCheck, EarlyChecks
from sansice.ice._binding import Check

ONE, TWO = make_local(socket=1), make_local(socket=2)
SOURCE = at("203.0.113.5")


def early(local=ONE, source=SOURCE, ufrag="peer", *, nominates=False, priority=1, nomination=0):
    return EarlyCheck(local, source, Check(ufrag, priority, nominates, nomination))


def test_checks_are_taken_by_the_ufrag_of_who_sent_them_in_order_and_once():
    waiting = EarlyChecks(10)
    checks = [early(), early(ufrag="other"), early(TWO), early(source=at("203.0.113.6"))]
    assert all(waiting.add(one) for one in checks)
    assert waiting.has("peer") and waiting.has("other") and not waiting.has("nobody")
    assert waiting.take("peer") == [checks[0], checks[2], checks[3]]
    assert waiting.take("peer") == [] and not waiting.has("peer") and waiting.has("other")


def test_a_check_that_is_repeated_takes_the_room_of_one():
    waiting = EarlyChecks(1)
    assert waiting.add(early(priority=1)) and waiting.add(early(priority=2))
    assert not waiting.add(early(TWO)) and not waiting.add(early(ufrag="other"))
    assert waiting.take("peer") == [early(priority=2)]


def test_a_nomination_is_not_forgotten_by_a_later_check_and_the_latest_comes_last():
    waiting = EarlyChecks(10)
    for one in (early(nominates=True, nomination=7), early(TWO, nominates=True), early(nominates=True, nomination=3), early(TWO)):
        assert waiting.add(one)
    assert waiting.take("peer") == [early(TWO, nominates=True), early(nominates=True, nomination=7)]

"""Token buckets that are exact, and quotas that neither leak nor are gone round."""

from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from sansice.turn import TurnLimits
from sansice.turn._server._limits import LARGEST_DATAGRAM, Exceeded, Quotas, Resource, TokenBucket

ALLOCATIONS, PERMISSIONS = Resource.ALLOCATIONS, Resource.PERMISSIONS


class Model:
    """A token bucket in fractions, as the textbook has it."""

    def __init__(self, rate, burst, now):
        self.rate, self.burst, self.tokens, self.last = rate, burst, Fraction(burst), Fraction(now)

    def take(self, size, now):
        self.tokens = min(self.tokens + (Fraction(now) - self.last) * self.rate, Fraction(self.burst))
        self.last = Fraction(now)
        if size > self.tokens:
            return False
        self.tokens -= size
        return True


# Times in 1024ths of a second: sums and products of these are exact, so that any difference is the bucket's.
STEPS = st.lists(st.tuples(st.integers(0, 3000).map(lambda ticks: ticks / 1024), st.integers(0, 400)), max_size=80)


@given(st.integers(1, 5000), st.integers(1, 500), STEPS)
def test_a_bucket_says_what_fractions_say(rate, burst, steps):
    now = 4096.0
    bucket, model = TokenBucket(rate, burst, now=now), Model(rate, burst, now)
    for wait, size in steps:
        now += wait
        assert bucket.take(size, now) is model.take(size, now)
        assert bucket.is_full(now) is (model.tokens == burst)


def test_very_many_crumbs_are_as_much_as_one_slice():
    bucket = TokenBucket(1000, 10, now=1e9)
    taken, now = 0, 1e9
    for step in range(20_000):
        now = 1e9 + step / 4096  # five seconds, a fraction of a token each
        taken += bucket.take(1, now)
    assert taken == 10 + int((now - 1e9) * 1000)


def test_more_than_the_burst_never_passes_and_takes_nothing():
    bucket = TokenBucket(10, 100, now=0.0)
    assert not bucket.take(101, 1000.0)
    assert bucket.take(100, 1000.0)
    assert not bucket.take(1, 1000.0)


def test_time_that_passed_while_the_bucket_was_full_is_worth_nothing():
    bucket = TokenBucket(10, 100, now=0.0)
    assert bucket.take(100, 10_000.0)
    assert not bucket.take(1, 10_000.0)


def test_a_take_undone_leaves_the_bucket_as_it_was():
    bucket = TokenBucket(10, 100, now=0.0)
    assert bucket.take(60, 0.0)
    assert bucket.take(40, 0.0)
    bucket.put_back(40)
    assert bucket.take(40, 0.0)
    assert not bucket.take(1, 0.0)


def test_what_a_stream_has_taken_too_much_is_waited_for_and_nothing_else_is_let_through_meanwhile():
    bucket = TokenBucket(100, 1000, now=0.0)
    assert bucket.charge(400, 0.0) == 0.0
    assert bucket.charge(1000, 0.0) == 4.0
    assert not bucket.take(1, 4.0)
    assert bucket.take(1, 4.01)
    assert bucket.charge(1000, 50.0) == 0.0
    assert bucket.charge(1, 50.0) == 0.01


def test_another_rate_keeps_what_is_missing():
    bucket = TokenBucket(10, 100, now=0.0)
    assert bucket.take(100, 0.0)
    bucket.change(20, 200, 5.0)  # 50 of 100 are back: 50 of 200 are missing
    assert not bucket.take(151, 5.0)
    assert bucket.take(150, 5.0)
    assert bucket.take(20, 6.0)
    assert not bucket.take(1, 6.0)


def test_what_is_charged_beyond_the_burst_takes_time_to_come():
    bucket = TokenBucket(10, 100, now=0.0)
    assert bucket.charge(100, 5.0) == 0.0
    assert bucket.charge(20, 5.0) == 2.0
    assert not bucket.take(1, 6.9)
    assert bucket.charge(5, 7.0) == 0.5
    assert bucket.take(5, 8.0)


def test_a_smaller_bucket_is_at_most_empty():
    bucket = TokenBucket(1, 100, now=0.0)
    assert bucket.take(100, 0.0)
    bucket.change(10, 20, 0.0)
    assert bucket.take(10, 1.0)


def quotas(**limits):
    return Quotas(TurnLimits(**limits))


@pytest.mark.req("RFC8656-013", "RFC8656-036")
def test_a_user_has_so_many_allocations_and_another_user_his_own():
    all_users = quotas(allocations_per_user=2)
    ann, bob = all_users.user("ann", now=0.0), all_users.user("bob", now=0.0)
    assert [all_users.take(ann, ALLOCATIONS) for _ in range(3)] == [None, None, Exceeded.USER]
    assert all_users.take(bob, ALLOCATIONS) is None
    all_users.give_back(ann, ALLOCATIONS)
    assert all_users.take(ann, ALLOCATIONS) is None


def test_all_users_together_have_a_bound_as_well():
    all_users = quotas(allocations=2, allocations_per_user=2)
    ann, bob = all_users.user("ann", now=0.0), all_users.user("bob", now=0.0)
    assert all_users.take(ann, ALLOCATIONS) is None
    assert all_users.take(bob, ALLOCATIONS) is None
    assert all_users.take(bob, ALLOCATIONS) is Exceeded.TOTAL
    assert (bob.count(ALLOCATIONS), all_users.total(ALLOCATIONS)) == (1, 2)


def test_a_refused_amount_is_not_counted_in_part():
    all_users = quotas(queued_bytes_per_user=100)
    ann = all_users.user("ann", now=0.0)
    assert all_users.take(ann, Resource.QUEUED_BYTES, 101) is Exceeded.USER
    assert all_users.take(ann, Resource.QUEUED_BYTES, 100) is None
    assert all_users.total(Resource.QUEUED_BYTES) == 100


@pytest.mark.parametrize("resource", Resource)
def test_every_resource_has_both_bounds(resource):
    all_users = quotas(**{resource.value: 3, f"{resource.value}_per_user": 2})
    ann, bob = all_users.user("ann", now=0.0), all_users.user("bob", now=0.0)
    assert all_users.take(ann, resource, 2) is None
    assert all_users.take(ann, resource) is Exceeded.USER
    assert all_users.take(bob, resource, 2) is Exceeded.TOTAL


def test_one_account_with_many_names_has_one_quota():
    all_users = Quotas(TurnLimits(allocations_per_user=1), account=lambda name: name.partition(":")[2])
    today = all_users.user("1000:ann", now=0.0)
    assert all_users.take(today, ALLOCATIONS) is None
    tomorrow = all_users.user("2000:ann", now=0.0)
    assert today is tomorrow
    assert repr(today) == "User('ann')"


def test_whoever_has_something_when_accounts_are_named_otherwise_keeps_it_under_the_old_name():
    names = [lambda name: name, lambda name: name.partition(":")[2]]
    all_users = Quotas(TurnLimits(allocations_per_user=1), account=lambda name: names[-1](name))
    later = names.pop()
    before = all_users.user("1000:ann", now=0.0)
    assert all_users.take(before, ALLOCATIONS) is None
    names.append(later)
    after = all_users.user("1000:ann", now=0.0)
    assert (before.account, after.account) == ("1000:ann", "ann")
    assert all_users.take(after, ALLOCATIONS) is None
    assert all_users.take(before, ALLOCATIONS) is Exceeded.USER
    for user in (before, after):
        all_users.give_back(user, ALLOCATIONS)
    all_users.user("bob", now=0.0)
    assert (all_users.total(ALLOCATIONS), len(all_users)) == (0, 1)


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob", "eve"]), st.booleans(), st.sampled_from([ALLOCATIONS, PERMISSIONS]))))
def test_counts_are_what_is_held_and_nobody_is_remembered_for_nothing(steps):
    all_users = quotas(allocations=4, allocations_per_user=2, permissions=9, permissions_per_user=5)
    held = []
    for name, takes, resource in steps:
        if takes:
            user = all_users.user(name, now=0.0)
            if all_users.take(user, resource) is None:
                held.append((user, resource))
        elif held:
            user, resource = held.pop(0)
            all_users.give_back(user, resource)
        for resource in (ALLOCATIONS, PERMISSIONS):
            assert all_users.total(resource) == sum(one is resource for _, one in held)
        for user, resource in held:
            assert user.count(resource) == held.count((user, resource))
    for user, resource in held:
        all_users.give_back(user, resource)
    all_users.user("last", now=1.0)
    assert len(all_users) == 1


def test_a_storm_of_names_that_get_nothing_is_not_remembered():
    all_users = quotas(allocations=0)
    for number in range(1000):
        assert all_users.take(all_users.user(f"user {number}", now=0.0), ALLOCATIONS) is Exceeded.TOTAL
    assert len(all_users) == 1


RATE = 100_000


@pytest.mark.req("RFC8656-013")
def test_a_user_relays_at_most_his_rate_and_the_allocations_share_it():
    all_users = quotas(bytes_per_second_per_user=RATE)
    ann = all_users.user("ann", now=0.0)
    assert ann.may_relay(RATE, 0.0)
    assert not ann.may_relay(1, 0.0)
    assert all_users.user("ann", now=0.0) is not None
    assert ann.may_relay(RATE // 2, 0.5)
    assert not ann.may_relay(1000, 0.5)
    assert all_users.user("bob", now=0.5).may_relay(RATE, 0.5)


@pytest.mark.parametrize("limits", [{"bytes_per_second_per_user": 1000}, {"bytes_per_second": 1000}])
def test_a_stream_waits_for_whichever_bucket_takes_longer(limits):
    quotas = Quotas(TurnLimits())
    quotas.set_limits(TurnLimits(**limits), now=0.0)
    user = quotas.user("alice", now=0.0)
    assert user.relay_stream(LARGEST_DATAGRAM, 0.0) == 0.0
    assert user.relay_stream(500, 0.0) == 0.5
    quotas.set_limits(TurnLimits(), now=1.0)
    assert quotas.user("bob", now=1.0).relay_stream(10**9, 1.0) == 0.0


def test_bytes_that_the_total_refuses_are_not_the_users_loss():
    all_users = quotas(bytes_per_second_per_user=RATE, bytes_per_second=RATE)
    ann, bob = all_users.user("ann", now=0.0), all_users.user("bob", now=0.0)
    assert ann.may_relay(RATE, 0.0)
    assert not bob.may_relay(RATE, 0.0)
    assert bob.may_relay(RATE, 1.0)
    assert not ann.may_relay(1, 1.0)


def test_a_stream_waits_for_whichever_bandwidth_is_exceeded_more():
    assert quotas().user("ann", now=0.0).relay_stream(10 * RATE, 0.0) == 0.0
    own = quotas(bytes_per_second_per_user=RATE).user("ann", now=0.0)
    assert [own.relay_stream(RATE, 0.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    both = quotas(bytes_per_second_per_user=RATE, bytes_per_second=2 * RATE)
    ann, bob = both.user("ann", now=0.0), both.user("bob", now=0.0)
    assert ann.relay_stream(2 * RATE, 0.0) == 1.0
    assert bob.relay_stream(RATE, 0.0) == 0.5


def test_a_total_limit_holds_from_the_beginning_and_for_users_without_one():
    all_users = quotas(bytes_per_second=RATE)
    ann = all_users.user("ann", now=0.0)
    assert ann.may_relay(RATE, 0.0)
    assert not ann.may_relay(1, 0.0)


def test_a_datagram_of_the_largest_size_passes_any_limit_at_first():
    all_users = quotas(bytes_per_second_per_user=1, bytes_per_second=1)
    assert all_users.user("ann", now=0.0).may_relay(LARGEST_DATAGRAM, 0.0)


def test_leaving_and_coming_back_does_not_fill_the_bucket():
    all_users = quotas(bytes_per_second_per_user=RATE)
    ann = all_users.user("ann", now=0.0)
    assert all_users.take(ann, ALLOCATIONS) is None
    assert ann.may_relay(RATE, 0.0)
    all_users.give_back(ann, ALLOCATIONS)
    assert not all_users.user("ann", now=0.5).may_relay(RATE, 0.5)
    assert all_users.user("ann", now=1.0).may_relay(RATE, 1.0)


def test_who_left_with_an_empty_bucket_is_forgotten_when_it_would_be_full():
    all_users = quotas(bytes_per_second_per_user=RATE)
    ann = all_users.user("ann", now=0.0)
    assert all_users.take(ann, ALLOCATIONS) is None
    assert ann.may_relay(RATE, 0.0)
    all_users.give_back(ann, ALLOCATIONS)
    bob = all_users.user("bob", now=0.5)
    assert all_users.take(bob, ALLOCATIONS) is None
    assert len(all_users) == 2
    all_users.user("eve", now=1.0)
    assert len(all_users) == 2
    assert all_users.user("ann", now=1.0) is not ann


def test_new_limits_hold_for_those_who_are_there():
    all_users = quotas()
    ann = all_users.user("ann", now=0.0)
    assert all_users.take(ann, ALLOCATIONS, 5) is None
    assert ann.may_relay(10 * RATE, 0.0)
    all_users.set_limits(TurnLimits(allocations_per_user=3, bytes_per_second_per_user=RATE), now=0.0)
    assert all_users.take(ann, ALLOCATIONS) is Exceeded.USER
    assert ann.count(ALLOCATIONS) == 5
    assert not ann.may_relay(10 * RATE, 0.0)
    all_users.set_limits(TurnLimits(bytes_per_second=RATE), now=0.0)
    assert not ann.may_relay(10 * RATE, 0.0)
    all_users.set_limits(TurnLimits(bytes_per_second=20 * RATE), now=0.0)
    assert ann.may_relay(10 * RATE, 0.0)
    all_users.set_limits(TurnLimits(), now=0.0)
    assert ann.may_relay(10 * RATE, 0.0)


@pytest.mark.parametrize(
    "limits",
    [
        {"allocations": -1},
        {"queued_bytes_per_user": -1},
        {"bytes_per_second": 0},
        {"bytes_per_second_per_user": 0},
        {"burst": 0.0},
        {"burst": 61.0},
        {"channels_per_allocation": 4097},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_by_name(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        TurnLimits(**limits)


def test_who_holds_anything_at_all_is_not_forgotten():
    # A reserved port outlives its allocation: who were forgotten meanwhile would come back as somebody new.
    for resource in Resource:
        all_users = Quotas(TurnLimits())
        ann = all_users.user("ann", now=0.0)
        assert all_users.take(ann, ALLOCATIONS) is None
        assert all_users.take(ann, resource) is None
        all_users.give_back(ann, ALLOCATIONS)
        all_users.user("bob", now=1.0)
        assert (all_users.user("ann", now=1.0) is ann) is (resource is not ALLOCATIONS or ann.count(ALLOCATIONS) > 0)


def test_who_takes_something_is_known_though_another_came_between():
    all_users = Quotas(TurnLimits())
    ann = all_users.user("ann", now=0.0)
    bob = all_users.user("bob", now=0.0)
    assert all_users.take(ann, ALLOCATIONS) is None
    assert all_users.take(bob, ALLOCATIONS) is None
    assert (all_users.user("ann", now=0.0), all_users.user("bob", now=0.0)) == (ann, bob)


def test_a_packet_that_the_total_refuses_leaves_all_of_the_users_bandwidth():
    all_users = quotas(bytes_per_second_per_user=RATE, bytes_per_second=2 * RATE)
    ann, bob, eve = (all_users.user(name, now=0.0) for name in ("ann", "bob", "eve"))
    assert ann.may_relay(RATE, 0.0)
    assert bob.may_relay(RATE, 0.0)
    assert not any(eve.may_relay(RATE, 0.0) for _ in range(5))
    all_users.set_limits(TurnLimits(bytes_per_second_per_user=RATE), now=0.0)
    assert eve.may_relay(RATE, 0.0)

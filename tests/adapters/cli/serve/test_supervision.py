"""How workers share what one server would have."""

import itertools

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice import Address
from sansice.turn import TurnLimits
from sansice_cli.serve._command import serve
from sansice_cli.serve._settings import read_settings
from sansice_cli.serve._supervision import limits_of_worker, relay_port_shares, settings_of_worker


@given(st.integers(1024, 65535), st.integers(1, 5000), st.integers(1, 64))
def test_shares_of_ports_do_not_overlap_lie_in_the_range_and_begin_evenly(low, size, workers):
    high = min(65535, low + size - 1)
    try:
        shares = relay_port_shares((low, high), workers)
    except ValueError:
        assert high - low + 1 < 4 * workers + 2
        return
    assert len(shares) == workers
    assert low <= shares[0][0] <= low + 1
    assert shares[-1][1] == high
    for (_, last), (after, _) in itertools.pairwise(shares):
        assert last + 1 == after
    assert all(first % 2 == 0 and last > first for first, last in shares)


@pytest.mark.parametrize("ports", [(50000, 50004), (50001, 50006)])
def test_too_few_ports_for_a_pair_each(ports):
    with pytest.raises(ValueError, match=r"relay ports .*for 3 workers: each needs"):
        relay_port_shares(ports, 3)


def test_totals_are_divided_and_never_less_than_asked_for_and_users_keep_theirs():
    limits = TurnLimits(allocations=10, allocations_per_user=7, bytes_per_second=1000)
    shared = limits_of_worker(limits, 3)
    assert (shared.allocations, shared.allocations_per_user, shared.bytes_per_second) == (4, 7, 334)
    assert shared.bytes_per_second_per_user is None
    assert limits_of_worker(limits, 1) == limits
    untouched = {field.name for field in attrs.fields(TurnLimits) if field.name.endswith(("_per_user", "_per_allocation"))}
    assert all(getattr(shared, name) == getattr(limits, name) for name in untouched | {"burst"})


def settings(*arguments):
    context = serve.make_context("serve", ["--user", "a:b", "--workers", "2", *arguments])
    return read_settings(context.params)


def test_a_worker_has_the_real_addresses_and_the_realms_that_belong_there():
    whole = settings("--listen", "192.0.2.1:0", "--realm", "tcp:192.0.2.1:0=other", "--relay-ports", "50000-50099")
    own = settings_of_worker(whole, 1, [Address("192.0.2.1", 5), Address("192.0.2.1", 6)], bytes(32))
    udp, tcp = own.listeners
    assert (udp.address.port, tcp.address.port, udp.reuse_port) == (5, 6, True)
    assert own.realms.own == {tcp: "other"}
    assert own.turn.relay_ports == (50050, 50099)
    assert own.turn.shared_ports == (50000, 50099)
    assert (own.turn.worker, own.turn.workers, own.turn.ticket_key) == (1, 2, bytes(32))
    assert own.limits.allocations == whole.limits.allocations / 2


def test_a_worker_without_relays_has_listeners_alone():
    context = serve.make_context("serve", ["--stun-only", "--listen", "udp:192.0.2.1:0", "--workers", "2"])
    own = settings_of_worker(read_settings(context.params), 0, [Address("192.0.2.1", 5)], bytes(32))
    assert own.turn is None
    assert own.listeners[0].address.port == 5

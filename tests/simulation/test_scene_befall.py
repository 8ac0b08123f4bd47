"""What befalls a scene while it runs."""

import math

import pytest

from sansice.ice import IceState
from sansice.simulation import (
    At,
    HostSlept,
    InterfaceDown,
    InterfaceReaddressed,
    InterfaceUp,
    Link,
    LinkChanged,
    NatRebooted,
    NatSpec,
    ServerRebooted,
    simulate,
)
from simulation._scenes import two_homes


def lasts(*changes):
    """Whether two homes are still connected when all of this is over."""
    run = simulate(two_homes(changes=changes))
    assert run.connected
    return run.lasted


def test_interface_that_goes_down_for_good_ends_the_connection():
    assert not lasts(At(10.0, InterfaceDown("alice", "192.168.1.2")))


def test_interface_that_comes_back_in_time_keeps_the_connection():
    assert lasts(At(10.0, InterfaceDown("alice", "192.168.1.2")), At(25.0, InterfaceUp("alice", "192.168.1.2")))


def test_new_address_ends_the_connection():
    assert not lasts(At(10.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7")))


def test_interface_is_known_by_its_new_address():
    world = two_homes(
        changes=(
            At(10.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7")),
            At(11.0, InterfaceDown("alice", "192.168.1.7")),
        )
    ).build()
    world.network.run(until=12.0)
    assert ("alice", "192.168.1.7") in world.interfaces
    assert ("alice", "192.168.1.2") not in world.interfaces


def test_nat_that_forgets_its_mappings_ends_the_connection():
    assert not lasts(At(10.0, NatRebooted("home A")))


def test_nat_that_is_down_passes_nothing_on():
    def found_the_server(seconds):
        run = simulate(two_homes(changes=(At(0.0, NatRebooted("home A", seconds)),)), until=2.9)
        return len(run.agents["alice"].local_candidates) == 2

    assert found_the_server(1.0)
    assert not found_the_server(2.5)


def test_link_is_another_from_the_change_on():
    world = two_homes(changes=(At(2.0, LinkChanged("home A", Link(latency=0.7))),)).build()
    world.network.run(until=2.0)
    assert world.places["home A"].inside.link == Link(latency=0.7)


def test_server_answers_again_after_its_reboot():
    def candidates(seconds):
        run = simulate(two_homes(changes=(At(0.0, ServerRebooted("stun", seconds)),)), until=10.0)
        return len(run.agents["alice"].local_candidates)

    assert (candidates(1.0), candidates(5.0)) == (2, 1)


@pytest.mark.parametrize(("seconds", "state"), [(20.0, IceState.COMPLETED), (60.0, IceState.FAILED)])
def test_host_that_sleeps_is_missed_after_a_while(seconds, state):
    run = simulate(two_homes(changes=(At(10.0, HostSlept("alice", seconds)),)))
    assert run.agents["bob"].state is state


def test_run_lasts_until_what_befell_the_scene_has_shown_its_effect():
    run = simulate(two_homes(changes=(At(40.0, HostSlept("alice", 20.0)), At(10.0, NatRebooted("home A")))))
    assert run.network.now == 40.0 + 20.0 + 45.0


def test_endless_change_is_refused():
    with pytest.raises(ValueError, match=r"^seconds: inf is not a number of seconds from 0 on"):
        HostSlept("alice", math.inf)


def test_lifetime_of_a_nat_without_traffic_matters():
    nats = (NatSpec("home A", "203.0.113.1", lifetime=2.0), NatSpec("home B", "198.51.100.1"))
    # Consent checks come every 4 to 6 s, so that each finds its mapping gone and leaves from another port.
    run = simulate(two_homes(nats=nats, duration=60.0))
    assert (run.connected, run.lasted) == (True, False)

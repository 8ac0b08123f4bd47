"""Other people's traffic in a scene."""

import math
import re

import pytest

from sansice import Address
from sansice.simulation import (
    Fate,
    HostSpec,
    Link,
    NatSpec,
    TrafficSpec,
    check_machine,
    simulate,
)
from sansice.simulation._scene._traffic import Upload
from simulation._scenes import two_homes

HOSTS = (
    HostSpec("alice", "192.168.1.2", behind="home A"),
    HostSpec("bob", "192.168.1.2", behind="home B"),
    HostSpec("laptop", ("2001:db8:a::3", "192.168.1.3"), behind="home A"),
    HostSpec("cloud", "192.0.2.50"),
)


def uploads(*traffic, until, **parts):
    """When datagrams of the traffic left their hosts, and when they reached the cloud."""
    seen = []
    scene = two_homes(hosts=HOSTS, traffic=traffic, **parts)
    simulate(scene, until=until, observers=[seen.append])
    of_traffic = [one for one in seen if one.packet.destination.port == 9]
    times = {fate: [one.time for one in of_traffic if one.fate is fate] for fate in (Fate.SENT, Fate.DELIVERED)}
    return times[Fate.SENT], times[Fate.DELIVERED]


def test_datagrams_leave_at_the_rate_and_arrive():
    sent, arrived = uploads(TrafficSpec("laptop", "cloud", 80_000, size=1000, start=1.0), until=1.45)
    assert sent == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.4])
    assert arrived == pytest.approx([1.02, 1.12, 1.22, 1.32, 1.42])


def test_traffic_ends_when_it_says():
    sent, _ = uploads(TrafficSpec("laptop", "cloud", 80_000, size=1000, stop=0.25), until=5.0)
    assert sent == pytest.approx([0.0, 0.1, 0.2])


def test_the_datagram_that_is_due_when_traffic_ends_is_not_sent():
    sent, _ = uploads(TrafficSpec("laptop", "cloud", 64_000, size=1000, stop=0.25), until=5.0)
    assert sent == [0.0, 0.125]


def test_two_streams_may_go_to_one_host():
    traffic = (TrafficSpec("laptop", "cloud", 80_000, size=1000), TrafficSpec("alice", "cloud", 80_000, size=1000))
    sent, arrived = uploads(*traffic, until=0.15)
    assert (len(sent), len(arrived)) == (4, 4)


def test_traffic_fills_the_queue_that_agents_wait_in():
    line = Link(latency=0.01, bandwidth=1e6)
    nats = (NatSpec("home A", "203.0.113.1", link=line), NatSpec("home B", "198.51.100.1"))
    idle = simulate(two_homes(nats=nats, hosts=HOSTS)).setup_ms
    busy = simulate(two_homes(nats=nats, hosts=HOSTS, traffic=(TrafficSpec("laptop", "cloud", 1.2e6),))).setup_ms
    assert idle is not None and busy is not None and busy > idle + 20.0


def test_clock_that_jumped_is_not_caught_up_with():
    upload = Upload("192.0.2.1", Address("192.0.2.2", 9), interval=0.1, data=b"x", start=0.0, stop=math.inf)
    upload.take_outputs()
    upload.handle_timer(now=30.0)
    assert len(upload.take_outputs()) == 1
    assert upload.deadline() == pytest.approx(30.1)


def test_upload_keeps_the_contract():
    destination = Address("192.0.2.2", 9)
    check_machine(lambda entropy: Upload("192.0.2.1", destination, interval=0.1, data=b"x", start=0.0, stop=5.0))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("laptop", "nobody", 1e6), "traffic[0]: there is no host 'nobody'"),
        (("nobody", "cloud", 1e6), "traffic[0]: there is no host 'nobody'"),
        (("laptop", "cloud", 0), "rate: 0 is not a number of bits per second above 0"),
        (("laptop", "cloud", math.inf), "rate: inf is not a number of bits per second above 0"),
    ],
)
def test_traffic_that_cannot_be_is_refused(parts, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        two_homes(hosts=HOSTS, traffic=(TrafficSpec(*parts),))


def test_traffic_between_families_is_refused():
    hosts = (*HOSTS[:3], HostSpec("cloud", "2001:db8:c::1"))
    assert two_homes(hosts=hosts, traffic=(TrafficSpec("laptop", "cloud", 1e6),))
    with pytest.raises(ValueError, match=r"^traffic\[0\]: 'alice' and 'cloud' have no family of addresses in common"):
        two_homes(hosts=hosts, traffic=(TrafficSpec("alice", "cloud", 1e6),))


def test_traffic_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match=r"^stop: 1\.0 is not after the start at 2\.0"):
        TrafficSpec("laptop", "cloud", 1e6, start=2.0, stop=1.0)

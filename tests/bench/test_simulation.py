"""The benchmark of the laboratory: both sides do the work that they claim to do."""

import pytest

from bench import _bare_loop, _simulation


@pytest.mark.parametrize("session", [_bare_loop.bare_session, _simulation.direct_session, _simulation.nat_session])
def test_every_session_connects(session):
    assert all(session(seed) for seed in range(3))


def test_packets_go_through_both_nats():
    net, sender, receiver, mapped = _simulation.two_nats()
    before = receiver.machine.received
    sender.call(sender.machine.send, mapped, 10)
    net.run()
    assert receiver.machine.received - before == 10
    assert receiver.machine.source.host == "203.0.113.1"


def test_the_floor_hands_over_as_many_packets():
    counter = _simulation.Counter("192.0.2.1")
    _bare_loop.bare_packets(counter, 1, counter.source, b"x", 10)
    assert counter.received == 10


def test_a_session_that_fails_and_packets_that_are_lost_are_no_figures(monkeypatch):
    with pytest.raises(RuntimeError, match="the session with the seed 0 did not connect"):
        _simulation._all_connect(lambda seed: False)
    net, *others = _simulation.two_nats()
    net.drop = lambda packet: True
    monkeypatch.setattr(_simulation, "two_nats", lambda: (net, *others))
    with pytest.raises(RuntimeError, match="20000 of 20000 packets did not arrive"):
        _simulation._packets(1)


def test_each_metric_is_a_rate_beside_its_floor(monkeypatch):
    monkeypatch.setattr(_simulation, "SESSIONS", 2)
    monkeypatch.setattr(_simulation, "PACKETS", 500)
    metrics = _simulation.run(rounds=1)
    assert list(metrics) == ["sessions", "sessions_direct", "packets"]
    assert all(metric["ours"] > 0 and metric["unit"] == "/s" for metric in metrics.values())

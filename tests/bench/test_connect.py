"""The benchmark of connecting: it connects, and says what it promises."""

from bench import _connect


def test_every_metric_is_there_from_one_small_round(monkeypatch):
    monkeypatch.setattr(_connect, "PAIRS", 2)
    monkeypatch.setattr(_connect, "MEMORY_PAIRS", 2)
    monkeypatch.setattr(_connect, "WARM_UP", 1)
    metrics = _connect.run(rounds=1)
    assert list(metrics) == [
        "cpu",
        "cpu_first_byte",
        "first_byte",
        "cpu_over_bare_trio",
        "cpu_of_minimal_ice",
        "memory_agent",
        "memory",
    ]
    for metric in metrics.values():
        assert metric.keys() >= {"ours", "peer", "ratio", "unit", "peer_name"}
        assert min(metric["ours"], metric["peer"]) > 0
    assert metrics["first_byte"].keys() >= {"p95", "peer_p95"}


def test_agents_on_the_wire_are_connected_with_each_other():
    a, b = _connect._connected_agents()
    assert (a.selected_pair.remote.address, b.selected_pair.remote.address) == (
        b.selected_pair.local.address,
        a.selected_pair.local.address,
    )


def test_aioice_lists_its_addresses_again_after_the_benchmark():
    before = _connect.aioice.ice.get_host_addresses
    with _connect.aioice_on_loopback():
        assert _connect.aioice.ice.get_host_addresses(True, True) == ["127.0.0.1"]
    assert _connect.aioice.ice.get_host_addresses is before

"""The benchmark of data: it sends and receives, on both adapters, and says what it promises."""

import pytest

from bench import _data
from bench._connect import aioice_on_loopback


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(_data, "DATAGRAMS", 2 * _data.BURST)


def test_every_metric_is_there_from_one_small_round():
    metrics = _data.run(rounds=1)
    assert list(metrics) == ["trio", "asyncio", "trio_single", "asyncio_single"]
    for metric in metrics.values():
        assert metric.keys() >= {"ours", "peer", "ratio", "unit", "peer_name"}
        assert min(metric["ours"], metric["peer"]) > 0


def test_datagrams_are_of_a_size_that_every_path_carries_and_are_no_stun():
    assert len(_data.DATA) == 1200
    assert _data.DATA[0] >= 128


def test_each_side_may_be_timed_alone():
    with aioice_on_loopback():
        assert min(_data.on_trio(2), _data.on_asyncio(2), _data.on_aioice(2)) > 0

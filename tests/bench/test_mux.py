"""The benchmark of many agents on one port: its crowds are connected, and it says what it promises."""

from bench import _mux
from sansice.ice import AgentEvent, DataReceived, IceState
from sansice.stun import MessageClass, decode_untrusted


def test_every_metric_is_there_from_one_small_round(monkeypatch):
    for name, value in (("MANY", 20), ("FEW", 4), ("PACKETS", 40), ("PEER_CONNECTIONS", 1)):
        monkeypatch.setattr(_mux, name, value)
    metrics = _mux.run(rounds=1)
    assert list(metrics) == ["check", "data", "check_scattered", "data_scattered", "check_aioice", "memory"]
    for metric in metrics.values():
        assert metric.keys() == {"ours", "peer", "ratio", "unit", "peer_name"}
        assert min(metric["ours"], metric["peer"]) > 0


def test_crowd_is_connected_and_each_packet_reaches_its_agent():
    crowd = _mux.Crowd(8)
    mux, socket = crowd.mux, crowd._socket
    assert all(mux.agent(name).state is IceState.COMPLETED for name, *_ in crowd.clients)
    mux.handle_datagrams(socket, crowd.checks(8, 8), now=1.0)
    answers = [decode_untrusted(one.data).message_class for one in mux.take_outputs()]
    assert answers == [MessageClass.SUCCESS] * 8
    mux.handle_datagrams(socket, crowd.data(8, 4), now=1.0)
    names = [name for name, *_ in crowd.clients]
    assert mux.take_outputs() == [AgentEvent(names[turn], DataReceived(0, 1, _mux.DATA + bytes(1))) for turn in (0, 2, 4, 6) * 2]

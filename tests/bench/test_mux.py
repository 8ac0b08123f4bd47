"""The benchmark of many agents on one port: its crowds are connected, and it says what it promises."""

from bench import _mux, _mux_crowd
from bench._mux_crowd import DATA, Crowd
from bench._mux_sockets import clients_of_one_port
from sansice.ice import AgentEvent, DataReceived, IceState
from sansice.stun import MessageClass, decode_untrusted


def test_every_metric_is_there_from_one_small_round(monkeypatch):
    for module, name, value in (
        (_mux, "MANY", 20),
        (_mux, "FEW", 4),
        (_mux, "PACKETS", 40),
        (_mux_crowd, "PACKETS", 40),
        (_mux, "PEER_CONNECTIONS", 1),
    ):
        monkeypatch.setattr(module, name, value)
    metrics = _mux.run(rounds=1)
    names = "check data check_scattered data_scattered check_aioice check_received data_received memory"
    assert list(metrics) == names.split()
    for metric in metrics.values():
        assert metric.keys() == {"ours", "peer", "ratio", "unit", "peer_name"}
        assert min(metric["ours"], metric["peer"]) > 0


def test_crowd_is_connected_and_each_packet_reaches_its_agent():
    crowd = Crowd(8)
    mux, socket = crowd.mux, crowd._socket
    assert all(mux.agent(name).state is IceState.COMPLETED for name in crowd.names)
    mux.handle_datagrams(socket, crowd.checks(8, 8), now=1.0)
    answers = [decode_untrusted(one.data).message_class for one in mux.take_outputs()]
    assert answers == [MessageClass.SUCCESS] * 8
    mux.handle_datagrams(socket, crowd.data(8, 4), now=1.0)
    names = crowd.names
    assert mux.take_outputs() == [AgentEvent(names[turn], DataReceived(0, 1, DATA + bytes(1))) for turn in (0, 2, 4, 6) * 2]


def test_clients_of_a_real_port_are_all_heard():
    with clients_of_one_port(70) as clients:
        assert clients.checks(70, 140) > 0
        assert clients.data(7, 140) > 0

"""The benchmark's own tools: what it compares does what it says."""

from bench import _recording
from sansice.simulation import replay_file


def test_what_is_measured_is_recorded_and_replays(tmp_path):
    place = _recording.Place(tmp_path)
    agents, now = _recording.connected(place)
    _recording.talk(agents, now)
    assert agents[1].stats.datagrams_received == _recording.PACKETS
    assert place.close() > 2 * _recording.PACKETS * _recording.PACKET
    assert all(replay_file(file).same for file in tmp_path.iterdir())


def test_without_a_folder_nothing_is_recorded(tmp_path):
    place = _recording.Place(None)
    _recording.connected(place)
    assert place.close() == 0

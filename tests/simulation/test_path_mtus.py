"""Path MTUs: learnt, believed for ten minutes, and bounded in number."""

from sansice.simulation._world._path_mtus import KEPT_SECONDS, MAX_DESTINATIONS, PathMtus


def test_what_was_learnt_is_known_for_ten_minutes():
    known = PathMtus()
    known.learn("192.0.2.1", 1400, 5.0)
    assert known.get("192.0.2.1", 5.0 + KEPT_SECONDS - 0.1) == 1400
    assert known.get("192.0.2.1", 5.0 + KEPT_SECONDS) is None
    assert known.get("192.0.2.2", 5.0) is None


def test_only_less_is_believed():
    known = PathMtus()
    known.learn("192.0.2.1", 1400, 0.0)
    known.learn("192.0.2.1", 1500, 1.0)
    assert known.get("192.0.2.1", 2.0) == 1400
    known.learn("192.0.2.1", 1400, 3.0)  # says nothing new: still ten minutes from when it became less
    assert known.get("192.0.2.1", KEPT_SECONDS + 1.0) is None
    known.learn("192.0.2.1", 1400, 1.0)
    known.learn("192.0.2.1", 1300, 2.0)
    assert known.get("192.0.2.1", KEPT_SECONDS + 1.0) == 1300


def test_the_oldest_is_forgotten_where_there_are_too_many():
    known = PathMtus()
    for n in range(MAX_DESTINATIONS + 1):
        known.learn(f"host {n}", 1400, 0.0)
    assert known.get("host 0", 1.0) is None
    assert known.get("host 1", 1.0) == known.get(f"host {MAX_DESTINATIONS}", 1.0) == 1400

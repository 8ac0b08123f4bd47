"""The matrix: which kinds of NAT let agents connect."""

from types import SimpleNamespace

import attrs
import pytest

from sansice.simulation import MATRIX_KINDS, MATRIX_TURNS, matrix, matrix_scene, predict, simulate
from sansice.simulation._library._matrix import is_direct

FAILING = {("symmetric", "symmetric"), ("symmetric", "port-restricted"), ("port-restricted", "symmetric")}


def test_only_symmetric_against_symmetric_or_port_restricted_fails():
    cells = list(matrix(runs=5))
    assert [(cell.a, cell.b) for cell in cells] == [(a, b) for a in MATRIX_KINDS for b in MATRIX_KINDS]
    assert {(cell.a, cell.b) for cell in cells if not cell.connected} == FAILING
    # Where a cell fails, all of its runs do: none of them is luck.
    assert {(cell.a, cell.b) for cell in cells if cell.median_setup_ms is None} == FAILING


@pytest.mark.long
@pytest.mark.parametrize("turn", MATRIX_TURNS[1:])
def test_with_relays_every_cell_connects_and_directly_wherever_the_oracle_says_that_it_can(turn):
    for cell in matrix(turn=turn):
        [direct] = predict(matrix_scene(cell.a, cell.b)).couples
        [relayed] = predict(matrix_scene(cell.a, cell.b, turn)).couples
        assert cell.connected
        assert set(cell.pair_types) <= set(direct.pair_types if direct.connected else relayed.pair_types)
        assert any("relay" in pair_type for pair_type in cell.pair_types) is not direct.connected
        assert is_direct(cell.a, cell.b) is direct.connected


def test_cell_has_the_values_that_others_read():
    cell = next(matrix(runs=2))
    assert attrs.asdict(cell) == {
        "a": "open",
        "b": "open",
        "family": "ipv4",
        "turn": "none",
        "connected": True,
        "pair_types": ("host-host",),
        "median_setup_ms": cell.median_setup_ms,
        "runs": 2,
    }
    assert cell.median_setup_ms is not None and 100 < cell.median_setup_ms < 400


PAIRS = {
    ("open", "open"): "host-host",
    ("open", "symmetric"): "host-prflx",
    ("symmetric", "open"): "prflx-host",
    ("open", "port-restricted"): "host-srflx",
    ("port-restricted", "port-restricted"): "srflx-srflx",
    ("full-cone", "symmetric"): "srflx-prflx",
    ("symmetric", "restricted-cone"): "prflx-srflx",
}


@pytest.mark.parametrize(("kinds", "pair_type"), PAIRS.items(), ids=lambda value: str(value))
def test_pair_is_of_the_types_that_the_translations_make_it(kinds, pair_type):
    assert simulate(matrix_scene(*kinds)).pair_types == (pair_type,)


def test_scene_of_a_cell_ends_as_it_says():
    for a in MATRIX_KINDS:
        for b in MATRIX_KINDS:
            assert simulate(matrix_scene(a, b), seed=9).surprises == ()


def test_median_is_over_the_seeds_from_the_first_on():
    setups = [simulate(matrix_scene("open", "open"), seed=seed).setup_ms or 0.0 for seed in (4, 5, 6)]
    assert next(matrix(runs=3, first_seed=4)).median_setup_ms == sorted(setups)[1]


def test_cell_is_connected_only_where_all_of_its_runs_are(monkeypatch):
    def connects(scene, *, seed):
        return SimpleNamespace(pair_types=("host-host",) if seed else (), setup_ms=20.0 + seed if seed else None)

    monkeypatch.setattr("sansice.simulation._library._matrix.simulate", connects)
    cell = next(matrix(runs=3))
    assert (cell.connected, cell.pair_types, cell.median_setup_ms, cell.runs) == (False, ("host-host",), 21.5, 3)
    assert next(matrix(runs=3, first_seed=1)).connected


def test_cells_come_one_by_one(monkeypatch):
    cells = matrix()
    monkeypatch.setattr("sansice.simulation._library._matrix.simulate", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(cells)


def test_no_run_is_no_matrix():
    with pytest.raises(ValueError, match=r"^runs: 0 is below 1"):
        matrix(runs=0)


@pytest.mark.parametrize("made", [matrix, lambda turn: matrix_scene("open", "open", turn)])
def test_relay_over_another_transport_is_refused(made):
    with pytest.raises(ValueError, match=r"^turn: 'sctp' is none of none, udp, tcp, tls"):
        made(turn="sctp")


def test_kind_that_is_no_preset_is_refused():
    with pytest.raises(ValueError, match="strange"):
        matrix_scene("open", "strange")

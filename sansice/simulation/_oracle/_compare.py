"""Whether agents did what the oracle said."""

from __future__ import annotations

from sansice.ice import IceAgent, IceRole
from sansice.simulation._scene._scene_run import SceneRun

from ._prediction import PredictedCouple, Prediction


def disagreement(prediction: Prediction, run: SceneRun) -> str:
    """How a run differs from what was predicted of its scene; empty if it does not.

    Args:
        prediction: of the scene.
        run: what became of it.
    """
    found = (_difference(couple, *(run.agents[name] for name in couple.agents)) for couple in prediction.couples)
    return "; ".join(text for text in found if text)


def _difference(couple: PredictedCouple, first: IceAgent, second: IceAgent) -> str:
    names = " and ".join(couple.agents)
    pair = first.selected_pair if second.selected_pair is not None else None
    if pair is None:
        return f"{names} do not connect, and must" if couple.connected else ""
    if couple.connected is False:
        return f"{names} connect, and cannot"
    controlling = couple.agents[0] if first.role is IceRole.CONTROLLING else couple.agents[1]
    expected = next((outcome.pair_types for outcome in couple.outcomes if outcome.controlling == controlling), ())
    type = f"{pair.local.type.value}-{pair.remote.type.value}"
    if type not in expected:
        return f"{names}, {controlling} controlling, select {type} and not {' or '.join(expected) or 'nothing'}"
    return ""

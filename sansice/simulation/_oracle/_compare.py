"""Whether agents did what the oracle said."""

from __future__ import annotations

from sansice.ice import CandidatePair, IceAgent, IceRole, LiteAgent
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


def _difference(couple: PredictedCouple, first: IceAgent | LiteAgent, second: IceAgent | LiteAgent) -> str:
    names = " and ".join(couple.agents)
    places = [(stream, number) for stream, count in enumerate(first.components) for number in range(1, count + 1)]
    pairs = [first.selected_pair_of(*place) for place in places if second.selected_pair_of(*place) is not None]
    if len(pairs) < len(places) or None in pairs:
        return f"{names} do not connect, and must" if couple.connected else ""
    if couple.connected is False:
        return f"{names} connect, and cannot"
    controlling = couple.agents[0] if first.role is IceRole.CONTROLLING else couple.agents[1]
    expected = next((outcome.pair_types for outcome in couple.outcomes if outcome.controlling == controlling), ())
    for type in dict.fromkeys(_type(pair) for pair in pairs if pair is not None):
        if type not in expected:
            return f"{names}, {controlling} controlling, select {type} and not {' or '.join(expected) or 'nothing'}"
    return ""


def _type(pair: CandidatePair) -> str:
    return f"{pair.local.type.value}-{pair.remote.type.value}"

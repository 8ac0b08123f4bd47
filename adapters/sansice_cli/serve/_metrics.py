"""The counters of a server as metrics for Prometheus. No user is named in them: strangers could make names without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from ._http import Answer
from ._snapshot import Snapshot

_STUN = {
    "requests": "Requests that were looked at",
    "responses": "Success responses",
    "indications": "Well-formed indications",
    "classic": "Requests of RFC 3489",
    "retransmissions": "Requests that came again",
    "accepted": "Streams accepted",
    "timed_out": "Streams closed by a deadline",
}
_BY_LABEL = {
    ("stun", "errors"): ("Error responses by code", "code"),
    ("turn", "closed"): ("Allocations that have ended, by reason", "reason"),
}
_TRAFFIC = {"packets": "Datagrams relayed", "bytes": "Bytes relayed, without headers"}
_DIRECTIONS = {"from_client": "received", "to_client": "sent"}
_LOOKUPS = {"failures": "Users that could not be looked up", "refused": "Requests over the bound of look-ups"}
_WORKERS = {"restarts": "Workers that died and were started anew"}


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        yield from _counters("sansice_stun", _STUN, snapshot["stun"])
        yield GaugeMetricFamily("sansice_stun_connections", "Streams open now", value=snapshot["stun"]["connections"])
        for (part, name), (words, label) in _BY_LABEL.items():
            if part in snapshot:
                yield _labelled(f"sansice_{part}_{name}", words, label, snapshot[part].get(name, {}))
        # Of messages and of data alike: it belongs to neither.
        words = "What was not served, by reason: not answered, answered with an error, or not relayed"
        yield _labelled("sansice_dropped", words, "reason", snapshot["stun"]["dropped"])
        if "turn" in snapshot:
            yield from _turn(snapshot["turn"])
        if "lookups" in snapshot:
            yield from _counters("sansice_lookup", _LOOKUPS, snapshot["lookups"])
        if "lost" in snapshot:
            yield _labelled("sansice_lost", "Datagrams that the system did not send, by reason", "reason", snapshot["lost"])
        if "workers" in snapshot:
            yield GaugeMetricFamily("sansice_workers", "Processes that serve now", value=snapshot["workers"]["running"])
            yield from _counters("sansice_worker", _WORKERS, snapshot["workers"])


def _turn(numbers: Mapping[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily("sansice_turn_allocations", "Allocations that exist now", value=numbers["allocations"])
    yield CounterMetricFamily("sansice_turn_opened", "Allocations made", value=numbers["opened"])
    for unit, words in _TRAFFIC.items():
        values = {direction: numbers[f"{verb}_{unit}"] for direction, verb in _DIRECTIONS.items()}
        yield _labelled(f"sansice_turn_relayed_{unit}", words, "direction", values)


def _counters(prefix: str, words: Mapping[str, str], numbers: Mapping[str, Any]) -> Iterator[Metric]:
    for name, text in words.items():
        yield CounterMetricFamily(f"{prefix}_{name}", text, value=numbers[name])


def _labelled(name: str, words: str, label: str, numbers: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, number in numbers.items():
        family.add_metric([key], number)
    return family


def metrics_answer(snapshot: Snapshot) -> Answer:
    """What a scraper is told."""
    registry = CollectorRegistry()
    registry.register(_Collected(snapshot))
    return Answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))

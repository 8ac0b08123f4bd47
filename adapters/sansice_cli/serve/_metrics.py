"""Counters for Prometheus, on an HTTP port of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from sansice import Address
from sansice.stun import StunServerStats

_NUMBERS = {
    "requests": "Requests that were looked at",
    "responses": "Success responses",
    "indications": "Well-formed indications",
    "classic": "Requests of RFC 3489",
    "retransmissions": "Requests that came again",
    "accepted": "Streams accepted",
    "timed_out": "Streams closed by a deadline",
}


class StunCollector(Collector):
    """Reads the counters when it is asked: nothing is counted twice."""

    def __init__(self, stats: StunServerStats) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """The metrics. Called in a thread of the HTTP server's, so that each counter is copied in one go."""
        stats = self._stats
        for name, words in _NUMBERS.items():
            yield CounterMetricFamily(f"sansice_stun_{name}", words, value=getattr(stats, name))
        errors = CounterMetricFamily("sansice_stun_errors", "Error responses by code", labels=["code"])
        for code, number in dict(stats.errors).items():
            errors.add_metric([str(code)], number)
        yield errors
        dropped = CounterMetricFamily(
            "sansice_stun_dropped", "What was not served, by reason: not answered, or with an error", labels=["reason"]
        )
        for reason, number in dict(stats.dropped).items():
            dropped.add_metric([reason.name.lower().replace("_", "-")], number)
        yield dropped
        yield GaugeMetricFamily("sansice_stun_connections", "Streams open now", value=stats.connections)


@contextmanager
def metrics_server(address: Address, registry: CollectorRegistry) -> Iterator[Address]:
    """Serve ``registry`` over HTTP within the block; the address with the real port.

    Raises:
        OSError: the address cannot be listened at.
    """
    server, thread = start_http_server(address.port, address.host, registry=registry)
    try:
        yield Address(address.host, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

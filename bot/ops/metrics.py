"""Every metric, in one file. Names are promises to dashboards; labels have few values (no ids, no paths).

Counted as things happen (requests, sockets, results) or read when somebody asks (`Read`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

# The promises are 50 ms for a page and 150 ms over the steps of a deploy; long polls take up to 30 s.
REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)


@dataclass(frozen=True, slots=True)
class Read:
    """A number that is read when asked for: by label value, or under "" for one without labels."""

    name: str
    says: str
    label: str
    now: Callable[[], Mapping[str, float]]


class Metrics:
    """The metrics of one bot process. `reads` are asked at each scrape."""

    def __init__(self, reads: Iterable[Read] = ()) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Histogram(
            "hercules_http_request_seconds",
            "Time of HTTP requests by route pattern",
            ("method", "route", "status"),
            buckets=REQUEST_SECONDS,
            registry=self.registry,
        )
        self._sockets = Gauge("hercules_sockets", "Open WebSockets of people", registry=self.registry)
        self._results = Counter(
            "hercules_order_results", "Results of orders", ("verb", "outcome"), registry=self.registry
        )
        self.registry.register(_Readings(tuple(reads)))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(_METHODS.get(method, "other"), route, f"{status // 100}xx").observe(seconds)

    def sockets(self, change: int) -> None:
        """A WebSocket was opened (1) or closed (-1)."""
        self._sockets.inc(change)

    def result(self, verb: str, outcome: str) -> None:
        """A node said how an order ended."""
        self._results.labels(verb, outcome).inc()

    def exposition(self) -> tuple[bytes, str]:
        """All of it in Prometheus' text format, with its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


_METHODS = {name: name for name in ("GET", "POST", "PATCH", "HEAD", "PUT", "DELETE", "OPTIONS")}


class _Readings(Collector):
    """Asks whoever knows, at the time of the scrape."""

    def __init__(self, reads: tuple[Read, ...]) -> None:
        self._reads = reads

    def collect(self) -> Iterator[Metric]:
        """Give each number as it is now."""
        for read in self._reads:
            family = GaugeMetricFamily(read.name, read.says, labels=[read.label] if read.label else [])
            for value, number in read.now().items():
                family.add_metric([value] if read.label else [], number)
            yield family

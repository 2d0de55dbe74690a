"""Numbers for Prometheus: how the API answers (counted here) and how the cloud is (asked of the database when somebody looks)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from controller.store import counts
from controller.store.database import Database

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
ANSWERS = Counter("chutian_http_answers_total", "Answers of the API.", ["method", "route", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "chutian_http_seconds",
    "Time to answer.",
    ["method", "route"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


def render(database: Database) -> bytes:
    """All numbers, as text."""
    cloud = CollectorRegistry()
    found = database.run(counts.gather)
    for name, (text, label, values) in found.items():
        gauge = Gauge(f"chutian_{name}", text, [label], registry=cloud)
        for key, value in values.items():
            gauge.labels(key).set(value)
    return generate_latest(REGISTRY) + generate_latest(cloud)

"""`/metrics`: figures of this lab in Prometheus' text format, and the middleware that counts requests."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import prometheus_client as prometheus
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.lab import Lab

if TYPE_CHECKING:
    from lab.monitor import Monitor

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

router = APIRouter(tags=["metrics"])


class Metrics:
    """The metrics of one lab. What the lab knows by itself is looked up when it is asked for.

    :param lab: whose.
    :param monitor: of the same lab.
    """

    def __init__(self, lab: Lab, monitor: Monitor) -> None:
        self.registry = prometheus.CollectorRegistry()
        self._lab = lab
        self._monitor = monitor
        self.requests = prometheus.Counter(
            "lab_api_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = prometheus.Histogram(
            "lab_api_request_seconds",
            "Time to the first byte of an answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.streams = prometheus.Gauge(
            "lab_api_streams", "WebSocket clients that follow the lab.", registry=self.registry
        )
        prometheus.ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what the lab knows by itself."""
        states = Tally(device["state"] for device in self._lab.devices())
        family = GaugeMetricFamily("lab_devices", "Devices by state.", labels=("state",))
        for state, count in sorted(states.items()):
            family.add_metric((state,), count)
        yield family
        apps = Tally(app.state for info in self._lab.gateway.devices() for app in info.apps)
        family = GaugeMetricFamily("lab_apps", "Apps on devices by state.", labels=("state",))
        for state, count in sorted(apps.items()):
            family.add_metric((state,), count)
        yield family
        memory = GaugeMetricFamily(
            "lab_device_memory_free_bytes", "Free memory, as a device last said.", labels=("device",)
        )
        for info in self._lab.gateway.devices():
            memory.add_metric((info.id,), info.memory_free)
        yield memory
        yield GaugeMetricFamily("lab_gateway_sessions", "TLS sessions.", self._lab.gateway.sessions)
        yield GaugeMetricFamily("lab_events_backlog", "Events not written yet.", self._lab.events.backlog)
        happened = CounterMetricFamily("lab_events", "Events by kind.", labels=("kind",))
        for kind, count in sorted(self._monitor.kinds.items()):
            happened.add_metric((kind,), count)
        yield happened
        yield GaugeMetricFamily("lab_alerts", "Alerts that stand.", len(self._monitor.alerts()))

    def expose(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return prometheus.generate_latest(self.registry)


class Measure:
    """Counts requests by route, not by path: what clients send makes no new series."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                method = scope["method"] if route != "unknown" else "other"
                self._metrics.requests.labels(method, route, message["status"]).inc()
                self._metrics.seconds.labels(method, route).observe(time.monotonic() - began)
            await send(message)

        await self._app(scope, receive, sent)


def _metrics(connection: HTTPConnection) -> Metrics:
    metrics: Metrics = connection.app.state.metrics
    return metrics


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def show_metrics(metrics: Annotated[Metrics, Depends(_metrics)]) -> Response:
    """Return the lab's metrics in Prometheus' text format."""
    return Response(metrics.expose(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

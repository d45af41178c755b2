"""What the HTTP service counts, as Prometheus reads it; all workers of a service are counted together."""

import os
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1.0)

__all__ = ["CONTENT_TYPE_LATEST", "FOLDER_VARIABLE", "Metrics"]


class Metrics:
    """The counters of one worker."""

    def __init__(self) -> None:
        """Begin at zero, in a registry of its own."""
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "pqrnn_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self.texts = Counter("pqrnn_texts", "Texts by what became of them.", ["outcome"], registry=registry)
        self.seconds = Histogram(
            "pqrnn_request_seconds",
            "From the last byte of a request to its answer.",
            registry=registry,
            buckets=_SECONDS,
        )
        self.parser_seconds = Counter("pqrnn_parser_seconds", "Seconds that parsers worked.", registry=registry)
        self.pending = Gauge(
            "pqrnn_pending_texts", "Texts that wait for a parser.", registry=registry, multiprocess_mode="livesum"
        )

    def render(self) -> bytes:
        """Return the figures of all workers in Prometheus' text format."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        for path in Path(folder).glob("gauge_live*_*.db"):
            process = path.stem.rpartition("_")[2]
            if process.isdecimal() and not Path(f"/proc/{process}").exists():
                mark_process_dead(int(process), folder)
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)
        return generate_latest(together)

"""What the service counts, in Prometheus' format."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ser_ops.inference.recogniser import Answer

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
_WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128)
_SNR_DB = (-10, -5, 0, 5, 10, 15, 20, 30, 40, 60)


class Metrics:
    """Counters, gauges and histograms of one service; names begin with ser_ops_."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("ser_ops_requests", "answered, by route and status", ("route", "status"),
                                registry=registry)
        self.latency = Histogram("ser_ops_request_seconds", "from a request's head to its answer", ("route",),
                                 buckets=_SECONDS, registry=registry)
        self.queue = Gauge("ser_ops_queue_requests", "under way, of which long ones apart", ("kind",),
                           registry=registry)
        self.batch_windows = Histogram("ser_ops_batch_windows", "windows answered together", buckets=_WINDOWS,
                                       registry=registry)
        self.batch_seconds = Histogram("ser_ops_batch_seconds", "of the model for a batch", buckets=_SECONDS,
                                       registry=registry)
        self.answers = Counter("ser_ops_answers", "recordings by their answer, abstentions among them", ("answer",),
                               registry=registry)
        self.refused = Counter("ser_ops_refused", "recordings that have no answer", registry=registry)
        self.sound = Counter("ser_ops_sound_seconds", "seconds of the recordings that were answered",
                             registry=registry)
        self.snr = Histogram("ser_ops_snr_db", "estimated, of recordings in which somebody speaks", buckets=_SNR_DB,
                             registry=registry)
        self.unrecorded = Counter("ser_ops_unrecorded", "answers whose record could not be written", registry=registry)
        self.live = Gauge("ser_ops_live_sessions", "of live sound", registry=registry)
        self.model = Gauge("ser_ops_model", "1 for the version that answers", ("name", "version", "fingerprint"),
                           registry=registry)

    def count_batch(self, windows: int, seconds: float) -> None:
        """Count a batch of so many windows that took the model so many seconds."""
        self.batch_windows.observe(windows)
        self.batch_seconds.observe(seconds)

    def count_answer(self, answer: Answer) -> None:
        """Count an answer, how long what was heard lasts, and its estimated SNR."""
        self.answers.labels(answer.emotion).inc()
        self.sound.inc(answer.seconds)
        if math.isfinite(answer.sound.snr_db):
            self.snr.observe(answer.sound.snr_db)

    def written(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)

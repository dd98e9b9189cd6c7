"""How long a service has been silent: the time since it last gave a sign of progress."""

import time

BUSY = 0.01     # of one core: less is what a server uses that only waits


class Progress:
    """Signs of progress of one service that does not answer yet.

    Signs are a log that grows and time on the processor; `note` takes any other one. On a machine that does too much at
    once, both go on, however slowly.
    """

    def __init__(self, limit: float) -> None:
        """`limit`: seconds of silence that are too long."""
        self.limit = limit
        self._at = time.monotonic()
        self._log_bytes = 0
        self._cpu_seconds = 0.0

    def note(self) -> None:
        """A sign of progress was seen now."""
        self._at = time.monotonic()

    def is_silent(self, log_bytes: int, cpu_seconds: float) -> bool:
        """Whether the last sign of progress lies too long ago.

        Args:
            log_bytes: Size of the service's log.
            cpu_seconds: What its processes have used of processors so far.
        """
        self._cpu_seconds = min(self._cpu_seconds, cpu_seconds)     # a process may have ended
        if log_bytes != self._log_bytes or cpu_seconds - self._cpu_seconds >= BUSY * self.limit:
            self.note()
            self._log_bytes, self._cpu_seconds = log_bytes, cpu_seconds
        return time.monotonic() - self._at > self.limit

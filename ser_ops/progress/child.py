"""`python -m ser_ops.progress.child FD`: the process in which a thread of a Dask worker does its items.

It is started in the workspace's folder for one map and ends with it, so that each map begins with the code and the
files that lie there now; a Dask worker lives for weeks and would keep what it once imported and opened.
"""

import os
import queue
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler

from ser_ops.errors import UserError
from ser_ops.progress.spreading import one_thread


def main() -> None:
    """Answer each (function, item) with (True, result) or (False, exception), until the worker hangs up."""
    one_thread()
    wire = Connection(int(sys.argv[1]))
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(wire, asked), daemon=True).start()
    while True:
        wire.send_bytes(_answer(asked.get()))


def _listen(wire: Connection, asked: queue.SimpleQueue[bytes]) -> None:
    """Pass on what comes; a worker that is gone, however it went, leaves no orphan at work."""
    try:
        while True:
            asked.put(wire.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _answer(request: bytes) -> bytes:
    try:
        function, item = ForkingPickler.loads(request)
        return bytes(ForkingPickler.dumps((True, function(item))))
    except UserError as error:
        return bytes(ForkingPickler.dumps((False, error)))
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            return bytes(ForkingPickler.dumps((False, error)))
        except Exception:
            return bytes(ForkingPickler.dumps((False, RuntimeError(traceback.format_exc()))))


if __name__ == "__main__":
    main()

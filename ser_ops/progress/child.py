"""`python -m ser_ops.progress.child FD`: the process in which a thread of a Dask worker does its items.

It is started in the workspace's folder for a single map and ends with it, so that each map begins with the code and
files of that moment; a Dask worker lives for weeks and would keep what it once imported and opened.
"""

import os
import queue
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler

from ser_ops.errors import UserError
from ser_ops.progress.spreading import use_one_thread


def main() -> None:
    """Answer each (function, item) with (True, result) or (False, exception), until the worker hangs up."""
    use_one_thread()
    pipe = Connection(int(sys.argv[1]))
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), daemon=True).start()
    while True:
        pipe.send_bytes(_answer(requests.get()))


def _listen(pipe: Connection, requests: queue.SimpleQueue[bytes]) -> None:
    """Queue the requests; end this process when the worker is gone, however it went."""
    try:
        while True:
            requests.put(pipe.recv_bytes())
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

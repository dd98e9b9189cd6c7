"""The wire between a client and a real server: it can be cut, mended, and made to swallow what is sent."""

import socket
import threading
from contextlib import suppress


class Wire:
    """Forward connections from a free port of loopback to the port of a server."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: list[socket.socket] = []
        self._forwards = True
        self._listening = self._listen(0)
        self.port = int(self._listening.getsockname()[1])

    def _listen(self, port: int) -> socket.socket:
        listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        return listening

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            self._open.append(near)
            if not self._forwards:
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            self._open.append(far)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Nobody listens any more, and connections end."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def mend(self) -> None:
        """As before."""
        self._forwards = True
        self._listening = self._listen(self.port)

    def swallow(self) -> None:
        """Connections are taken and never answered."""
        self.cut()
        self._forwards = False
        self._listening = self._listen(self.port)

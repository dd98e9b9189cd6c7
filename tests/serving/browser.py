"""Headless Chromium, spoken to by its DevTools protocol."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

ELSEWHERE = "elsewhere.test"     # a name of this machine that a browser trusts no more than another machine's
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page:
    """One page; what it complained of is kept."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number, self._session = socket, 0, ""
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for room in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{room}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._socket.recv(60))
            entry = answer.get("params", {}).get("entry", {})      # a status of 422 is an entry of source network
            if answer.get("method") == "Runtime.exceptionThrown" or (
                    entry.get("level") == "error" and entry["source"] != "network"):
                self.complaints.append(json.dumps(answer["params"]))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address: str, dark: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """What a script gives, when its promise is kept."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True,
                           userGesture=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def choose(self, selector: str, file: Path) -> None:
        """Give a file to an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def picture(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(folder: Path, microphone: Path) -> Iterator[Page]:
    """A page of a browser whose microphone hears a file, again and again."""
    assert CHROMIUM
    process = subprocess.Popen(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={folder}", "--remote-debugging-port=0", "--window-size=1000,1300",
         "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--no-first-run",
         "--disable-background-networking", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
         f"--use-file-for-fake-audio-capture={microphone}"],
        stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        address = next(line.split()[-1] for line in process.stderr if line.startswith("DevTools listening on"))
        with connect(address, max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(30)

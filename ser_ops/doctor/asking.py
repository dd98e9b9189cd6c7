"""One question to a server's HTTP interface, answered or refused within a limit."""

import json
import urllib.error
import urllib.request
from typing import Any


class Refused(Exception):
    """Why there is no answer, in a few words; `code` is HTTP's, None when nothing answered at all."""

    def __init__(self, words: str, code: int | None = None) -> None:
        super().__init__(words)
        self.code = code


def ask(url: str, limit: float, headers: dict[str, str], body: dict[str, Any] | None = None) -> Any:
    """GET `url`, or POST `body` as JSON to it; the answer, parsed where it is JSON. `limit`: seconds.

    Raises Refused.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers | ({"Content-Type": "application/json"} if data else {}))
    try:
        with urllib.request.urlopen(request, timeout=limit) as answer:
            text = answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        words = {401: "refuses: no login, or a wrong one", 403: "refuses: this login may not"}
        raise Refused(words.get(error.code, f"answers HTTP {error.code}"), error.code) from error
    except (OSError, ValueError) as error:
        raise Refused(f"does not answer ({getattr(error, 'reason', error)})") from error
    try:
        return json.loads(text)
    except ValueError:
        return text

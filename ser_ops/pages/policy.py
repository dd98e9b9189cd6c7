"""What a page may do: show what it holds, run its own script, and ask the network for nothing."""

import base64
import hashlib


def policy(script: str = "", style: str = "") -> str:
    """The content security policy of a page that holds all it shows.

    Args:
        script: the text of the page's only script element; '' for a page that has none, where no script ever runs.
        style: the text of its only style element; '' admits any style inside the page, as SVG's own attributes need.

    Returns:
        What stands in the `content` of `<meta http-equiv="Content-Security-Policy">`, the first thing in the head.

    >>> policy()
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    """
    scripts = f"script-src {_named(script)}; " if script else ""
    styles = _named(style) if style else "'unsafe-inline'"
    return (f"default-src 'none'; {scripts}style-src {styles}; img-src data:; media-src data:; base-uri 'none'; "
            "form-action 'none'")


def _named(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""What every command prints: words for people, or one JSON object a line for programs."""

import json
from typing import Annotated, Any

import typer

from ser_ops.terminal import tell

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, nothing else there.")]


def say(value: dict[str, Any], as_json: bool, *lines: str) -> None:
    """Print `lines`, or `value` as one line of JSON.

    The JSON is ASCII: a program gets every name back to the last byte, and no terminal obeys what stands in one.
    """
    for line in [json.dumps(value).replace("\x7f", "\\u007f")] if as_json else lines:
        tell(line)

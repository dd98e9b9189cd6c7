"""What every command prints: words for people, or one JSON object a line for programs."""

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, nothing else there.")]


def say(value: dict[str, Any], as_json: bool, words: str) -> None:
    """Print `words`, or `value` as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False) if as_json else words, flush=True)

"""What commands share: a path or an address that is given, and what they print: words, or JSON lines for programs."""

import ipaddress
import json
import socket
from typing import Annotated, Any

import typer

from ser_ops.errors import UserError
from ser_ops.files import named_path
from ser_ops.terminal import excerpt, print_line

path_argument = named_path      # the parser of each argument that is a file or folder
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, nothing else there.")]


def print_answer(value: dict[str, Any], as_json: bool, *lines: str) -> None:
    """Print `lines`, or `value` as one line of JSON.

    The JSON is ASCII: a program gets every name back to the last byte, and no terminal obeys what stands in one.
    """
    for line in [json.dumps(value).replace("\x7f", "\\u007f")] if as_json else lines:
        print_line(line)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`. Raises UserError for a name that is none here."""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host: {excerpt(repr(host), 80)} is no host ({reason}): give an address of this machine, "
                        "such as 127.0.0.1") from error
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)

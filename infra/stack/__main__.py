"""`python -m infra.stack up|down|status|env|passwords`: the shared servers on this machine, for a developer.

What belongs to it lies in infra/.stack, passwords and ports in infra/.env (which `docker compose` reads too).
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.stack import compose, settings
from infra.stack.stack import COMPOSE, Stack
from ser_ops.errors import UserError

Folder = Annotated[Path, typer.Option(help="Where data, logs and process ids lie.")]
app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
FOLDER = COMPOSE.parent / ".stack"


def _stack(folder: Path, services: list[str] | None = None) -> Stack:
    plain = Stack(folder, (), env_file=COMPOSE.parent / ".env" if folder == FOLDER else None)
    named = services or [name for name, service in plain.services.items() if not service.profiles]
    return Stack(folder, named, env_file=plain.env_file)


@app.command()
def up(services: Annotated[list[str] | None, typer.Argument(help="With what they wait for; default: all.")] = None,
       folder: Folder = FOLDER) -> None:
    """Start services and wait until they answer."""
    stack = _stack(folder, services)
    new = stack.start(say=lambda line: print(line, file=sys.stderr) if sys.stderr.isatty() else None)
    print(f"up: {', '.join(new)}" if new else f"up already: {', '.join(stack.running())}")
    print(f"to use it: set -a; eval \"$({sys.executable} -m infra.stack env{_option(folder)})\"; set +a")


@app.command()
def down(folder: Folder = FOLDER) -> None:
    """End all services; their data stays."""
    stack = _stack(folder)
    running = stack.running()
    stack.stop()
    print(f"down: {', '.join(running)}" if running else "nothing was up")


@app.command()
def status(folder: Folder = FOLDER) -> None:
    """Who runs, with which process id and on which ports. Exit code 1 when not all of it runs."""
    stack = _stack(folder)
    for name in stack.wanted:
        if not stack.is_one_shot(name):
            ports = " ".join(f"{port}={number}" for port, number in stack.services[name].ports.items())
            print(f"{name:<12} {stack.pid(name) or 'down':<8} {ports}")
    sys.exit(any(not stack.pid(name) for name in stack.wanted if not stack.is_one_shot(name)))


@app.command()
def env(folder: Folder = FOLDER) -> None:
    """NAME=value lines for a shell: what a client of these servers needs. They hold passwords."""
    for name, value in _stack(folder).environment.items():
        print(f"{name}={shlex.quote(value)}")


@app.command()
def passwords(file: Annotated[Path, typer.Option(help="The .env file to write.")] = COMPOSE.parent / ".env") -> None:
    """Write the .env file that `docker compose` reads: random passwords, where it lacks any."""
    settings.complete(file, compose.required(COMPOSE))
    print(f"{file}: readable by its owner alone; git ignores infra/.env")


def _option(folder: Path) -> str:
    return "" if folder == FOLDER else f" --folder {shlex.quote(str(folder))}"


def main() -> None:
    try:
        app()
    except UserError as error:
        sys.exit(f"infra.stack: {error}")


if __name__ == "__main__":
    main()

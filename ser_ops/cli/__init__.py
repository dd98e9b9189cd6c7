"""The command line: arguments in, one call, a clear answer out."""

import os
import signal
import sys

import typer
from typer.exceptions import TyperException

from ser_ops.cli import (
    corpora,
    doctor,
    export,
    model,
    noise,
    params,
    predict,
    registry,
    reproduce,
    score,
    serve,
    voices,
    watch,
)
from ser_ops.errors import UserError
from ser_ops.extras import naming_extras
from ser_ops.terminal import escape_unencodable, print_error, print_line

app = typer.Typer(name="ser-ops", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Noise-robust, explainable speech emotion recognition: corpora, models, gate and registry.")
app.add_typer(corpora.app, name="corpora")
app.add_typer(noise.app, name="noise")
app.add_typer(model.app, name="models")
app.add_typer(voices.app, name="voices")
app.add_typer(export.app, name="export")
app.command("predict")(predict.predict)
app.command("score")(score.score)
app.command("evaluate")(model.evaluate)
app.command("explain")(model.explain)
app.command("serve")(serve.serve)
app.command("watch")(watch.watch)
app.command("reproduce")(reproduce.reproduce)
app.command("join-tuning")(registry.join_tuning)
app.command("register")(registry.register)
app.command("promote")(registry.promote)
app.command("demote")(registry.demote)
app.command("compare")(registry.compare)
app.command("ui")(registry.ui)
app.command("params")(params.params)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run a command. A user's fault is one line on standard error and exit code 1, or 2 for one in the arguments."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the detector of speech multiplies what threads would wait for
    escape_unencodable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # as Ctrl-C does, it removes what is half written
    try:
        with naming_extras("".join(sys.argv[1:2])):
            code = app(standalone_mode=False)
        sys.exit(code)
    except UserError as error:
        print_error(error)
        sys.exit(1)
    except TyperException as error:
        _tell_arguments(error)
        sys.exit(error.exit_code)


def _tell_arguments(error: TyperException) -> None:
    """What is wrong with the arguments, or the help of a command that got none."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message == context.get_help():
        print(message, file=sys.stderr)
        return
    file = "write ./NAME for a file whose name begins with -, or " if hasattr(error, "option_name") else ""
    command = "ser-ops" if context is None else context.command_path
    print_line(f"error: {message.rstrip('.')}: {file}see {command} --help", aside=True)

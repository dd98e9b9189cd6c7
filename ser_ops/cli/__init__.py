"""The command line: arguments in, one call, a clear answer out."""

import sys

import typer

from ser_ops.cli import corpora, doctor, evaluate, explain, noise, predict, registry, reproduce, tune
from ser_ops.errors import UserError

app = typer.Typer(name="ser-ops", no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Noise-robust, explainable speech emotion recognition: corpora, models, gate and registry.")
app.add_typer(corpora.app, name="corpora")
app.add_typer(noise.app, name="noise")
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.command("reproduce")(reproduce.reproduce)
app.command("join-tuning")(tune.join)
app.command("register")(registry.register)
app.command("promote")(registry.promote)
app.command("demote")(registry.demote)
app.command("compare")(registry.compare)
app.command("ui")(registry.ui)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run a command. A user's fault is one line on standard error and exit code 1."""
    try:
        app()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)

"""ser-ops predict: recordings, however many, to their emotions."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser_ops.caveats import marks
from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.cli.model import Channel, Coverage, Model, fetch_model, recogniser_of
from ser_ops.config.params import Params, load_params_anywhere
from ser_ops.errors import UserError
from ser_ops.terminal import print_line

if TYPE_CHECKING:
    from ser_ops.inference.answer_tables import Writer
    from ser_ops.inference.recogniser import Answer, Recogniser
    from ser_ops.inference.voices import KnownSpeaker

_FEW = 10       # recordings that need no bar


def predict(files: Annotated[list[str], typer.Argument(
                help="Recordings of any length (wav, flac, ogg, opus, mp3, m4a, mp4, aac, webm, amr or 3gp), folders "
                     "of them, patterns in quotes, or - for standard input.")],
            model: Model = None, channel: Channel = None, json: Json = False, coverage: Coverage = None,
            timeline: Annotated[bool, typer.Option("--timeline", help="Also each window and each stretch of speech; in "
                                                   "a table, the seconds of speech in each window.")] = False,
            csv: Annotated[Path | None, typer.Option(help="Write a table of all answers, with --timeline of all "
                                                     "windows; - for standard output.", parser=path_argument,
                                                     metavar="FILE")] = None,
            speaker: Annotated[str | None, typer.Option(help="Whose voice they are: answered by what is known of it, "
                                                        "which these recordings are then added to.")] = None,
            parquet: Annotated[Path | None, typer.Option(help="The same as Parquet.", parser=path_argument,
                                                         metavar="FILE")] = None) -> None:
    """Say the emotion of recordings, with the probabilities of all seven; or 'no speech', or 'not sure'.

    A bad recording is one line on standard error; the others are answered all the same, and the exit code is 1.
    """
    params = load_params_anywhere()
    recogniser = recogniser_of(params, fetch_model(params, model), coverage)
    from ser_ops.inference.answer_tables import row_of, window_rows
    from ser_ops.inference.sources import recordings_named

    known = None if speaker is None else _known(recogniser, params, speaker)
    failed, aside = 0, csv is not None or parquet is not None
    with ExitStack() as opened:
        tables = _tables(opened, csv, parquet, timeline, json)
        names = list(recordings_named(files))
        for name in opened.enter_context(_bar(names)):
            answer = name if isinstance(name, UserError) else _answered(known or recogniser, name, channel)
            if isinstance(answer, UserError):
                failed += 1
                print_line(f"error: {answer}", aside=True)
                rows = [{"path": "" if isinstance(name, UserError) else name, "error": str(answer)}]
            else:
                _print(str(name), answer, json, timeline, quiet=aside and not json)
                rows = window_rows(str(name), answer) if timeline else [row_of(str(name), answer)]
            for table in tables:
                table.add(rows)
    if known:
        before, after = known.clips, known.learn()
        print_line(f"{speaker}: answered as a voice known by {before} recordings; from now on by {after}", aside=True)
    if aside:
        print_line(f"{len(names) - failed} of {len(names)} recordings answered: "
                   f"{', '.join(str(file) for file in (csv, parquet) if file)}", aside=True)
    if failed:
        sys.exit(1)


def _known(recogniser: "Recogniser", params: Params, speaker: str) -> "KnownSpeaker":
    from ser_ops.inference.voices import KnownSpeaker  # which needs torch

    return KnownSpeaker(recogniser, params.paths.voices, speaker)


def _tables(opened: ExitStack, csv: Path | None, parquet: Path | None, timeline: bool, json: bool) -> list["Writer"]:
    """The tables that were asked for; they are in place when `opened` ends.

    Raises UserError where one cannot be written, or would take the place of the other or of what else is printed.
    """
    from ser_ops.inference import answer_tables

    if csv and parquet and os.path.realpath(csv) == os.path.realpath(parquet):
        raise UserError(f"{csv}: --csv and --parquet name the same file: give each a name of its own")
    if csv and json and answer_tables.is_standard_output(csv):
        raise UserError(f"{csv}: --csv and --json both write to standard output: leave one of them out, or give --csv "
                        "the name of a file")
    columns = answer_tables.WINDOW_COLUMNS if timeline else answer_tables.COLUMNS
    asked = ((csv, answer_tables.csv_table), (parquet, answer_tables.parquet_table))
    return [opened.enter_context(table(path, columns)) for path, table in asked if path is not None]


def _answered(recogniser: "Recogniser | KnownSpeaker", name: str, channel: int | None) -> "Answer | UserError":
    from ser_ops.inference.sources import STANDARD_INPUT, on_disk

    try:
        with on_disk(name) as file:
            try:
                return recogniser.answer_file(file, channel)
            except UserError as error:
                return UserError(str(error).replace(str(file), name)) if name == STANDARD_INPUT else error
    except UserError as error:
        return error


def _print(name: str, answer: "Answer", json: bool, timeline: bool, quiet: bool) -> None:
    """Warnings, and the answer unless a table has it."""
    for warning in answer.warnings:
        print_line(f"warning: {name}: {warning}", aside=True)
    if quiet:
        return
    record = {"path": name, **answer.record()}
    likely = sorted(record["probabilities"].items(), key=lambda item: -item[1])[:3]
    among = f"; one of {', '.join(answer.emotions)}" if answer.emotions and len(answer.emotions) > 1 else ""
    lines = [f"  {window.start:.2f} to {window.end:.2f} s: {window.emotion} {window.probabilities.max():.2f}"
             for window in answer.windows] + [f"  {segment.start:.2f} to {segment.end:.2f} s: speech"
                                              for segment in answer.speech or ()]
    print_answer(record, json, f"{name}: {answer.emotion} "
                 f"({', '.join(f'{emotion} {value:.2f}' for emotion, value in likely)}; {answer.seconds:.1f} s{among})"
                 f"{marks(answer.caveats)}", *(lines if timeline else []))


@contextmanager
def _bar(names: Sequence[str | UserError]) -> Iterator[Iterator[str | UserError]]:
    """The names, and on a terminal, where they are many, how many a second are answered and the time that is left."""
    if len(names) < _FEW or not sys.stderr.isatty():
        yield iter(names)
        return
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            return Text("" if task.speed is None else f"{task.finished_speed or task.speed:.1f} a second")

    columns = (progress.BarColumn(), progress.MofNCompleteColumn(), Rate(), progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=Console(stderr=True), transient=True,
                           redirect_stdout=sys.stdout.isatty()) as bar:
        yield iter(bar.track(names, description="predict"))

"""A part of a run: its recordings answered by one process, in batches that several of them share, into two tables."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from ser_ops.config.services import Predict, Storage
from ser_ops.errors import UserError
from ser_ops.inference.answer_tables import REFUSED_COLUMNS, SCORED_COLUMNS, parquet_table, row_of
from ser_ops.inference.recogniser import Answer, Answering, Recogniser, Window, WindowAnswer
from ser_ops.scoring.plan import part_file, part_name, read_part
from ser_ops.scoring.recordings import Recording, Refused, on_disk
from ser_ops.watch.records import record_of, write_records

ANSWERS, REFUSED = "answers", "refused"
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What each process of a run must know: folders, what to call the model, what records call it, settings.

    records: folder for a record of each answer, None to keep none.
    """

    out: Path
    records: Path | None
    model_folder: Path
    model: str
    recorded_as: str
    predict: Predict
    device: str
    storage: Storage
    megabytes: int


def answer_part(job: Job, number: int) -> tuple[int, int]:
    """Answer the recordings of a part, in the plan's order, and write both tables; how many are answered and refused.

    Records come first, the table of answers last: a part is done when it stands. Raises UserError for a full disk and
    for a store that fails; a bad recording is a row of the other table.
    """
    recogniser = recogniser_of(job.model_folder, job.device, job.predict, bool(job.records))
    rows, records = {ANSWERS: dict[int, Row](), REFUSED: dict[int, Row]()}, dict[int, Row]()
    recordings = read_part(job.out, number)
    for index, outcome in answers_of(recogniser, recordings, job.storage, job.megabytes):
        path, start, end, channel = recordings[index][:4]
        which = {"path": path, "start": start, "end": end, "channel": channel}
        if isinstance(outcome, Refused):
            rows[REFUSED][index] = {**which, "error": str(outcome)}
        else:       # only its row is kept: a long recording has thousands of windows
            rows[ANSWERS][index] = {**row_of(path, outcome), **which, "model": job.model}
            if job.records:
                records[index] = record_of(outcome, job.recorded_as)
                rows[ANSWERS][index]["record"] = records[index]["id"]
    if job.records:
        write_records(job.records / f"{part_name(number)}.parquet", [record for _, record in sorted(records.items())])
    for table, columns in ((REFUSED, REFUSED_COLUMNS), (ANSWERS, SCORED_COLUMNS)):
        with parquet_table(part_file(job.out, table, number), columns) as writer:
            writer.add([row for _, row in sorted(rows[table].items())])
    return len(rows[ANSWERS]), len(rows[REFUSED])


def rows_written(out: Path, number: int) -> tuple[int, int]:
    """Rows of a part in both tables, answered and refused; (0, 0) where one is missing or damaged."""
    from pyarrow.lib import ArrowException
    from pyarrow.parquet import read_metadata
    try:
        answered, refused = (read_metadata(part_file(out, table, number)).num_rows for table in (ANSWERS, REFUSED))
    except (OSError, ArrowException):
        return 0, 0
    return answered, refused


def answers_of(recogniser: Recogniser, recordings: Iterable[Recording], limits: Storage,
               megabytes: int) -> Iterator[tuple[int, Answer | Refused]]:
    """The answer to each recording, or why there is none, with its index among them, in the order in which they end.

    Windows of several recordings share the batches of the model, so that short ones fill them too.
    """
    coming = enumerate(recordings)
    moving: deque[tuple[int, Answering, list[WindowAnswer] | None]] = deque()       # that can take their next step
    asking: list[tuple[int, Answering, list[Window]]] = []
    while True:
        full = sum(len(windows) for *_, windows in asking) >= recogniser.batch_size
        if not moving and not full:
            moving.extend((index, _steps(recogniser, recording, limits, megabytes), None)
                          for index, recording in islice(coming, 1))
        if moving and not full:
            index, steps, answers = moving.popleft()
            try:
                asking.append((index, steps, steps.send(answers)))  # type: ignore[arg-type]    # None: it begins
            except StopIteration as ended:
                yield index, ended.value
            except Refused as refusal:
                yield index, refusal
        elif asking:
            moving.extend(_answered(recogniser, asking))
            asking = []
        else:
            return


def _steps(recogniser: Recogniser, recording: Recording, limits: Storage, megabytes: int) -> Answering:
    """The answer to a recording, step by step. Raises Refused for a bad one."""
    with on_disk(recording, limits, megabytes) as file:
        try:
            answer = yield from recogniser.answering_file(file, recording.channel, start=recording.start or 0.0,
                                                          end=recording.end)
        except UserError as error:
            raise Refused(str(error).removeprefix(f"{file}: ").replace(str(file), recording.path)) from error
    return answer


def _answered(recogniser: Recogniser, asking: Sequence[tuple[int, Answering, list[Window]]],
              ) -> Iterator[tuple[int, Answering, list[WindowAnswer]]]:
    """The answers to the windows of several recordings, a batch at a time."""
    windows = [window for *_, asked in asking for window in asked]
    answers = iter([answer for first in range(0, len(windows), recogniser.batch_size)
                    for answer in recogniser.answer_windows(windows[first:first + recogniser.batch_size])])
    for index, steps, asked in asking:
        yield index, steps, list(islice(answers, len(asked)))


@lru_cache(1)
def recogniser_of(folder: Path, device: str, predict: Predict, records: bool) -> Recogniser:
    """The model, loaded once in a process; records: whether its answers hold what records keep."""
    # By torch wherever it runs, which in batches is faster, and no worker's answers hang on what is installed there.
    return Recogniser(folder, device, predict=predict, onnx=False, embeddings=records, sound=records)

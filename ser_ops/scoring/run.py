"""A run: the plan of a source, its parts over this machine's cores or the Dask cluster, and what came of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ser_ops.caveats import Caveat, caveats, marks
from ser_ops.config.model_json import SCHEMES, fingerprint, predict_of, read_model_json, recorded_as
from ser_ops.config.params import Params, predict_of_project
from ser_ops.errors import UserError
from ser_ops.files import make_folder, naming_write_errors, remove_leftovers
from ser_ops.progress.spreading import parallel_map
from ser_ops.scoring.parts import REFUSED, Job, answer_part, recogniser_of, rows_written
from ser_ops.scoring.plan import Asked, planned
from ser_ops.tracking.models import fetch_version
from ser_ops.tracking.server import redacted
from ser_ops.watch.records import lock_folder


@dataclass(frozen=True)
class Scored:
    """What came of a run: recordings answered and refused; those of them that an earlier command had done; lines of the
    source that name a recording listed already; files that are no recordings by their suffix, or hidden; what the
    model's card says of every answer."""

    out: str
    model: str
    recordings: int
    answered: int
    refused: int
    done_before: int
    repeated: int
    others: int
    caveats: tuple[Caveat, ...]

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"caveats": [caveat.sentence for caveat in self.caveats]}

    def words(self) -> str:
        """For people."""
        done = f" ({self.done_before} of them before)" if self.done_before else ""
        why = f"; {self.out}/{REFUSED} says why" if self.refused else ""
        left_out = [f"{number} {what}" for number, what in (
            (self.repeated, "listed more than once"), (self.others, "other files")) if number]
        return (f"{self.out}: {self.recordings} recordings{done}: {self.answered} answered by {self.model}, "
                f"{self.refused} refused{why}" + (f"; left out: {', '.join(left_out)}" if left_out else "")
                + marks(self.caveats))


def score(params: Params, source: str, out: Path, uri: str | None = None, coverage: float | None = None,
          records: Path | None = None) -> Scored:
    """Answer every recording of a source once, into tables below `out`; what an earlier command did stays.

    Args:
        params: Settings; of those that the model carries too, the project's, or where there is none, the model's.
        source: As `ser_ops.scoring.recordings` says.
        out: Folder of the plan and the tables.
        uri: Of the model, as `ser_ops.tracking.models.fetch_model` takes it; by default the registered model's staging.
        coverage: Share of cases in which the set of emotions shall hold the truth; by default as the settings say.
        records: Folder for a record of each answer (`ser_ops.watch.records`), None to keep none.

    Raises:
        UserError: The model does not load, the source cannot be listed or holds nothing, `out` was begun for something
            else or is being written by another command, `records` lies in it or holds others, a disk is full, a store
            or a cluster has gone, a worker was killed. What is done stays done.
    """
    if records and out.resolve() in (records.resolve(), *records.resolve().parents):
        raise UserError(f"{records}: lies in {out}, among the tables: give a folder beside it with --records")
    uri = f"models:/{params.tracking.registered_model}@staging" if uri is None else uri
    folder, version, pinned = fetch_version(params, uri)
    card, digest = read_model_json(folder), fingerprint(folder)
    model = pinned if version else f"{redacted(pinned) if uri.startswith(SCHEMES) else Path(uri).name} {digest[:12]}"
    predict = predict_of_project(params) or predict_of(card)
    if coverage is not None:
        predict = predict.model_copy(update={"coverage": coverage})
    job = Job(out, records, folder, model, recorded_as(card, digest), predict, params.compute.device, params.storage,
              params.score.megabytes)
    recogniser_of(folder, job.device, predict, bool(records))      # what does not load begins nothing
    asked = Asked(source=source, model=model, fingerprint=digest, predict=predict,
                  records=None if records is None else str(records))
    with _alone(out, records):
        plan = planned(out, asked, params.score, params.storage)
        written = {number: rows_written(out, number) for number in plan.parts}
        done = {number: rows for number, rows in written.items() if sum(rows) == plan.size(number)}
        left = [number for number in plan.parts if number not in done]
        rows = [*done.values()]
        if left:
            rows += parallel_map(partial(answer_part, job), left, "scoring", params.compute.workers, "part")
    return Scored(str(out), model, plan.recordings, sum(answered for answered, _ in rows),
                  sum(refused for _, refused in rows), sum(map(sum, done.values())), plan.repeated, plan.others,
                  caveats(read_model_json(folder)))


@contextmanager
def _alone(out: Path, records: Path | None) -> Iterator[None]:
    """Let no other command write into `out` and `records`, and clear away what a killed one left half written."""
    from filelock import FileLock, Timeout

    with naming_write_errors(out):
        make_folder(out)
        lock = FileLock(out / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"{out}: another command is writing there: wait for it, or give another folder with "
                            "--out") from error
    with ExitStack() as locked:
        locked.callback(lock.release)
        if records:
            make_folder(records)
            locked.callback(lock_folder(records).release)
        remove_leftovers(out)
        yield
        for folder in filter(None, (out, records)):     # of a worker of the cluster that was killed meanwhile
            remove_leftovers(folder)

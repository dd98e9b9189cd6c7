"""A run: the plan of a source, its parts over this machine's cores or the Dask cluster, and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ser_ops.config.model_json import predict_of, read_model_json
from ser_ops.config.params import PARAMS, Params
from ser_ops.errors import UserError
from ser_ops.files import naming_write_errors, remove_leftovers
from ser_ops.progress.spreading import parallel_map
from ser_ops.scoring.parts import REFUSED, Job, answer_part, recogniser_of, rows_written
from ser_ops.scoring.plan import Asked, planned
from ser_ops.tracking.models import SCHEMES, fetch_version
from ser_ops.tracking.package import fingerprint
from ser_ops.tracking.server import redacted


@dataclass(frozen=True)
class Scored:
    """What came of a run: recordings answered and refused; those of them that an earlier command had done; lines of the
    source that name a recording listed already; files that are no recordings by their suffix, or hidden."""

    out: str
    model: str
    recordings: int
    answered: int
    refused: int
    done_before: int
    repeated: int
    others: int

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def words(self) -> str:
        """For people."""
        done = f" ({self.done_before} of them before)" if self.done_before else ""
        why = f"; {self.out}/{REFUSED} says why" if self.refused else ""
        left_out = [f"{number} {what}" for number, what in (
            (self.repeated, "listed more than once"), (self.others, "other files")) if number]
        return (f"{self.out}: {self.recordings} recordings{done}: {self.answered} answered by {self.model}, "
                f"{self.refused} refused{why}" + (f"; left out: {', '.join(left_out)}" if left_out else ""))


def score(params: Params, source: str, out: Path, uri: str | None = None, coverage: float | None = None) -> Scored:
    """Answer every recording of a source once, into tables below `out`; what an earlier command did stays.

    Args:
        params: Settings; of those that the model carries too, the project's, or where there is none, the model's.
        source: As `ser_ops.scoring.recordings` says.
        out: Folder of the plan and the tables.
        uri: Of the model, as `ser_ops.tracking.models.fetch_model` takes it; by default the registered model's staging.
        coverage: Share of cases in which the set of emotions shall hold the truth; by default as the settings say.

    Raises:
        UserError: The model does not load, the source cannot be listed or holds nothing, `out` was begun for something
            else or is being written by another command, a disk is full, a store or a cluster has gone, a worker was
            killed. What is done stays done.
    """
    uri = uri or f"models:/{params.tracking.registered_model}@staging"
    folder, version, pinned = fetch_version(params, uri)
    digest = fingerprint(folder)
    model = pinned if version else f"{redacted(pinned) if uri.startswith(SCHEMES) else Path(uri).name} {digest[:12]}"
    predict = params.predict if PARAMS.exists() else predict_of(read_model_json(folder))
    if coverage is not None:
        predict = predict.model_copy(update={"coverage": coverage})
    job = Job(out, folder, model, predict, params.compute.device, params.storage, params.score.megabytes)
    recogniser_of(folder, job.device, predict)      # what does not load begins nothing
    with _alone(out):
        plan = planned(out, Asked(source=source, model=model, fingerprint=digest, predict=predict), params.score,
                       params.storage)
        written = {number: rows_written(out, number) for number in plan.parts}
        done = {number: rows for number, rows in written.items() if sum(rows) == plan.size(number)}
        left = [number for number in plan.parts if number not in done]
        rows = [*done.values()]
        if left:
            rows += parallel_map(partial(answer_part, job), left, "scoring", params.compute.workers, "part")
    return Scored(str(out), model, plan.recordings, sum(answered for answered, _ in rows),
                  sum(refused for _, refused in rows), sum(map(sum, done.values())), plan.repeated, plan.others)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let no other command write into `out`, and clear away what a killed one left half written."""
    from filelock import FileLock, Timeout

    with naming_write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"{out}: another command is writing there: wait for it, or give another folder with "
                            "--out") from error
    try:
        remove_leftovers(out)
        yield
        remove_leftovers(out)       # of a worker of the cluster that was killed meanwhile
    finally:
        lock.release()

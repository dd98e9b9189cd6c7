"""ser-ops score: recordings by the million into Parquet."""

from pathlib import Path
from typing import Annotated

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.cli.model import Coverage, Model
from ser_ops.config.params import load_params_anywhere
from ser_ops.errors import UserError


def score(source: Annotated[str, typer.Argument(
              help="A folder, an s3:// prefix, a table (.csv) with a column path, or a list with a path or an s3:// "
                   "address on each line.")],
          out: Annotated[Path, typer.Option(help="Folder for the plan, the answers and the refused recordings.",
                                            parser=path_argument, metavar="FOLDER")],
          model: Model = None, coverage: Coverage = None,
          records: Annotated[Path | None, typer.Option(help="Folder of its own for a record of each answer, without "
                                                       "sound or name, for ser-ops watch. Default: none is kept.",
                                                       parser=path_argument, metavar="FOLDER")] = None,
          json: Json = False) -> None:
    """Answer recordings by the million into Parquet, on all cores or the Dask cluster of DASK_SCHEDULER_ADDRESS.

    A killed command goes on when it is given again; each recording is answered once. A bad recording is a row of the
    table of refused ones, with the reason.
    """
    if not source:
        raise UserError("'': the name of the source is empty: give a folder, an s3:// prefix, a table or a list")
    params = load_params_anywhere()
    from ser_ops.tracking.models import model_uri

    uri = model_uri(params, model)
    import pyarrow  # noqa: F401    # before tqdm: where both are missing, it names the small extra

    from ser_ops.scoring.run import score as score_source

    scored = score_source(params, source, out, uri, coverage, records)
    print_answer(scored.record(), json, scored.words())

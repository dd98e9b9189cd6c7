"""What every run is tagged with: the code, the data and the choices that made it."""

import json
import subprocess
from pathlib import Path

from ser_ops.config import Params
from ser_ops.documents import read_yaml
from ser_ops.errors import UserError

UNKNOWN = "unknown"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def git_commit() -> str:
    """The commit that is checked out, as 40 hexadecimal digits, or 'unknown' outside a git repository."""
    return _git("rev-parse", "HEAD") or UNKNOWN


def git_dirty() -> str:
    """'true' when the tree differs from its commit, 'false' when not, 'unknown' outside a git repository.

    dvc.lock and papers/dvc.lock do not count: `dvc repro` itself rewrites them while its stages run.
    """
    changes = _git("status", "--porcelain", "--", ".", ":(exclude,top)dvc.lock", ":(exclude,top)papers/dvc.lock")
    return UNKNOWN if changes is None else str(bool(changes)).lower()


def data_md5(pointer: Path = Path("data.dvc")) -> str:
    """DVC's hash of data/, from data.dvc; 'untracked' when there is none."""
    try:
        return str(read_yaml(pointer, "dvc add data")["outs"][0]["md5"])
    except (UserError, LookupError, TypeError):
        return "untracked"


def synthetic_corpora(params: Params) -> list[str]:
    """Those corpora in use whose card says that their speech is synthetic."""
    found = []
    for name in params.data.corpora:
        try:
            card = read_yaml(params.paths.data / "corpora" / name / "corpus.yaml", "ser-ops corpora add")
        except UserError:
            continue
        if isinstance(card, dict) and card.get("synthetic"):
            found.append(name)
    return found


def standard_tags(params: Params) -> dict[str, str]:
    """The tags of every run: the same on every machine for the same code, data and params.yaml."""
    corpora = params.data.names
    synthetic = synthetic_corpora(params)
    return {
        "mlflow.source.git.commit": git_commit(),  # MLflow shows this one in its own column
        "git_commit": git_commit(), "git_dirty": git_dirty(), "data_md5": data_md5(), "preset": params.preset,
        "partition": params.partitions.protocol, "corpora": json.dumps(corpora),
        "synthetic": "true" if synthetic else "false", "synthetic_corpora": json.dumps(synthetic),
    }

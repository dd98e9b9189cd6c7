"""Any model URI to a local folder with safetensors and JSON; nothing from it is ever executed or unpickled."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from ser_ops.config.model_json import GRAPH, MODEL_JSON, REFERENCE, SCHEMES, WEIGHTS, fingerprint, read_model_json
from ser_ops.config.params import PARAMS, Params, load_params_anywhere
from ser_ops.documents import read_yaml
from ser_ops.errors import UserError
from ser_ops.extras import naming_extras
from ser_ops.files import replacing
from ser_ops.tracking.aliases import Version
from ser_ops.tracking.outage import is_away
from ser_ops.tracking.package import MODEL_CARD, SPEECH
from ser_ops.tracking.registry import FINGERPRINT, resolve_version
from ser_ops.tracking.server import connect, mlflow_errors, redacted, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_INSIDE = "artifacts/model"  # where a packaged model keeps the model folder
_REGISTERED = "give a model that ser-ops registered"


def model_folder(address: str | None = None, params: Params | None = None) -> Path:
    """A local model folder, which `Recogniser` takes, by the address that `ser-ops predict --model` takes.

    Args:
        address: models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN/model, or a folder; by default the staging version
            of the registered model of the project in the current folder.
        params: Settings; by default those of that project or, where there is none, what fetching takes: the registry of
            MLFLOW_TRACKING_URI.

    Raises:
        UserError: As `model_uri` and `fetch_model`, and where the extra is missing that brings MLflow.
    """
    settings = params or load_params_anywhere()
    with naming_extras():
        return fetch_model(settings, model_uri(settings, address))


def model_uri(params: Params, address: str | None) -> str:
    """The address that somebody gave, or that of the registered model's staging.

    Raises UserError where no project is here that would say which model, or which registry, and nothing else does.
    """
    project = PARAMS.exists()
    if address is None and not project:
        raise UserError("no project is here (params.yaml), whose model would answer: name one with --model: a folder, "
                        "or an address as models:/ser-fusion@staging")
    if address and address.startswith(SCHEMES) and not (project or os.environ.get("MLFLOW_TRACKING_URI")):
        raise UserError(f"{address}: no project is here (params.yaml), whose registry would have it: set "
                        "MLFLOW_TRACKING_URI to the address of an MLflow server, or give a folder")
    return f"models:/{params.tracking.registered_model}@staging" if address is None else address


def fetch_model(params: Params, uri: str) -> Path:
    """A local model folder (weights.safetensors, model.json) for a URI as MLflow writes it, or for a local folder.

    models:/NAME@ALIAS, models:/NAME/VERSION, models:/MODEL-ID, runs:/RUN/model, or a folder: a model folder or a
    packaged model. What is fetched is kept under state/models by its fingerprint and not fetched twice.
    Raises UserError in one line: an empty address, nothing there, no such alias, a pickled or foreign model, weights
    that are not those that were registered.
    """
    if not uri:
        raise UserError("'': the address of the model is empty: give a folder, or an address as "
                        "models:/ser-fusion@staging")
    if not uri.startswith(SCHEMES):
        folder = Path(uri.removeprefix("file://"))
        if "://" in str(uri).removeprefix("file://") or not folder.is_dir():
            raise UserError(f"{redacted(uri)}: no such model folder: give one, or a URI as models:/ser-fusion@staging")
        return _model_folder(uri, folder)
    client = connect(params, make=False)
    with mlflow_errors(tracking_uri(params)):
        pinned, digest = _pinned_uri(client, uri)
        kept = params.paths.state / "models"
        if digest and (kept / digest).is_dir() and fingerprint(kept / digest) == digest:
            return kept / digest
        with TemporaryDirectory(prefix="ser-ops-model-") as holder:
            folder = _model_folder(uri, _download_model(client, pinned, Path(holder)))
            actual = fingerprint(folder)
            if digest and actual != digest:
                raise UserError(f"{redacted(uri)}: not the weights that were registered ({FINGERPRINT} differs): do "
                                "not use it, register the model again")
            with replacing(kept / actual) as temporary:
                shutil.copytree(folder, temporary)
            return kept / actual


class Fetched(NamedTuple):
    """A model folder, its version in the registry, and its URI; None, and the URI as given, for what is no version."""

    folder: Path
    version: Version | None
    uri: str


def fetch_version(params: Params, uri: str) -> Fetched:
    """The folder of `fetch_model`, and the version of `named_version` that it is; an alias is looked up once.

    Raises UserError as both.
    """
    version = named_version(params, uri)
    pinned = uri if version is None else f"models:/{_name_and_version(uri)[0]}/{version.number}"
    return Fetched(fetch_model(params, pinned), version, pinned)


def named_version(params: Params, uri: str) -> Version | None:
    """The version that models:/NAME@ALIAS or models:/NAME/VERSION stands for now; None for what names no version.

    Raises UserError in one line: no such alias or version, or the server does not answer.
    """
    name, which = _name_and_version(uri)
    if not which:
        return None
    client = connect(params, make=False)
    with mlflow_errors(tracking_uri(params)):
        version = resolve_version(client, name, which)
        return Version(str(version.version), str(version.run_id), version.tags)


def _name_and_version(uri: str) -> tuple[str, str]:
    """NAME, and ALIAS or VERSION, of a URI of the registry; ("", "") for another URI."""
    if not uri.startswith("models:/"):
        return "", ""
    name, _, which = uri.removeprefix("models:/").partition("@" if "@" in uri else "/")
    return name, which


def _pinned_uri(client: "MlflowClient", uri: str) -> tuple[str, str | None]:
    """The URI with its alias resolved to a version, and the fingerprint tagged on that version, if any."""
    name, which = _name_and_version(uri)
    if not which:
        return uri, None
    version = resolve_version(client, name, which)
    return f"models:/{name}/{version.version}", version.tags.get(FINGERPRINT)


def _download_model(client: "MlflowClient", pinned: str, folder: Path) -> Path:
    """Download what is read of a packaged model, by name, to where the package has it, and nothing else."""
    from mlflow.exceptions import MlflowException
    try:
        if pinned.startswith("models:/") and pinned.count("/") == 1:  # a logged model's id
            pinned = client.get_logged_model(pinned.removeprefix("models:/")).artifact_location
        names = _artifact_names(pinned)
    except (MlflowException, OSError) as error:
        if is_away(error):
            raise
        names = set()
    if "MLmodel" not in names:
        raise UserError(f"{redacted(pinned)}: no model there: see the registry or the run for those that there are")
    _download_artifact(f"{pinned}/MLmodel", folder / "MLmodel")
    for name in _artifact_names(f"{pinned}/{_INSIDE}") & {WEIGHTS, MODEL_JSON, MODEL_CARD, SPEECH, GRAPH, REFERENCE}:
        _download_artifact(f"{pinned}/{_INSIDE}/{name}", folder / _INSIDE / name)
    return folder


def _artifact_names(uri: str) -> set[str]:
    """Names of what lies right below an artifact URI."""
    import mlflow
    return {file.path.rpartition("/")[2] for file in mlflow.artifacts.list_artifacts(uri)}


def _download_artifact(uri: str, target: Path) -> None:
    import mlflow
    with TemporaryDirectory(prefix="ser-ops-download-") as holder:
        downloaded = mlflow.artifacts.download_artifacts(uri, dst_path=holder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(downloaded, target)


def _model_folder(uri: str, folder: Path) -> Path:
    """The model folder inside `folder`, a packaged model or a model folder itself."""
    mlmodel = folder / "MLmodel"
    if mlmodel.exists():
        said = read_yaml(mlmodel, _REGISTERED, _REGISTERED)
        pyfunc = _mapping(_mapping(said, "flavors"), "python_function")
        if "model_code_path" not in pyfunc or not (folder / _INSIDE / WEIGHTS).is_file():
            raise _foreign_model(uri, said)
        folder = folder / _INSIDE
    if not (folder / WEIGHTS).is_file() or not (folder / MODEL_JSON).is_file():
        raise UserError(f"{redacted(uri)}: holds no {WEIGHTS} and {MODEL_JSON}: give the folder of a trained model, or "
                        "a URI as models:/ser-fusion@staging")
    read_model_json(folder)
    return folder


def _foreign_model(uri: str, mlmodel: Any) -> UserError:
    flavours = sorted(map(str, _mapping(mlmodel, "flavors")))
    pyfunc = _mapping(_mapping(mlmodel, "flavors"), "python_function")
    pickled = "python_model" in pyfunc and "model_code_path" not in pyfunc
    what = "is pickled, and loading a pickle can run any code" if pickled else \
        f"is no model of ser-ops (flavours: {', '.join(flavours) or 'none'})"
    return UserError(f"{redacted(uri)}: {what}: it is not loaded; {_REGISTERED}")


def _mapping(value: Any, key: str) -> dict[str, Any]:
    """What stands under a key of a document from outside, where it is a mapping; else an empty one."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}

"""params.yaml with a preset laid over it, as strict frozen models."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from ser_ops.config.data import Augment, Data, Partitions, Paths, Validation
from ser_ops.config.evaluation import Behave, Evaluate, Gate, Report
from ser_ops.config.explaining import Explain
from ser_ops.config.models import Preset
from ser_ops.config.services import Compute, Export, Predict, Score, Serve, Storage, Tracking, Watch
from ser_ops.config.training import Ablations, Train, Training, Tune
from ser_ops.documents import Model, read_yaml, validated_model
from ser_ops.errors import UserError

PARAMS = Path("params.yaml")
PRESETS = "presets"     # the folder of presets, beside params.yaml
PRESET_SECTIONS = (*(name for name in Preset.model_fields if name != "over"), "augment", "train", "tune")


class Params(Preset):
    """All settings in force: those of params.yaml, and over them those of the preset that it names."""

    paths: Paths = Field(description="folders of the project")
    preset: str = Field(description="a file of presets/, laid over these sections")
    data: Data = Field(description="corpora and noise")
    partitions: Partitions = Field(description="training, validation and test")
    validation: Validation = Field(description="which recordings are quarantined")
    augment: Augment = Field(description="variants of each utterance")
    train: Train = Field(description="the training of the main model")
    tune: Tune = Field(description="the search of training settings")
    ablations: Ablations = Field(description="models trained beside the main one")
    evaluate: Evaluate = Field(description="clean speech and the noise grid")
    behave: Behave = Field(description="what must not change an answer")
    explain: Explain = Field(description="explanations")
    gate: Gate = Field(description="limits of the gate's rules")
    report: Report = Field(description="the page")
    tracking: Tracking = Field(description="MLflow")
    storage: Storage = Field(description="buckets")
    predict: Predict = Field(description="long recordings")
    export: Export = Field(description="models as ONNX graphs")
    score: Score = Field(default=Score(), description="many recordings into Parquet")
    serve: Serve = Field(default=Serve(), description="the HTTP service")
    watch: Watch = Field(default=Watch(), description="records of what was heard, and what they say of the model")
    compute: Compute = Field(description="processes, devices and waiting")

    @model_validator(mode="after")
    def _checkpoints_where_dvc_sees_them(self) -> "Params":
        for name in ("wav2vec", "vit", "beit"):
            checkpoint = getattr(self, name).checkpoint
            if checkpoint and os.path.isdir(checkpoint) and not Path(os.path.realpath(checkpoint)).is_relative_to(
                    os.path.realpath(self.paths.pretrained)):
                raise ValueError(f"{name}.checkpoint: {checkpoint} does not lie in {self.paths.pretrained} "
                                 "(paths.pretrained), and elsewhere, behind a link too, DVC would not see other "
                                 "weights: move or copy the folder there")
        return self

    @property
    def chosen(self) -> Preset:
        """The sections of the preset that is in force, without those of the pipeline."""
        return Preset.model_construct(**{name: getattr(self, name) for name in Preset.model_fields})


def load_params(path: Path = PARAMS, preset: str | None = None) -> Params:
    """Read params.yaml and lay a preset over it.

    Args:
        path: of params.yaml; the folder presets/ lies beside it.
        preset: a name of `preset_names`; None takes the one that params.yaml names.

    Raises:
        UserError: it names the file, the key, the value and what is allowed, for a file that is missing or not YAML,
            for an unknown key and for a value out of range.

    >>> load_params(preset="paper").wav2vec.checkpoint
    'facebook/wav2vec2-base'
    """
    content = _with_whole_trial(_read_sections(path)) | ({"preset": preset} if preset else {})
    if "over" in content:
        raise UserError(f"{path}: over: unknown key: what a preset changes stands in its file in {PRESETS}/")
    name = validated_model(Params, content, str(path)).preset
    if name not in (names := preset_names(path)):
        raise UserError(f"{path}: preset: {name!r} is not among the presets ({', '.join(names)})")
    file, overlay = read_preset(path, name)
    over = {section: overlay[section] for section in ("augment", "train", "tune") if overlay[section]}
    return validated_model(Params, content | {"over": over} | {
        section: _laid_over(content[section], changes) for section, changes in overlay.items()}, str(file))


def load_params_anywhere(path: Path = PARAMS) -> Params:
    """As `load_params`; where there is no params.yaml, only what fetching a model and answering takes, by default.

    Fetched models are then kept in the user's cache, and the tracking store is that of MLFLOW_TRACKING_URI.
    """
    if path.exists():
        return load_params(path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ser-ops"
    return Params.model_construct(
        paths=Paths.model_construct(state=cache), compute=Compute.model_construct(), predict=Predict(), export=Export(),
        score=Score(), serve=Serve(), storage=Storage(), watch=Watch(),
        tracking=Tracking.model_construct(uri=os.environ.get("MLFLOW_TRACKING_URI", "")))


def predict_of_project(params: Params) -> Predict | None:
    """The settings by which this project answers recordings; None where no project is, and those of each model hold."""
    return params.predict if PARAMS.exists() else None


def load_preset(name: str, path: Path = PARAMS) -> Preset:
    """The sections of a preset, laid over those of params.yaml; raises as `load_params`."""
    return load_params(path, name).chosen


def read_preset(path: Path, name: str) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The file of a preset beside a params.yaml, and by section what it changes there.

    Raises UserError for a section that no preset changes, and for one that is missing, since DVC looks at each.
    """
    file = path.parent / PRESETS / f"{name}.yaml"
    overlay = _read_sections(file)
    if unknown := [section for section in overlay if section not in PRESET_SECTIONS]:
        raise UserError(f"{file}: {unknown[0]}: no section that a preset changes: {', '.join(PRESET_SECTIONS)}")
    if missing := [section for section in PRESET_SECTIONS if not isinstance(overlay.get(section), dict)]:
        raise UserError(f"{file}: {missing[0]}: dvc.yaml names this section: write `{missing[0]}: {{}}` where nothing "
                        "differs from params.yaml")
    return file, overlay


def preset_names(path: Path = PARAMS) -> list[str]:
    """Names of the presets beside a params.yaml, sorted."""
    return sorted(file.stem for file in (path.parent / PRESETS).glob("*.yaml"))


def load_as(kind: type[Model], path: Path) -> Model:
    """Read and check a settings file of another kind than params.yaml, as strictly as `load_params`."""
    return validated_model(kind, _read_sections(path), str(path))


def _read_sections(path: Path) -> dict[str, Any]:
    restore = f"restore it with `git checkout {path}`"
    content = read_yaml(path, "run from the project's top folder", f"mend it, or {restore}")
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no sections: {restore}")
    return content


def _with_whole_trial(content: dict[str, Any]) -> dict[str, Any]:
    """Settings with tune.trial laid over section train; what is malformed is left to the sections to say."""
    train, tune = content.get("train"), content.get("tune")
    if not isinstance(tune, dict) or not isinstance(tune.get("trial"), dict):
        return content
    trial: Any = Training.model_construct()     # where train is malformed, that alone is the fault
    if isinstance(train, dict):
        trial = {name: train[name] for name in Training.model_fields if name in train} | tune["trial"]
    return {**content, "tune": {**tune, "trial": trial}}


def _laid_over(section: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """A section with a preset's changes; another design has other settings, and so it stands alone.

    What a preset changes of a trial goes over that of params.yaml.
    """
    if isinstance(changes.get("trial"), dict) and isinstance(section.get("trial"), dict):
        changes = {**changes, "trial": {**section["trial"], **changes["trial"]}}
    other_design = "design" in section and changes.get("design", section["design"]) != section["design"]
    return changes if other_design else {**section, **changes}

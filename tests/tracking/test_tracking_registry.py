"""Versions, aliases, promotion and demotion on a real server."""

import contextlib
import json
import multiprocessing
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import mlflow
import pytest
from tracking_project import PARAMS, Project, not_worse, write_gate

from ser_ops.config.model_json import fingerprint
from ser_ops.errors import UserError
from ser_ops.gate import promotion
from ser_ops.gate.comparison import compare_with_current
from ser_ops.gate.promotion import demote, promote
from ser_ops.gate.rules import decide
from ser_ops.tracking.aliases import Aliases
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.registry import register, versions
from ser_ops.tracking.runs import open_run


@pytest.fixture
def trusted(monkeypatch):
    """Spare the fresh interpreter that compares answers (`test_tracking_package` has it) and the comparison."""
    tried = {"loads": True, "pickles": [], "utterances": 12, "largest_difference": 1e-7, "error": ""}
    monkeypatch.setattr(promotion, "compare_answers", lambda *arguments: tried)
    monkeypatch.setattr(promotion, "compare_with_current", not_worse)
    monkeypatch.setattr(Aliases, "download", lambda aliases, version, folder: folder)
    return tried


def other(made):
    return made.folder, made.reports


def client(params):
    return mlflow.MlflowClient(params.tracking.uri)


def version_of(params, number):
    return client(params).get_model_version(params.tracking.registered_model, number)


def alias(params, name):
    return {key: str(value) for key, value in client(params).get_registered_model(
        params.tracking.registered_model).aliases.items()}.get(name)


@pytest.fixture(scope="session")
def stock(server, tmp_path_factory):
    """Three versions of a registered model and the project they come from, for `registered` to copy."""
    folder, before = tmp_path_factory.mktemp("stock"), Path.cwd()
    settings = PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(
        update={"uri": server, "experiment": "stock", "registered_model": "stock"})})
    os.chdir(folder)
    os.environ.pop("MLFLOW_TRACKING_URI", None)     # what a fixture of another file left has the last word
    try:
        for seed in range(3):
            made = Project(settings, seed=seed)
            register(settings, made.folder, made.reports)
    finally:
        os.chdir(before)
    mine = mlflow.MlflowClient(server)
    return folder / made.reports, [mine.get_model_version("stock", str(number)) for number in (1, 2, 3)]


@pytest.fixture
def reports(stock, tmp_path):
    """A copy of the reports of the model in stock, to plant faults in."""
    return shutil.copytree(stock[0], tmp_path / "reports")


@pytest.fixture
def registered(params, stock):
    """Register some more of the models in stock, the last one being the candidate; `reports`: instead of its own."""
    mine, name = mlflow.MlflowClient(params.tracking.uri), params.tracking.registered_model

    def more(*numbers, reports=None):
        for number in numbers:
            version = stock[1][number]
            run_id = version.run_id
            if reports is not None:
                with open_run(params, "train", {}) as run:
                    run.artifact(reports, "reports")
                run_id = run.id
            with contextlib.suppress(mlflow.exceptions.MlflowException):
                mine.create_registered_model(name)
            made = mine.create_model_version(name, version.source, run_id, tags=version.tags,
                                             model_id=version.source.removeprefix("models:/"))
            mine.set_registered_model_alias(name, "candidate", made.version)

    return more


def test_a_version_carries_card_tags_reports_and_the_name_candidate(params, project):
    made = project()
    number = register(params, made.folder, made.reports)
    version = version_of(params, number)
    assert alias(params, "candidate") == number == "1"
    tags = version.tags
    assert tags["model_sha256"] == fingerprint(made.folder) and tags["verdict"].startswith("passed")
    assert tags["synthetic"] == "true" and json.loads(tags["partial"]) == ["synthetic_ravdess"]
    assert json.loads(tags["non_commercial"])["synthetic_ravdess"] == "CC BY-NC-SA 4.0"
    assert tags["partition"] == "speaker" and tags["preset"] == "tiny" and tags["data_md5"] == "untracked"
    for words in ("CC BY-NC-SA 4.0", "SYNTHETIC", "0.610 (0.550 to 0.660)", "employment", "Intended uses", "Limits"):
        assert words in version.description
    assert len(version.description) <= 5000
    run = json.loads((made.folder / "run.json").read_text())["run_id"]
    assert version.run_id == run and client(params).get_run(run).info.status == "FINISHED"
    attached = {file.path for file in client(params).list_artifacts(run, "reports")}
    assert {"reports/gate.json", "reports/metrics.json", "reports/predictions.csv"} <= attached


def test_recordings_are_not_attached(params, project):
    made = project()
    (made.reports / "clips").mkdir()
    (made.reports / "clips" / "a.wav").write_bytes(b"speech")
    (made.reports / "index.html").write_text("speech inside")
    register(params, made.folder, made.reports)
    run = json.loads((made.folder / "run.json").read_text())["run_id"]
    attached = {file.path for file in client(params).list_artifacts(run, "reports")}
    assert not {"reports/clips", "reports/index.html"} & attached


def test_the_same_model_is_registered_once_and_gets_the_verdict_of_today(params, project):
    made = project()
    first = register(params, made.folder, made.reports)
    made.judge("blocked: fish_market at 0.75: UAR 0.41 < 0.45")
    assert register(params, made.folder, made.reports) == first
    assert version_of(params, first).tags["verdict"] == "blocked: fish_market at 0.75: UAR 0.41 < 0.45"
    assert [version["version"] for version in versions(params)] == [first]
    assert register(params, *other(project(seed=1))) == "2" and alias(params, "candidate") == "2"


def test_what_is_no_model_is_not_registered(params, tmp_path):
    with pytest.raises(UserError, match=r"weights\.safetensors: is missing"):
        register(params, tmp_path, tmp_path)


def test_promotion_of_what_passed(params, registered, trusted):
    registered(0)
    done = promote(params)
    assert (done.version, done.alias, done.before, done.verdict) == ("1", "staging", None, "passed")
    assert alias(params, "staging") == "1"
    tags = version_of(params, "1").tags
    rules = {rule["rule"]: rule for rule in json.loads(tags["verdict_rules"])}
    assert set(rules) == {"clean_uar", "registered_answers", "not_worse_than_staging"}
    assert all(rule["passed"] and rule["verdict"] for rule in rules.values())
    assert tags["verdict"] == "passed" and tags["held_staging"] == "true" and tags["previous_staging"] == "none"
    assert json.dumps(asdict(done))


def test_a_second_version_is_compared_with_the_first_over_both_predictions(params, registered, trusted, monkeypatch):
    registered(0)
    promote(params)
    registered(1)
    seen = []

    def compare(params, alias, candidate, current):
        seen.append((candidate[0].read_text(), candidate[1], current[0].read_text(), current[1]))
        return not_worse(params, alias, candidate, current)

    monkeypatch.setattr(promotion, "compare_with_current", compare)
    done = promote(params)
    assert done.before == "1" and alias(params, "staging") == "2"
    candidate, model, current, current_model = seen[0]
    assert candidate != current and candidate.startswith("model,utterance") and model == current_model == "spectral"


def test_the_comparison_of_the_gate_fits(params, registered, trusted, monkeypatch):
    monkeypatch.setattr(promotion, "compare_with_current", compare_with_current)
    registered(0)
    assert not promote(params).rules[-1].applies
    registered(1)
    with contextlib.suppress(UserError):  # random weights: either may win
        promote(params)
    last = json.loads(version_of(params, "2").tags["verdict_rules"])[-1]
    assert last["rule"] == "not_worse_than_staging" and 0 <= last["figure"] <= 1 and "resamples" in last["verdict"]


def test_promoting_what_stands_there_changes_nothing(params, registered, trusted):
    registered(0)
    promote(params)
    assert promote(params).before is None
    assert demote(params).now is None


WORSE = decide("not_worse_than_staging", False, "staging is better in 99%", "not worse")


@pytest.mark.parametrize(("fault", "words"), [
    ("gate", "blocked: fish_market at 0.75: UAR 0.41 < 0.45"),
    ("no gate", "no gate.json is attached"),
    ("no rules", "no gate.json is attached"),
    ("other model", "gate.json judged fusion, this version is spectral"),
    ("contradiction", "contradicts its own rules"),
    ("worse", "staging is better in 99%"),
    ("no predictions", r"no predictions.csv is attached"),
    ("other answers", r"package and evaluation differ by 2.0e-01 > 0.0001"),
    ("pickle", "holds pickled files: python_model.pkl"),
    ("few answers", "only 7 answers of the packaged model were compared, 8 are needed"),
    ("does not load", "does not load with pickle forbidden: it is broken"),
])
def test_what_fails_is_blocked_in_words(params, reports, registered, trusted, monkeypatch, fault, words):
    gate = reports / "gate.json"
    if fault == "gate":
        write_gate(gate, "spectral", "blocked: fish_market at 0.75: UAR 0.41 < 0.45")
    elif fault in ("no rules", "other model", "contradiction"):
        change = {"no rules": {"rules": []}, "other model": {"model": "fusion"}, "contradiction": {"passed": False}}
        gate.write_text(json.dumps(json.loads(gate.read_text()) | change[fault]))
    elif fault in ("no gate", "no predictions"):
        (reports / {"no gate": "gate.json", "no predictions": "predictions.csv"}[fault]).unlink()
    trusted |= {"other answers": {"largest_difference": 0.2}, "pickle": {"pickles": ["python_model.pkl"]},
                "few answers": {"utterances": 7},
                "does not load": {"loads": False, "error": "it is broken", "largest_difference": None}}.get(fault, {})
    registered(0, reports=reports)
    if fault == "worse":
        monkeypatch.setattr(promotion, "compare_with_current", lambda *arguments: WORSE)
    with pytest.raises(UserError, match=words) as raised:
        promote(params)
    assert str(raised.value).startswith("blocked: ") and "\n" not in str(raised.value)
    assert alias(params, "staging") is None
    tags = version_of(params, "1").tags
    assert tags["verdict"].startswith("blocked: ") and "held_staging" not in tags


def test_an_override_needs_a_written_reason_which_is_recorded(params, reports, registered, trusted):
    write_gate(reports / "gate.json", "spectral", "blocked: clean UAR 0.30 < 0.40")
    registered(0, reports=reports)
    for reason in ("", "  because ", "x" * 9):
        with pytest.raises(UserError, match="written reason"):
            promote(params, override_reason=reason)
    assert alias(params, "staging") is None
    done = promote(params, override_reason="first real corpus, nothing better yet")
    assert done.verdict == "overridden, blocked: clean UAR 0.30 < 0.40"
    tags = version_of(params, "1").tags
    assert alias(params, "staging") == "1" and tags["verdict"] == "blocked: clean UAR 0.30 < 0.40"
    assert tags["override_reason"] == "first real corpus, nothing better yet" and tags["override_for"] == "staging"


def test_a_reason_where_none_is_needed_is_no_override(params, registered, trusted):
    registered(0)
    assert promote(params, override_reason="just to be sure of it").override_reason is None
    assert "override_reason" not in version_of(params, "1").tags


def test_production_takes_only_what_held_staging(params, registered, trusted):
    registered(0)
    with pytest.raises(UserError, match="never held staging"):
        promote(params, "1", to="production", override_reason="a very good reason")
    with pytest.raises(UserError, match="no model stands as staging"):
        promote(params, to="production")
    promote(params)
    assert promote(params, to="production").before is None
    assert (alias(params, "staging"), alias(params, "production")) == ("1", "1")
    registered(1)
    promote(params)
    assert promote(params, to="production").before == "1"
    assert demote(params, "production").now == "1" and alias(params, "staging") == "2"


def test_demotion_goes_back_step_by_step(params, registered, trusted):
    registered(0, 1, 2)
    for number in ("1", "2", "3", "1"):
        promote(params, number)
    assert [demote(params).now for _ in range(3)] == ["3", "2", "1"]
    last = demote(params)
    assert last.now is None
    assert alias(params, "staging") is None
    with pytest.raises(UserError, match="no model stands as staging: run make demo or ser-ops promote"):
        demote(params)


def test_demotion_skips_a_version_that_was_deleted(params, registered, trusted):
    registered(0, 1, 2)
    for number in ("1", "2", "3"):
        promote(params, number)
    client(params).delete_model_version(params.tracking.registered_model, "2")
    assert demote(params).now == "1"


@pytest.mark.parametrize("killed_at", ["set_registered_model_tag", "set_model_version_tag",
                                       "set_registered_model_alias"])
def test_a_promotion_that_is_killed_on_the_way_leaves_the_alias(params, registered, trusted, monkeypatch, killed_at):
    registered(0, 1)
    promote(params, "1")

    def killed(*arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, killed_at, killed)
        with pytest.raises(KeyboardInterrupt):
            promote(params, "2")
    assert alias(params, "staging") == "1"
    promote(params, "2")
    assert demote(params).now == "1" and demote(params).now is None


def test_unknown_versions_and_aliases(params, registered, trusted):
    with pytest.raises(UserError, match="no model stands as candidate"):
        promote(params)
    registered(0)
    with pytest.raises(UserError, match="no such version"):
        promote(params, "17")
    with pytest.raises(UserError, match="choose staging or production"):
        promote(params, to="candidate")


def _promote(params, number, barrier, answers):
    promotion.compare_answers = lambda *arguments: {"loads": True, "pickles": [], "utterances": 12,
                                                    "largest_difference": 0.0, "error": ""}
    promotion.compare_with_current = not_worse
    barrier.wait(120)
    answers.put(promote(params, number).before)


@pytest.mark.slow
def test_two_promotions_at_once_leave_one_alias(params, registered):
    registered(0, 1)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_promote, args=(params, number, barrier, answers)) for number in ("1", "2")]
    for process in both:
        process.start()
    befores = {answers.get(timeout=180) for _ in both}
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    now = alias(params, "staging")
    other = {"1": "2", "2": "1"}[now]
    assert befores == {None, other}, "one came first, and the second one knows it"
    assert [version["version"] for version in versions(params) if "staging" in version["aliases"]] == [now]
    assert demote(params).now == other


def test_fetch_by_alias_version_run_and_folder(params, project, trusted):
    made = project()
    reference = params.paths.work / "reference.parquet"
    reference.write_bytes(b"records of the evaluation")
    register(params, made.folder, made.reports)
    name, digest = params.tracking.registered_model, fingerprint(made.folder)
    run = json.loads((made.folder / "run.json").read_text())["run_id"]
    model_id = version_of(params, "1").source
    for uri in (f"models:/{name}@candidate", f"models:/{name}/1", model_id, f"runs:/{run}/model"):
        folder = fetch_model(params, uri)
        assert fingerprint(folder) == digest and not list(folder.rglob("*.py")), uri
        assert (folder / reference.name).read_bytes() == reference.read_bytes(), "what ser-ops watch compares with"
        shutil.rmtree(folder)
    assert fetch_model(params, str(made.folder)) == made.folder
    with pytest.raises(UserError, match="no model stands as staging: run make demo or ser-ops promote"):
        fetch_model(params, f"models:/{name}@staging")


def test_fetch_mends_what_was_damaged_in_its_store(params, project):
    made = project()
    register(params, made.folder, made.reports)
    uri = f"models:/{params.tracking.registered_model}/1"
    folder = fetch_model(params, uri)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    assert fingerprint(fetch_model(params, uri)) == fingerprint(made.folder)


@pytest.mark.parametrize("uri", ["nowhere", "models:/none/1", "models:/none@staging", "models:/m-0123456789abcdef",
                                 "runs:/0123456789abcdef0123456789abcdef/model", "s3://bucket/model", "models:/", "."])
def test_fetch_of_nothing_is_one_line(params, uri):
    with pytest.raises(UserError) as raised:
        fetch_model(params, uri)
    assert "\n" not in str(raised.value)


class Planted(mlflow.pyfunc.PythonModel):
    """A model that says on disk that it ran."""

    def __reduce__(self):
        return (Path.touch, (Path("it-ran"),))

    def predict(self, context, model_input: list[str]):
        return model_input


@pytest.mark.filterwarnings("ignore")
def test_a_pickled_model_is_refused_and_never_loaded(params):
    mlflow.set_tracking_uri(params.tracking.uri)
    mlflow.set_experiment(params.tracking.experiment)
    with mlflow.start_run():
        mlflow.pyfunc.log_model(name="model", python_model=Planted(),
                                registered_model_name=params.tracking.registered_model, pip_requirements=["mlflow"])
    Path("it-ran").unlink(missing_ok=True)
    mlflow.artifacts.download_artifacts(f"models:/{params.tracking.registered_model}/1", dst_path="planted")
    for uri in (f"models:/{params.tracking.registered_model}/1", "planted"):
        with pytest.raises(UserError, match="is pickled"):
            fetch_model(params, uri)
    assert not Path("it-ran").exists()


def test_a_foreign_model_is_refused(params):
    Path("foreign").mkdir()
    Path("foreign/MLmodel").write_text("flavors:\n  sklearn: {pickled_model: model.pkl}\n  python_function: {}\n")
    with pytest.raises(UserError, match="no model of ser-ops \\(flavours: python_function, sklearn\\)"):
        fetch_model(params, "foreign")
    Path("foreign/MLmodel").write_text("[not, a, model]")
    with pytest.raises(UserError, match="no model of ser-ops"):
        fetch_model(params, "foreign")


def test_projects_are_apart(params, project):
    """Each test has a registered model of its own."""
    assert isinstance(project(), Project) and versions(params) == []

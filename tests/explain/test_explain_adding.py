"""A model and a method are added by what docs/tutorials/extend.md says, and nothing else lists their names."""

import ast
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, StandIn, examples, explain_settings, explained, features

from ser_ops import methods, model_table
from ser_ops.config.models import Preset
from ser_ops.config.params import load_params, load_preset
from ser_ops.config.training import Train
from ser_ops.errors import UserError
from ser_ops.explain import clip_figures as picture
from ser_ops.explain.figures import Sound
from ser_ops.explain.model_check import check_model
from ser_ops.explain.question import method_module
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.gate import judging as gate
from ser_ops.models.architectures import build
from ser_ops.report import listening, tables

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = (PROJECT / "docs" / "tutorials" / "extend.md").read_text(encoding="utf-8")
MODEL, MODEL_ENTRY, METHOD, METHOD_ENTRY = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
# The papers' figures are of methods that the papers name.
OF_THE_PAPERS = {"ser_ops/methods.py", "ser_ops/explain/clip_figures.py"}


def module(name: str, code: str, monkeypatch) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(code, name, "exec"), made.__dict__)
    monkeypatch.setitem(sys.modules, name, made)
    return made


@pytest.fixture
def means(monkeypatch) -> str:
    module("ser_ops.models.means", MODEL, monkeypatch)
    entries = eval("{" + MODEL_ENTRY + "}", {"Model": model_table.Model})
    monkeypatch.setattr(model_table, "MODELS", model_table.MODELS)
    for name, entry in entries.items():
        monkeypatch.setitem(model_table.MODELS, name, entry)
    return "means"


@pytest.fixture
def gradient(monkeypatch) -> str:
    module("ser_ops.explain.methods.gradient", METHOD, monkeypatch)
    (entry,) = eval("(" + METHOD_ENTRY + ")", vars(methods))
    monkeypatch.setitem(methods.METHODS, entry.name, entry)
    return entry.name


def test_the_model_of_the_guide_has_all_that_a_model_needs(means):
    preset = load_preset("small")
    checks = list(check_model(means, preset, explain_settings()))
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    assert {check.what for check in checks} >= {"network", "answer", "gradients", "streams", "folder", "SHAP",
                                                "Occlusion"}
    assert Train(**load_params().train.model_dump() | {"model": means}).model == means
    assert methods.admitted(build(means, preset).streams, False) == ("shap", "occlusion")


def test_the_method_of_the_guide_is_on_the_page_in_the_json_in_figures_and_at_the_gate(gradient, tmp_path, monkeypatch):
    settings = features()
    subject = Subject(StandIn(settings).eval(), settings, None, RATE, torch.device("cpu"), 33)
    assert gradient in subject.admitted
    report = explained(subject, examples(settings, "test"), examples(settings, "train"), tmp_path, "") | {
        "model": "fusion", "methods": list(subject.admitted), "not_admitted": subject.not_admitted}
    entry = report["heard"][0]
    assert np.abs(entry["traces"][gradient]["values"]).max() > 0 and gradient in entry["speech"]["share"]
    assert all((tmp_path / clip[gradient]["figure"]).is_file() for clip in report["clips"])
    page = listening.build(tmp_path, report).read_text(encoding="utf-8")
    assert f'data-method="{gradient}"' in page and "Gradient times input" in page
    assert gradient in tables.methods_shown(report)
    assert any("larger" in sentence for sentence in tables.explanation_sentences(report, ("spectral",)))
    said = []
    monkeypatch.setattr(picture, "save_figure", lambda figure, *rest, **settings: said.extend(
        axes.get_ylabel().split("\n")[0] for axes in figure.axes))
    picture.draw_aligned(Sound(np.zeros(8000, np.float32), RATE, 0.5, ""), [
        Trace(name, np.array([0.0, 0.4]), np.array([1.0, -1.0]), "") for name in subject.admitted], "fear", tmp_path)
    assert "Gradient times input" in said
    files = {clip[name]["figure"] for clip in report["clips"] for name in clip if isinstance(clip[name], dict)}
    rules = {rule.rule: rule for rule in gate.explanation_rules(report, "fusion", files)}
    assert rules[gradient].passed and "7 clips" in rules[gradient].verdict


def test_each_method_of_the_catalogue_has_its_file_and_each_file_its_entry():
    files = {path.stem for path in (PROJECT / "ser_ops" / "explain" / "methods").glob("[!_]*.py")}
    assert files == set(methods.METHODS)
    for name, method in methods.METHODS.items():
        assert name == method.name and callable(method_module(name).explain) and callable(method_module(name).blur)
    assert len({method.title for method in methods.METHODS.values()}) == len(methods.METHODS)
    assert len({method.colour for method in methods.METHODS.values()}) == len(methods.METHODS)


def test_no_other_file_lists_the_names_of_methods_or_models():
    """A second list would be a second truth: no file names two methods, or three models, as strings of its own."""
    titles = {method.title for method in methods.METHODS.values()}
    for path in sorted((PROJECT / "ser_ops").rglob("*.py")):
        where = path.relative_to(PROJECT).as_posix()
        words = {node.value for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        if where not in OF_THE_PAPERS:
            assert len(words & set(methods.METHODS)) < 2 and len(words & titles) < 2, where
        if where != "ser_ops/model_table.py" and not where.startswith("ser_ops/models"):
            assert len(words & (set(model_table.MODELS) - set(Preset.model_fields))) < 2, where


def test_names_that_are_not_in_the_tables_are_one_line_that_lists_those_that_are():
    for ask in (lambda: methods.method("guesswork"), lambda: method_module("guesswork"),
                lambda: methods.in_order(["shap", "guesswork"])):
        with pytest.raises(UserError, match=r"^unknown method of explanation 'guesswork': expected one of scorecam, "):
            ask()
    with pytest.raises(UserError, match=r"^unknown model 'perceptron': expected one of fusion, "):
        build("perceptron", load_preset("small"))
    with pytest.raises(ValueError, match=r"unknown model 'perceptron': expected one of fusion, "):
        Train(**load_params().train.model_dump() | {"model": "perceptron"})


SOUND = "return self.dense(features.mean(2))"


@pytest.mark.parametrize(("change", "what", "words"), [
    ((SOUND, "return self.dense(features.mean(2))[:, :5]"), "answer", r"forward gives \(4, 5\)"),
    ((SOUND, "return self.dense(features.mean(2)) / 0"), "answer", "not finite"),
    ((SOUND, "return self.dense(features.mean(2).detach()).detach() + self.dense.bias"), "gradients", "dense.weight"),
    ((SOUND, "return self.dense(0 * features.mean(2))"), "streams", "does not change with the features"),
    (('name = "means"', 'name = "median"'), "network", "'median': set it to 'means'"),
    (("class MeansModel(StackedNetwork)", "class MeansModel(nn.Module)"), "network", "no EmotionModel"),
    ((SOUND, "raise RuntimeError('half written')"), "answer", "RuntimeError: half written"),
    ((SOUND, "self.extra = getattr(self, 'extra', 0) + 1\n        return self.dense(features.mean(2)) + self.extra"),
     "folder", "differ")])
def test_what_a_model_lacks_is_told(means, monkeypatch, change, what, words):
    assert change[0] in MODEL
    module("ser_ops.models.means", MODEL.replace(*change), monkeypatch)
    checks = {check.what: check for check in check_model(means, load_preset("small"), explain_settings())}
    assert not checks[what].passed and re.search(words, checks[what].words), checks[what]


def test_a_table_that_says_other_than_the_network_is_told(means, monkeypatch):
    monkeypatch.setitem(model_table.MODELS, means, model_table.Model("means:MeansModel", "stacked", ("stacked",)))
    checks = {check.what: check for check in check_model(means, load_preset("small"), explain_settings())}
    assert not checks["cam_layer"].passed and "has_cam_layer=True" in checks["cam_layer"].words
    assert not checks["Grad-CAM"].passed

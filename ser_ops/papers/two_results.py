"""What paper 2's page is made of: figures of its folds as plain values, and why something is not there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ser_ops.papers import published_two as printed
from ser_ops.papers.facts import how_to_get, standing

PROTOCOLS: dict[str, str] = {"random": "random split, as the paper's", "speaker": "by speaker"}


@dataclass(frozen=True)
class Scores:
    """One model under one protocol. Figures in [0, 1]; names accuracy, precision, recall, f1 (macro averages).

    mean, deviation: over folds (sample deviation; None with one fold). low, high: bootstrap interval over the pooled
    test utterances of all folds. confusion: pooled counts (7, 7), rows true. per_class: {emotion: {precision, recall,
    f1, support}}, weighted: {precision, recall, f1}, both pooled.
    """

    model: str
    protocol: str
    folds: int
    utterances: int
    speakers: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None]
    low: Mapping[str, float]
    high: Mapping[str, float]
    pooled: Mapping[str, float]
    weighted: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]]
    confusion: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Layer:
    """A layer of a built model: its settings, the shape of what it gives for one utterance, its parameters."""

    settings: str
    output: str
    parameters: int


@dataclass(frozen=True)
class Pictures:
    """What was drawn or why not. cams: what `explain.grad_cam_figures` says of each picture, of `protocol`, fold 1."""

    confusion: str = ""
    curves: Mapping[str, str] = field(default_factory=dict)     # "uar" and "loss" to a file
    cams: Sequence[Mapping[str, Any]] = ()
    protocol: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Results:
    """All that the page is made of: figures by (model, protocol), runs.json, settings, layers and pictures.

    settings: {model: {"learning_rate", "epochs", ...}} as each model was trained. preset: name of the preset, for how
    to give ViT and BEiT a checkpoint.
    """

    scores: Mapping[tuple[str, str], Scores]
    groups: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    explained: str
    layers: Mapping[str, Sequence[Layer]]
    pictures: Pictures

    def of(self, model: str, protocol: str) -> Scores | None:
        return self.scores.get((model, protocol))

    @property
    def protocols(self) -> tuple[str, ...]:
        """Those that there are figures of, the paper's first."""
        there = {protocol for _, protocol in self.scores}
        return tuple(name for name in PROTOCOLS if name in there)


def _joined(*reasons: str) -> str:
    return " ".join(filter(None, reasons))


def named(name: str) -> str:
    shown = printed.NAMES.get(name, name)
    return f"the {shown[0].lower()}{shown[1:]}" if shown.startswith("Hybrid") else shown


def other_corpus(results: Results) -> str:
    """Why ours are not the paper's corpus, in a few words; "" when they are TESS alone."""
    corpora = results.provenance.get("corpora") or []
    state = standing(results.provenance, "tess")
    if state == "here" and len(corpora) < 2:
        return ""
    named = ", ".join(corpora) or "no corpus"
    return f"Paper 2 used TESS alone; ours are from {named}{'' if state == 'here' else ', without TESS as published'}."


def lacking(results: Results, models: Sequence[str]) -> str:
    """What keeps a table of scores from being the paper's, and how to get it."""
    reasons = [other_corpus(results)]
    state = standing(results.provenance, "tess")
    if state == "missing":
        reasons.append(how_to_get("tess") + ".")
    elif state == "synthetic":
        reasons.append("Only synthesised speech in TESS's layout is here. The corpus itself: "
                       + how_to_get("tess").partition(": ")[2] + ".")
    for model in models:
        absent = [protocol for protocol in PROTOCOLS if not results.of(model, protocol)]
        if len(absent) == len(PROTOCOLS):
            reasons.append(no_model(model))
        else:
            reasons += [not_run(results, model, protocol) for protocol in absent]
    random = [model for model in models if any(one["model"] == model and str(one.get("backbone")).startswith("random")
                                               for one in results.groups)]
    if random:
        preset = results.provenance.get("preset") or "PRESET"
        names = " and ".join(printed.NAMES[model] for model in random)
        keys = " and ".join(f"presets.{preset}.{model}.checkpoint" for model in random)
        reasons.append(f"{names} began from random weights in a small configuration. For pretrained ones set {keys} in "
                       "params.yaml to a hub name or a local folder (preset paper names both).")
    return _joined(*reasons)


def no_model(model: str) -> str:
    """Why a model has no figures, and how to give it some."""
    return (f"{printed.NAMES.get(model, model)} was not trained: name {model} under reproduce.folds.models in "
            "params.yaml and run `ser-ops reproduce paper2`.")


def not_run(results: Results, model: str, protocol: str) -> str:
    """The same for one protocol."""
    if all(results.of(model, other) is None for other in PROTOCOLS):
        return no_model(model)
    return (f"{printed.NAMES.get(model, model)} was not trained under the protocol {protocol}: list {protocol} under "
            "reproduce.folds.protocols in params.yaml and run `ser-ops reproduce paper2`.")


def no_cam(results: Results, emotion: str) -> str:
    if results.pictures.missing:
        return results.pictures.missing
    return (f"No test utterance of fold 1 is {emotion}: bring in a corpus that holds this class "
            "(docs/corpora.md lists what each holds).")

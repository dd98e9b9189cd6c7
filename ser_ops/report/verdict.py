"""The top of the page: the verdict in words, warnings that nobody can miss, and what the figures say in sentences."""

from collections.abc import Mapping
from typing import Any

from ser_ops.pages.words import CHANCE, cell_name, interval, percent, pick, plain, share
from ser_ops.report.tables import worst_confusion


def banner(gate: Any) -> dict[str, Any]:
    """{state: passed, blocked or unjudged; title; lines}."""
    if not isinstance(gate, Mapping) or not isinstance(gate.get("passed"), bool):
        return {"state": "unjudged", "title": "Not judged yet",
                "lines": ["gate.json is not there: nothing on this page vouches for the model."]}
    rules = gate.get("rules") or []
    applying = [rule for rule in rules if rule.get("applies", True)]
    failed = [str(rule.get("verdict", "")).removeprefix("blocked: ") for rule in applying if not rule.get("passed")]
    if gate["passed"]:
        return {"state": "passed", "title": "Passed the gate",
                "lines": [f"All {len(applying)} rules that apply are met. Whether it replaces today's staging model is "
                          "decided at promotion, over the same utterances."]}
    return {"state": "blocked", "title": "Blocked by the gate",
            "lines": [one[:1].upper() + one[1:] for one in failed] or [str(gate.get("verdict") or "without a reason")]}


def badges(metrics: Any, validation: Any, model: str) -> list[tuple[str, str]]:
    """Warnings in capitals with what each means, about the model of the page."""
    provenance = pick(metrics, "provenance") or {}
    synthetic = provenance.get("synthetic") or pick(validation, "synthetic") or []
    partial = provenance.get("partial") or pick(validation, "partial") or []
    found = []
    if synthetic:
        every = set(synthetic) >= set(provenance.get("corpora") or synthetic)
        found.append(("Synthetic data", f"{'All speech' if every else 'Part of the speech'} here was spoken by a "
                      f"synthesiser ({', '.join(synthetic)}). The figures say that the pipeline works; about people "
                      "they say nothing."))
    if partial:
        sizes = [f"{name} ({pick(validation, 'corpora', name, 'found') or '?'} of "
                 f"{pick(validation, 'corpora', name, 'expected') or '?'} utterances)" for name in partial]
        found.append(("Partial corpus", f"Not the full published corpus: {', '.join(sizes)}. Figures cannot be set "
                      "beside results on the whole."))
    backbone = provenance.get("backbone")
    if isinstance(backbone, str) and backbone.startswith("random"):
        hears = "wav2vec" in (pick(metrics, "models", model, "streams") or ["wav2vec"])
        found.append(("Random-weight backbone", f"{'Wav2Vec 2.0' if hears else model} was not pretrained ({backbone}): "
                      f"this {'stream' if hears else 'model'} is much weaker than the paper's."))
    protocol = provenance.get("protocol")
    if protocol not in (None, "speaker"):
        found.append(("Speakers are shared", f"The {protocol} protocol lets the model hear test speakers in training: "
                      "its figures are too high for strangers, and the gate does not accept them."))
    return found


def sentences(metrics: Any, model: str) -> list[str]:
    """What the figures say, for a reader with one minute."""
    figures, provenance = pick(metrics, "models", model) or {}, pick(metrics, "provenance") or {}
    clean, noisy = figures.get("clean"), figures.get("noisy")
    found = []
    if clean:
        unseen = ("that training never heard" if provenance.get("protocol") == "speaker"
                  else "some of whom training has heard")
        tested, speakers = (provenance.get(f"test_{name}", "?") for name in ("utterances", "speakers"))
        found.append(f"On {tested} utterances of {speakers} speakers {unseen}, it recognises "
                     f"{percent(clean.get('uar'))} of each emotion on average. Guessing gives {percent(CHANCE)}; the "
                     "same training on shuffled labels reaches up to "
                     f"{percent(pick(metrics, 'shuffled', 'uar_high'))}.")
    if noisy:
        worst = pick(figures, "worst_cell", "cell")
        found.append(f"In noise it keeps {percent(noisy.get('uar'))} on average; worst is {cell_name(worst)} with "
                     f"{percent(pick(figures, 'worst_cell', 'uar'))}.")
    weakest = worst_confusion(figures.get("confusion"))
    if weakest and weakest[2] < 1:
        found.append(f"It is weakest on {weakest[0]}: {percent(weakest[2])} are recognised, most of the others are "
                     f"taken for {weakest[1]}.")
    return found + streams(metrics, figures)


def streams(metrics: Any, figures: Mapping[str, Any]) -> list[str]:
    """Whether each stream of a fusion earns its place."""
    found = []
    for stream in figures.get("streams") or pick(metrics, "streams") or []:
        one = pick(metrics, "streams", stream)
        beats = pick(one, "beats_shuffled")
        if beats is True:
            found.append(f"The {plain(stream)} stream alone beats the shuffled labels (UAR {share(one.get('uar'))}).")
        elif beats is False:
            found.append(f"The {plain(stream)} stream alone does not beat the shuffled labels (UAR "
                         f"{share(one.get('uar'))}): it adds nothing that this evaluation can see.")
    return found


def cards(metrics: Any, published: Any, model: str) -> list[dict[str, str]]:
    """Headline figures: {title, value, range, beside}."""
    figures = pick(metrics, "models", model) or {}
    clean, noisy = figures.get("clean"), figures.get("noisy")
    paper = pick(published, "table_vi", str(figures.get("row")))
    worst = pick(figures, "worst_cell", "cell")
    cell = pick(figures, "cells", worst or "")
    claimed = claim(published, figures, worst)
    return [
        _card("Clean speech, UAR", clean, f"accuracy {percent(pick(clean, 'accuracy'), 1)}",
              pick(paper, "clean_accuracy")),
        _card("In noise, mean UAR", noisy, f"accuracy {percent(pick(noisy, 'accuracy'), 1)}",
              pick(paper, "noisy_accuracy")),
        _card("Worst room, UAR", cell, f"{cell_name(worst)}, accuracy {percent(pick(cell, 'accuracy'), 1)}", claimed),
        {"title": "Drop, clean to worst", "value": share(pick(figures, "drop", "uar")), "range": "in UAR",
         "beside": f"to the mean of the grid {share(pick(figures, 'drop', 'mean_uar'))}", "paper": ""},
    ]


def claim(published: Any, figures: Any, cell: Any) -> Any:
    """Accuracy in per cent that table V prints for a cell; None for every model but row D, of which it speaks."""
    return pick(published, "table_v", str(cell), "accuracy") if pick(figures, "row") == "D" else None


def _card(title: str, figures: Any, beside: str, paper: Any) -> dict[str, str]:
    shown, _, bounds = interval(figures).partition(" ")
    return {"title": title, "value": shown, "range": bounds, "beside": beside,
            "paper": "" if paper is None else f"paper 1 prints {percent(paper / 100, 2)} accuracy"}

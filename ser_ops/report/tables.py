"""What reports/index.html says in words and tables, as plain values; how they look is the template's affair.

From top to bottom: the gate's verdict, warnings, sentences and headline figures, then tables, then explanations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.emotions import EMOTIONS
from ser_ops.methods import METHODS, in_order
from ser_ops.pages import CHANCE, cell_name, interval, percent, pick, plain, share

STATIONARY = ("white", "pink", "brown")
_LINES = {"narrowband": "the telephone's band alone, 300 to 3400 Hz", "mulaw": "mu-law (G.711), landline",
          "gsm": "GSM full rate, 13 kbit/s", "opus_16": "Opus, 16 kbit/s", "opus_12": "Opus, 12 kbit/s",
          "opus_8": "Opus, 8 kbit/s",
          "loss_5": "mu-law, 5 % of packets lost", "loss_15": "mu-law, 15 % of packets lost",
          "room_small": "small room, reverberation 0.3 s", "room_large": "large room, reverberation 0.8 s"}


def banner(gate: Any) -> dict[str, Any]:
    """{state: passed, blocked or unjudged; title; lines}."""
    if not isinstance(gate, Mapping) or not isinstance(gate.get("passed"), bool):
        return {"state": "unjudged", "title": "Not judged yet",
                "lines": ["gate.json is missing: this page holds no verdict on the model."]}
    rules = gate.get("rules") or []
    applying = [rule for rule in rules if rule.get("applies", True)]
    failed = [str(rule.get("verdict", "")).removeprefix("blocked: ") for rule in applying if not rule.get("passed")]
    if gate["passed"]:
        return {"state": "passed", "title": "Passed the gate",
                "lines": [f"All {len(applying)} rules that apply are met. Whether it replaces today's staging model is "
                          "decided at promotion, over the same utterances."]}
    return {"state": "blocked", "title": "Blocked by the gate",
            "lines": [sentence[:1].upper() + sentence[1:] for sentence in failed]
            or [str(gate.get("verdict") or "without a reason")]}


def badges(metrics: Any, validation: Any, model: str) -> list[tuple[str, str]]:
    """Warnings in capitals with what each means, about the model of the page."""
    provenance = pick(metrics, "provenance") or {}
    synthetic = provenance.get("synthetic") or pick(validation, "synthetic") or []
    partial = provenance.get("partial") or pick(validation, "partial") or []
    warnings = []
    if synthetic:
        all_synthetic = set(synthetic) >= set(provenance.get("corpora") or synthetic)
        spoken = "All speech" if all_synthetic else "Part of the speech"
        warnings.append(("Synthetic data", f"{spoken} here was spoken by a synthesiser ({', '.join(synthetic)}). The "
                         "figures say that the pipeline works; about people they say nothing."))
    if partial:
        sizes = [f"{name} ({pick(validation, 'corpora', name, 'found') or '?'} of "
                 f"{pick(validation, 'corpora', name, 'expected') or '?'} utterances)" for name in partial]
        warnings.append(("Partial corpus", f"Not the full published corpus: {', '.join(sizes)}. Figures cannot be set "
                         "beside results on the whole."))
    backbone = provenance.get("backbone")
    if isinstance(backbone, str) and backbone.startswith("random"):
        has_wav2vec = "wav2vec" in (pick(metrics, "models", model, "streams") or ["wav2vec"])
        name, part = ("Wav2Vec 2.0", "stream") if has_wav2vec else (model, "model")
        warnings.append(("Random-weight backbone",
                         f"{name} was not pretrained ({backbone}): this {part} is much weaker "
                         "than the paper's."))
    protocol = provenance.get("protocol")
    if protocol not in (None, "speaker"):
        warnings.append(("Speakers are shared", f"The {protocol} protocol lets the model hear test speakers in "
                         "training: its figures are too high for strangers, and the gate does not accept them."))
    return warnings


def sentences(metrics: Any, model: str) -> list[str]:
    """What the figures say, for a reader with one minute."""
    figures, provenance = pick(metrics, "models", model) or {}, pick(metrics, "provenance") or {}
    clean, noisy = figures.get("clean"), figures.get("noisy")
    said = []
    if clean:
        unseen = ("that training never heard" if provenance.get("protocol") == "speaker"
                  else "some of whom training has heard")
        tested, speakers = (provenance.get(f"test_{name}", "?") for name in ("utterances", "speakers"))
        said.append(f"On {tested} utterances of {speakers} speakers {unseen}, it recognises "
                    f"{percent(clean.get('uar'))} of each emotion on average. Guessing gives {percent(CHANCE)}; the "
                    "same training on shuffled labels reaches up to "
                     f"{percent(pick(metrics, 'shuffled', 'uar_high'))}.")
    if noisy:
        worst = pick(figures, "worst_cell", "cell")
        said.append(f"In noise it keeps {percent(noisy.get('uar'))} on average; worst is {cell_name(worst)} with "
                    f"{percent(pick(figures, 'worst_cell', 'uar'))}.")
    said += [f"{where} it keeps {percent(uar)} on average."
             for kind, where in (("telephone", "Over the telephone"), ("rooms", "In rooms that reverberate"))
             if (uar := pick(figures, "transmission", kind, "uar")) is not None]
    weakest = worst_confusion(figures.get("confusion"))
    if weakest and weakest[2] < 1:
        said.append(f"It is weakest on {weakest[0]}: {percent(weakest[2])} are recognised, most of the others are "
                    f"taken for {weakest[1]}.")
    return said + stream_sentences(metrics, figures)


def worst_confusion(counts: Any) -> tuple[str, str, float] | None:
    """The emotion that is recognised least, what it is taken for most, and its recall."""
    rows = [row for row in confusion(counts) if row["total"]]
    if not rows:
        return None
    recall = {row["emotion"]: row["cells"][EMOTIONS.index(row["emotion"])][1] for row in rows}
    weakest = min(rows, key=lambda row: recall[row["emotion"]])
    others = {emotion: cell[0] for emotion, cell in zip(EMOTIONS, weakest["cells"], strict=True)
              if emotion != weakest["emotion"]}
    return weakest["emotion"], max(others, key=lambda emotion: others[emotion]), recall[weakest["emotion"]]


def stream_sentences(metrics: Any, figures: Mapping[str, Any]) -> list[str]:
    """Whether each stream of a fusion earns its place."""
    said = []
    for stream in figures.get("streams") or pick(metrics, "streams") or []:
        scores = pick(metrics, "streams", stream)
        beats = pick(scores, "beats_shuffled")
        if beats is True:
            said.append(f"The {plain(stream)} stream alone beats the shuffled labels (UAR {share(scores.get('uar'))}).")
        elif beats is False:
            said.append(f"The {plain(stream)} stream alone does not beat the shuffled labels (UAR "
                        f"{share(scores.get('uar'))}): it adds nothing that this evaluation can see.")
    return said


def cards(metrics: Any, published: Any, model: str) -> list[dict[str, str]]:
    """Headline figures: {title, value, range, beside}."""
    figures = pick(metrics, "models", model) or {}
    clean, noisy = figures.get("clean"), figures.get("noisy")
    paper = pick(published, "table_vi", str(figures.get("row")))
    worst = pick(figures, "worst_cell", "cell")
    cell = pick(figures, "cells", worst or "")
    claimed = printed_accuracy(published, figures, worst)
    return [
        _card("Clean speech, UAR", clean, f"accuracy {percent(pick(clean, 'accuracy'), 1)}",
              pick(paper, "clean_accuracy")),
        _card("In noise, mean UAR", noisy, f"accuracy {percent(pick(noisy, 'accuracy'), 1)}",
              pick(paper, "noisy_accuracy")),
        _card("Worst room, UAR", cell, f"{cell_name(worst)}, accuracy {percent(pick(cell, 'accuracy'), 1)}", claimed),
        {"title": "Drop, clean to worst", "value": share(pick(figures, "drop", "uar")), "range": "in UAR",
         "beside": f"to the mean of the grid {share(pick(figures, 'drop', 'mean_uar'))}", "paper": ""},
    ]


def _card(title: str, figures: Any, beside: str, paper: Any) -> dict[str, str]:
    shown, _, bounds = interval(figures).partition(" ")
    return {"title": title, "value": shown, "range": bounds, "beside": beside,
            "paper": "" if paper is None else f"paper 1 prints {percent(paper / 100, 2)} accuracy"}


def printed_accuracy(published: Any, figures: Any, cell: Any) -> Any:
    """Accuracy in per cent that table V prints for a cell; None for every model but row D, of which it speaks."""
    return pick(published, "table_v", str(cell), "accuracy") if pick(figures, "row") == "D" else None


def heat(cells: Any, shuffled: Any) -> dict[str, Any] | None:
    """Noise x intensity of one model: {levels, rows: [(noise, [cell or None])]}; recorded noise first.

    A cell is that of metrics.json with `lost`: no better than the upper bound of label-shuffled models.
    """
    if not isinstance(cells, Mapping) or not cells:
        return None
    names = [cell.rpartition("@") for cell in cells]
    levels = sorted({level for _, _, level in names}, key=_intensity)
    noises = sorted(dict.fromkeys(noise for noise, _, _ in names), key=lambda noise: noise in STATIONARY)
    rows = []
    for noise in noises:
        row = []
        for level in levels:
            cell, bound = cells.get(f"{noise}@{level}"), pick(shuffled, "cells", f"{noise}@{level}")
            row.append(None if cell is None else {**cell, "lost": bound is not None and cell["uar"] <= bound})
        rows.append((noise, row))
    return {"levels": levels, "rows": rows}


def _intensity(level: str) -> float:
    try:
        return float(level)
    except ValueError:
        return 0.0


def colour(value: Any, low: float = CHANCE, high: float = 1.0) -> str:
    """Background and ink of a cell, as inline style: pale at `low` or below, dark blue at `high`.

    >>> colour(0.1), colour(1.0)
    ('background:rgb(243,246,250);color:#000', 'background:rgb(11,46,99);color:#fff')
    """
    if not isinstance(value, int | float):
        return ""
    stops = ((243, 246, 250), (157, 196, 232), (41, 105, 184), (11, 46, 99))
    position = min(max((value - low) / ((high - low) or 1), 0.0), 1.0) * (len(stops) - 1)
    first = min(int(position), len(stops) - 2)
    red, green, blue = (round(a + (b - a) * (position - first)) for a, b in zip(stops[first], stops[first + 1],
                                                                                strict=True))
    light = sum(weight * (channel / 255) ** 2.2 for weight, channel in zip((0.213, 0.715, 0.072), (red, green, blue),
                                                                           strict=True))
    return f"background:rgb({red},{green},{blue});color:{'#000' if light > 0.18 else '#fff'}"  # 0.18: equal contrast


def table_v(cells: Any, published: Any) -> list[dict[str, Any]]:
    """Table V in the paper's shape: groups of {title, rows}, each row with ours and the paper's printed figures."""
    if not isinstance(cells, Mapping):
        return []
    groups: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for cell in sorted(cells, key=lambda cell: (_noise_order(cell), cell.rpartition("@")[0])):
        noise, _, level = cell.rpartition("@")
        paper = pick(published, "table_v", cell)
        groups[noise in STATIONARY].append({
            "noise": noise, "level": level, "ours": cells[cell], "paper": paper,
            "mark": pick(published, "marks", "V", cell)})
    titles = {True: "Stationary interferences", False: "Non-stationary interferences"}
    return [{"title": titles[kind], "rows": rows} for kind, rows in groups.items() if rows]


def _noise_order(cell: str) -> int:
    noise = cell.rpartition("@")[0]
    return STATIONARY.index(noise) if noise in STATIONARY else len(STATIONARY)


def transmission(figures: Any) -> list[dict[str, Any]]:
    """Telephone lines and rooms: groups of {title, mean, rows}; mean and rows are {line, scores, lost}, in UAR."""
    clean = pick(figures, "clean", "uar")
    groups: list[dict[str, Any]] = []
    for kind, title in (("telephone", "Over the telephone"), ("rooms", "In rooms")):
        mean = pick(figures, "transmission", kind)
        cells = pick(figures, "transmission", "cells") or {}
        rows = [{"line": _LINES.get(cell, plain(cell)), "scores": scores,
                 "lost": None if clean is None else clean - scores["uar"]}
                for cell, scores in cells.items() if cell.startswith("room") == (kind == "rooms")]
        if mean and rows:
            groups.append({"title": title, "rows": rows, "mean": {
                "line": "mean", "scores": mean, "lost": None if clean is None else clean - mean["uar"]}})
    return groups


def voices(figures: Any) -> dict[str, Any] | None:
    """`evaluation.voices` as the page shows it; None for a model that cannot make use of a known voice."""
    known = pick(figures, "voices")
    whole = isinstance(known, Mapping) and {"first", "after", "one_emotion"} <= known.keys()
    return dict(known) if whole else None


def confusion(counts: Any) -> list[dict[str, Any]]:
    """Rows of the confusion matrix: {emotion, total, cells: [(count, share of the true class)]}."""
    if not isinstance(counts, Sequence) or len(counts) != len(EMOTIONS):
        return []
    return [{"emotion": emotion, "total": sum(row),
             "cells": [(count, count / sum(row) if sum(row) else None) for count in row]}
            for emotion, row in zip(EMOTIONS, counts, strict=True)]


def clip_pictures(clip: Any) -> list[dict[str, Any]]:
    """The pictures of one clip of explanations.json: [{method, name, figure, curve}].

    A method has a figure of its own, or the clip has one for all; a figure is shown once.
    """
    pictures: list[dict[str, Any]] = []
    for method in METHODS.values():
        curve = pick(clip, method.name)
        figure = pick(curve, "figure") or pick(clip, "figures", method.name) or pick(clip, "figure")
        if isinstance(curve, Mapping) and figure not in [picture["figure"] for picture in pictures]:
            pictures.append({"method": method.name, "name": method.title, "figure": figure, "curve": curve})
    return pictures


def methods_shown(explanations: Any) -> list[str]:
    """Those of the pictures that the clips have, in the order of the catalogue."""
    used = {picture["method"] for clip in pick(explanations, "clips") or [] for picture in clip_pictures(clip)}
    return in_order(used)


def explanation_sentences(explanations: Any, streams: Sequence[str]) -> list[str]:
    """What the pictures show and what they do not. streams: those of the model."""
    used = methods_shown(explanations)
    sentences = [f"{METHODS[name].title}: {METHODS[name].caption}" if len(used) > 1 else METHODS[name].caption
                 for name in used]
    if "wav2vec" in streams and len(streams) > 1 and used:
        sentences.append("Methods over features do not see the stream over the waveform: it kept hearing all of it.")
    return [*sentences, "Seconds count from the start of the window that the model hears; hatched is padding."]



"""All that explanations.json holds of a model: clips, noise, faithfulness, a planted cue, paper 1's figures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ser_ops.dataset.rows import Row
from ser_ops.device import device_of
from ser_ops.explain import believed, faithfulness
from ser_ops.explain.across_noise import across_noise
from ser_ops.explain.clip import title
from ser_ops.explain.job import Explained, Job, Planted, done, items, opened
from ser_ops.explain.overall import overall
from ser_ops.explain.pictures.overall import ShapRow, global_figures
from ser_ops.explain.pictures.paper import paper_figures
from ser_ops.explain.subject import Subject
from ser_ops.progress.bar import progress
from ser_ops.progress.spreading import spread
from ser_ops.terminal import tell


def everything(job: Job, rows: Sequence[Row], workers: int) -> dict[str, Any]:
    """Explain, measure and draw, over `workers` processes (0: one a core). A GPU is one worker.

    rows: of the test partition. Returns methods, not_admitted (method to reason), clips (an entry a method that draws a
    picture of its own, with its `figure`; the first one's is the clip's), heard (every clip under every condition),
    shap (None where the model has no features with names), across_noise, faithfulness and planted. Each clip is
    explained once, for the class that the model answers without noise, right or wrong. Choices are keyed by
    settings.seed.
    """
    if device_of(job.device).type != "cpu":
        workers = 1
    pieces = [None, *items(rows, job.settings)]     # the planted cue takes longest: it begins first
    planted, *found = spread(partial(done, job), pieces, "explain", workers)
    assert isinstance(planted, Planted)
    if planted.why:
        tell(f"explain: no cue was planted: {planted.why}")
    told = [one for one in found if isinstance(one, Explained)]
    explained = [one for one in told if one.clip is not None]
    subject = opened(job).subject
    faithful = faithfulness.together([one.measured for one in explained if one.measured], job.settings)
    believe = believed.sentences(faithful)
    for number, one in progress(_numbered(explained), "figures", len(explained)):
        if number <= job.settings.figures_per_class and one.heard and one.traces and one.measured:
            one.entries[0]["figures"] = paper_figures(
                subject, one.heard, one.entries[0], one.traces, one.attribution, one.measured.course, job.settings,
                job.output.figures, job.output.figures_prefix, believe)
    return {
        "methods": list(subject.admitted), "not_admitted": subject.not_admitted,
        "clips": [one.clip for one in explained], "shap": _shap(job, subject, explained, believe),
        "heard": [entry for one in explained for entry in one.entries],
        "across_noise": across_noise([record for one in told for record in _records(one)], job.settings.conditions,
                                     job.settings.seed),
        "faithfulness": faithful, "planted": planted.report}


def _records(one: Explained) -> list[dict[str, Any]]:
    """An utterance under every condition. Its methods count where they were asked in noise too: clean and noisy figures
    are then of the same utterances.
    """
    if len(one.entries) > 1:
        return one.entries
    return [{key: value for key, value in entry.items() if key != "traces"} for entry in (*one.entries, *one.records)]


def _numbered(explained: Sequence[Explained]) -> list[tuple[int, Explained]]:
    """Each with its place among those of its class, from 1."""
    number, found = Counter[str](), []
    for one in explained:
        emotion = one.entries[0]["emotion"]
        number[emotion] += 1
        found.append((number[emotion], one))
    return found


def _shap(job: Job, subject: Subject, explained: Sequence[Explained],
          believe: Mapping[str, str]) -> dict[str, Any] | None:
    """All utterances together: which features the scores follow, with paper 1's figure 4."""
    pairs = [(one, one.attribution) for one in explained if one.attribution is not None and one.heard is not None]
    if not pairs:
        return None
    output, attributions = job.output, [attribution for _, attribution in pairs]
    background = opened(job).background
    rows = [ShapRow(one.heard.batch.features[0].cpu().numpy(), one.entries[0]["explained"], title(one.entries[0]))
            for one, _ in pairs if one.heard is not None]
    file = output.figures / "shap_global.png"
    found = overall(subject, attributions, [row.explained for row in rows], job.settings,
                    0 if background is None else len(background.features), file)
    return {"figure": f"{output.figures_prefix}{file.name}"} | found | {"figures": global_figures(
        subject, attributions, rows, job.settings, output.figures, output.figures_prefix,
        believe.get("shap", ""))}

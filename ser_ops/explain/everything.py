"""All that explanations.json holds of a model: clips, noise, faithfulness, a planted cue, paper 1's figures."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser_ops.dataset.examples import Examples
from ser_ops.explain import faithfulness, planted
from ser_ops.explain.across_noise import across_noise
from ser_ops.explain.heard import Answering, Heard, hear
from ser_ops.explain.pictures.overall import global_figures
from ser_ops.explain.pictures.paper import paper_figures
from ser_ops.explain.suite import Explained, examine
from ser_ops.explain.under_noise import Answered, Job, Opened, ask
from ser_ops.progress.bar import progress
from ser_ops.terminal import tell


def everything(job: Job, test: Examples, train: Examples, workers: int, figures: Path, prefix: str) -> dict[str, Any]:
    """Measure and draw all of it, over `workers` processes where clips can be spread (0: one a core).

    figures: the folder of drawn figures, `prefix` what stands before their names; sounds and spectrograms go where the
    job says. test, train: the pipeline's partitions as the job's model reads them.
    """
    settings, opened = job.settings, Opened.of(job)
    asked = ask(job, test.rows, workers)
    heard = [hear(opened.subject, row, opened.waveforms[row.utterance]) for row in asked.clean]
    answering = Answering(opened.subject, settings.batch_size)
    background = None if opened.background is None else opened.background.features
    faithful = faithfulness.measure(opened.subject, heard, asked.traces, answering, settings, background)
    explained = examine(opened.subject, test, train, settings, figures, prefix)
    believe = believed_of(faithful)
    _draw(opened, asked, heard, explained, believe, figures, prefix)
    return explained.report | {
        "heard": asked.heard, "across_noise": across_noise(asked.records, settings.conditions, settings.seed),
        "faithfulness": faithful, "planted": _planted(opened, job)}


def _planted(opened: Opened, job: Job) -> dict[str, Any] | None:
    try:
        return planted.measure(opened.subject, job.settings)
    except planted.WindowTooShort as error:
        tell(f"explain: no cue was planted: {error}")
        return None


def believed_of(faithful: Mapping[str, Any]) -> dict[str, str]:
    """A method to the sentence that says whether it beats chance, for the captions of its figures."""
    return {name: sentence for name in faithful["methods"]
            if (sentence := next((one for one in faithful["words"]
                                  if one.startswith(faithfulness.believed.TITLES[name])), ""))}


def _draw(opened: Opened, asked: Answered, heard: list[Heard], explained: Explained, believe: Mapping[str, str],
          figures: Path, prefix: str) -> None:
    """Paper 1's figures: of the first clips of each class into its entry, of all together into the report's SHAP."""
    settings, number = opened.settings, Counter[str]()
    clean = {entry["utterance"]: entry for entry in asked.heard if entry["noise"] == "clean"}
    attributions = dict(zip((clip["utterance"] for clip in explained.report["clips"]), explained.attributions,
                            strict=False))
    for one, traces in progress(list(zip(heard, asked.traces, strict=True)), "figures"):
        number[one.row.emotion] += 1
        if number[one.row.emotion] <= settings.figures_per_class:
            clean[one.row.utterance]["figures"] = paper_figures(
                opened.subject, one, traces, attributions.get(one.row.utterance), settings, figures, prefix, believe)
    if explained.report["shap"] is not None:
        explained.report["shap"]["figures"] = global_figures(
            opened.subject, explained.attributions, explained.rows, settings, figures, prefix,
            believe.get("shap", ""))

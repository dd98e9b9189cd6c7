"""Paper 2's figures 4 to 13: confusion, learning curves and Grad-CAM of the explained model, with its metric tables."""

from collections.abc import Mapping
from typing import Any

from ser_ops.emotions import EMOTIONS
from ser_ops.papers import published_two as printed
from ser_ops.papers.table import Cell, Figure, Table
from ser_ops.papers.two_results import PROTOCOLS, Results, named, no_cam, no_model, other_corpus


def cam_table(results: Results, emotion: str) -> Table:
    """The metric table of one of figures 7 to 13."""
    paper, marks = printed.FIGURES_7_TO_13[emotion], printed.MARKS.get(emotion, {})
    cams = [one for one in results.pictures.cams if one["emotion"] == emotion]
    columns = ("Metric", *(["Value"] if len(cams) < 2 else [f"Example {place + 1}" for place in range(len(cams))]))
    asked: list[tuple[str, str, str, str | None]] = [
        ("Recognised as", "predicted", "", emotion), ("Model confidence", "confidence", "percent", paper.confidence),
        ("Mean activation", "mean_activation", "share", paper.mean_activation),
        ("Maximum activation", "max_activation", "share", paper.max_activation),
        ("Activated area", "activated_area_pct", "percent", paper.activated_area_pct),
        ("Entropy, nats", "entropy", "", paper.entropy),
        ("Time focus, seconds", "time_focus_range", "", " to ".join(paper.time_focus_range)),
        ("Frequency focus, hertz", "freq_focus_range", "", " to ".join(paper.freq_focus_range)),
        ("Confidence drop after masking, points", "confidence_drop", "percent", paper.confidence_drop)]
    rows: list[tuple[Cell | str, ...]] = []
    for label, name, unit, claim in asked:
        rows.append((label, *(Cell(_cam_value(one, name), claim if not place else None, unit,
                                   mark=marks.get(name, "") if not place else "")
                              for place, one in enumerate(cams or [{}]))))
    for place, one in enumerate(EMOTIONS):
        rows.append((f"Probability of {one}", *(
            Cell((cam.get("probabilities") or {}).get(one), paper.probabilities[place] if not number else None, "share")
            for number, cam in enumerate(cams or [{}]))))
    notes = (*filter(None, [other_corpus(results) if cams else ""]), printed.SOURCES["grad_cam"])
    return Table(f"figure_{paper.figure}", f"Grad-CAM metrics, {emotion}", columns, tuple(rows), notes,
                 "" if cams else no_cam(results, emotion), (results.pictures.protocol,) if cams else ())


def _cam_value(cam: Mapping[str, Any], name: str) -> float | str | None:
    found = cam.get(name)
    if found is None:
        return None
    if name == "confidence":
        return 100 * float(found)
    if name == "time_focus_range":
        return " to ".join(f"{one:.2f}" for one in found)
    if name == "freq_focus_range":
        return " to ".join(f"{one:.1f}" for one in found)
    return found if isinstance(found, str) else float(found)


def figures(results: Results) -> tuple[Figure, ...]:
    """Figures 4 to 13."""
    pictures, other = results.pictures, other_corpus(results)
    name, absent = named(results.explained), no_model(results.explained)
    found = [Figure(
        "figure_4", f"Confusion matrix of {name}", (pictures.confusion,) if pictures.confusion else (),
        "All folds pooled: share of the true class (colour) and count. The paper's matrix is a picture whose counts "
        "cannot be read here; figure 3's rows admit 4 errors in 563: two of class 0, one each of classes 3 and "
        f"5. {other}", "" if pictures.confusion else absent)]
    for number, kind, title, caption in (
            (5, "uar", "Accuracy curve", "The training loop records UAR (the mean recall of the seven classes), not "
             "accuracy: with classes of one size, as in TESS, they are the same. "),
            (6, "loss", "Loss curve", "Cross-entropy in nats. ")):
        file = pictures.curves.get(kind, "")
        found.append(Figure(
            f"figure_{number}", f"{title} of {name}", (file,) if file else (), caption + "One line for each fold: "
            "dashed over its training utterances, with dropout, whole over its validation utterances; a mark stands at "
            "the epoch whose weights were tested, the best on validation. The paper does not say which fold its curve "
            f"is of. {other}", "" if file else absent))
    return (*found, *(_cam_figure(results, emotion) for emotion in by_figure()))


def _cam_figure(results: Results, emotion: str) -> Figure:
    cams = [one for one in results.pictures.cams if one["emotion"] == emotion]
    said = []
    for place, one in enumerate(cams):
        right = one.get("predicted") == emotion
        said.append(f"{f'Example {place + 1}: ' if len(cams) > 1 else ''}{one.get('utterance', 'an utterance')}, "
                    f"{'recognised' if right else 'taken for ' + str(one.get('predicted')) + ': no further test '}"
                    f"{'' if right else 'utterance of this class was recognised'}.")
    caption = (f"{' '.join(said)} Test utterance of fold 1, {PROTOCOLS.get(results.pictures.protocol, '')}, model "
               f"{named(results.explained)}. The map is of the class that the model answered."
               if cams else "")
    return Figure(f"figure_{printed.FIGURES_7_TO_13[emotion].figure}", f"Grad-CAM, {emotion}",
                  tuple(str(one["figure"]) for one in cams), caption,
                  "" if cams else no_cam(results, emotion))


def by_figure() -> list[str]:
    """The seven emotions in the order of figures 7 to 13."""
    return sorted(printed.FIGURES_7_TO_13, key=lambda emotion: printed.FIGURES_7_TO_13[emotion].figure)

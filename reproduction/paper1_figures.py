"""Paper 1's figures 1 to 5: the architecture drawn from the model's card, and the pictures of the stage explain."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Any

from reproduction.paper1_tables import MODEL, fuses_late
from reproduction.paper_page import Figure
from ser_ops.files import replacing
from ser_ops.models.whisper_encoder import MODEL_TYPE as WHISPER
from ser_ops.pages import percent, pick

NO_EXPLANATIONS = "reports/explanations.json is not there: `dvc repro explain` makes it"
_OLDER_REPORT = "explanations.json holds no {key} of this: it is older than the figures, run `dvc repro explain`"
_SALIENCY = ("neutral", "angry", "disgust")             # classes of figure 2
_ALIGNED_FIGURES = {"figure_3a": "angry", "figure_3b": "disgust"}
_CLASSES = {"figure_3c": ("fear",), "figure_3d": ("surprise",), "figure_3e": ("",),     # "": of any class
            "figure_5": ("fear", "surprise", "happy")}
_SHOWN_TWICE = ("figure_5", "surprise")                         # the paper shows two
_TITLES = {
    "figure_3c": "Occlusion sensitivity: fear",
    "figure_3d": "Active against ignored regions: surprise",
    "figure_3e": "Counterfactual masking: the sound, the sound without what was important, and the answer on the way",
    "figure_5": "SHAP on the waveform, the glowing signal: fear, surprise and happy"}
_CAPTIONS = {
    "figure_3c": "What the class loses when a moment is muted: {clips}.",
    "figure_3d": "What a method gives most to, coloured, against the rest: {clips}. The paper draws one method, here "
                 "are all that the model admits.",
    "figure_3e": "{clips}. The paper masks once and shows one clip whose confidence collapses; here more and more is "
                 "muted until the answer changes, and the same in random orders, which the paper leaves out.",
    "figure_5": "{clips}. Signed: orange for the class, blue against it; the paper's dots show the amount alone. That "
                "the model finds onsets and leaves silence out is the paper's reading of four clips; how much of SHAP "
                "lies within speech, and whether it beats chance, is measured on the page of explanations."}
_SHAP_CLASS = "fear"                                    # figures 4b to 4d are of it
_SHAP_PANELS = {
    "b": "Panel b: an utterance a dot, orange where the feature was high; the paper reads 'more spectral roughness, "
         "more fear' out of it, which asks for orange on the right and blue on the left of a row.",
    "c": "Panel c: the same values as violins; long tails of so few utterances are single dots.",
    "d": "Panel d: one answer taken apart, with all other features and what sampling missed as bars of their own."}
_INK, _SOFT, _FILL, _OTHER, _JOINT = "#1f2933", "#56626f", "#dbe9f6", "#fdebd3", "#e4e7eb"


def figures(explanations: Mapping[str, Any] | None, card: Mapping[str, Any] | None, reports: Path,
            folder: Path) -> tuple[Figure, ...]:
    """Figures 1 to 5; a picture that is not there is said in its figure.

    Args:
        explanations: of explanations.json; None where it is not there.
        card: model.json of the main model; None where it is not there.
        reports: folder in which the pictures of explanations.json lie.
        folder: where pictures are drawn or copied.

    Raises:
        UserError: the folder cannot be written.
    """
    return (_architecture_figure(card, folder), _saliency_figure(explanations, reports, folder),
            *(_aligned_figure(key, emotion, explanations, reports, folder)
              for key, emotion in _ALIGNED_FIGURES.items()),
            *(_clip_figure(key, explanations, reports, folder) for key in ("figure_3c", "figure_3d", "figure_3e")),
            _shap_figure(explanations, reports, folder), _clip_figure("figure_5", explanations, reports, folder))


def _architecture_figure(card: Mapping[str, Any] | None, folder: Path) -> Figure:
    title = "The architecture: a Transformer backbone with a CNN feature encoder"
    if card is None or card.get("model") != MODEL:
        why = "work/models holds no model.json: `dvc repro train` makes it" if card is None else \
            f"train.model is {card.get('model')}: set it to {MODEL} and run `dvc repro`"
        return Figure("figure_1", title, (), "", f"{why}.")
    first, second, joined = layers(card)
    _draw_architecture(first, second, joined, folder / "figure_1.png")
    caption = (f"Ours, {card['parameters'] / 1e6:.3f} M parameters (the paper says 115.3 M), preset "
               f"{card.get('preset') or 'not said'}. Waveform stream: {' → '.join(first)}. Spectral stream: "
               f"{' → '.join(second)}. Joined: {' → '.join(joined)}.").replace("\n", " ")
    return Figure("figure_1", title, ("figure_1.png",), caption)


def layers(card: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The layers of a fusion's model.json in words: waveform stream, spectral stream, what joins them."""
    preset, config = card["preset_settings"], card.get("backbone_config") or {}
    features, spectral, head, wav2vec = (preset[name] for name in ("features", "spectral", "head", "wav2vec"))
    hidden = config.get("hidden_size", wav2vec["hidden"])
    kinds = 2 + features["mfcc"]
    shape = "one serial vector" if features["layout"] == "serial" else f"{kinds} channels over time"
    first = (f"waveform, {features['seconds']:g} s at 16,000 Hz",
             f"{_encoder_layers(config, wav2vec)}\n({card.get('backbone') or 'backbone not said'})")
    second = (f"ZCR, RMS, {features['mfcc']} MFCC at {features['sample_rate']:,} Hz, {shape}",
              *(_band_layers if spectral["design"] == "bands" else _block_layers)(spectral, features))
    hidden_layer = f"Linear {head['hidden']}; ReLU; dropout {head['dropout']:g}"
    if fuses_late(preset):
        answer = f"{hidden_layer}; Linear 7{_members_sentence(spectral)}"
        left_out = f"dropout {wav2vec['statistics_dropout']:g}"
        weights = " and ".join(f"{'waveform' if name == 'wav2vec' else name} {value:.2f}"
                               for name, value in (card.get("stream_weights") or {}).items())
        return ((*first, "mean and deviation over valid frames of each layer",
                 f"BatchNorm; {left_out}; Linear {wav2vec['embedding']}; ReLU; BatchNorm; {left_out}", answer),
                (*second, answer),
                (f"log probabilities of both, weighted{f': {weights}' if weights else ''}",
                 "softmax: the seven emotions"))
    summed = ("learned sum of all layers",) if wav2vec["states"] == "weighted" else ()
    return ((*first, *summed, "attentive temporal pooling: w·tanh(W h + b), softmax over valid frames"), second,
            (f"concatenation, {hidden + spectral['embedding']}", hidden_layer,
             f"Linear 7; softmax{_members_sentence(spectral)}: the seven emotions"))


def _encoder_layers(config: Mapping[str, Any], wav2vec: Mapping[str, Any]) -> str:
    """The speech encoder in words: of the kept configuration, or of a small Wav2Vec 2.0 by the preset."""
    depth = config.get("num_hidden_layers", wav2vec["layers"])
    layers_of = f"{depth} transformer layers of {config.get('hidden_size', wav2vec['hidden'])}"
    if config.get("model_type") == WHISPER:
        published = config.get("published_layers", depth)
        left = "" if published == depth else f", the first of {published}"
        return f"Whisper's encoder: {config['mel_bins']} log-mel bands, 2 convolutions, {layers_of}{left}"
    kind = str(config.get("model_type", "wav2vec2"))
    name = "Wav2Vec 2.0" if kind.startswith("wav2vec2") else kind
    return f"{name}: {len(config.get('conv_kernel') or wav2vec['convolutions'])} convolutions, {layers_of}"


def _block_layers(spectral: Mapping[str, Any], _features: Mapping[str, Any]) -> tuple[str, ...]:
    dropout = ["", *[f"; dropout {spectral['dropout']:g}"] * 2]
    return (*(f"Conv1D {channels}, k {kernel}; BatchNorm; ReLU; MaxPool {kernel}, stride 2{left_out}"
              for channels, kernel, left_out in zip(spectral["channels"], spectral["kernels"], dropout, strict=True)),
            f"flatten; Linear {spectral['embedding']}; ReLU; BatchNorm")


def _band_layers(spectral: Mapping[str, Any], features: Mapping[str, Any]) -> tuple[str, ...]:
    """Convolutions that are alike stand in one line, so that the drawing keeps its height."""
    pools = ", ".join(f"{bands} x {frames}" for bands, frames in spectral["pools"])
    many = f"{spectral['members']} members, each: " if spectral["members"] > 1 else ""
    return (f"{features['mels']} log-mel bands of the MFCC; ZCR, RMS; BatchNorm",
            f"{many}{len(spectral['channels'])} Conv2D {', '.join(map(str, spectral['channels']))}, k 3 x 3;\n"
            f"MaxPool {pools}; BatchNorm; ReLU",
            f"beside ZCR and RMS: Conv1D {spectral['maps']}, k {spectral['kernel']}; BatchNorm; ReLU",
            f"attentive mean and deviation; dropout {spectral['dropout']:g}",
            f"Linear {spectral['embedding']}; ReLU; BatchNorm")


def _members_sentence(spectral: Mapping[str, Any]) -> str:
    members = spectral.get("members", 1)
    return f"; mean of {members} such heads, one of each member" if members > 1 else ""


def _draw_architecture(first: Sequence[str], second: Sequence[str], joined: Sequence[str], path: Path) -> None:
    """Boxes and arrows: two columns of layers, and what joins them below."""
    import matplotlib
    from matplotlib.figure import Figure as Picture
    matplotlib.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9})
    rows = max(len(first), len(second))
    height = rows + len(joined) + 0.6
    picture = Picture(figsize=(9, 0.66 * height), dpi=130)
    axes = picture.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, 2), ylim=(height, 0))
    axes.axis("off")

    def box(x: float, y: float, words: str, colour: str) -> Any:
        return axes.text(x, y, "\n".join(fill(line, 60) for line in words.split("\n")), ha="center", va="center",
                         color=_INK, fontsize=8.5, bbox={"boxstyle": "round,pad=0.45", "facecolor": colour,
                                                         "edgecolor": _SOFT, "linewidth": 0.8})

    def arrow(above: Any, below: Any) -> None:
        axes.annotate("", below.get_position(), above.get_position(), arrowprops={
            "arrowstyle": "-|>", "color": _SOFT, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 1,
            "patchA": above.get_bbox_patch(), "patchB": below.get_bbox_patch()})

    joints = [box(1.0, rows + 1.0 + row, words, _JOINT) for row, words in enumerate(joined)]
    for x, name, column, colour in ((0.5, "Branch I: waveform", first, _FILL),
                                    (1.5, "Branch II: spectral", second, _OTHER)):
        step = (rows - 1) / max(len(column) - 1, 1)
        axes.text(x, 0.35, name, ha="center", va="center", color=_INK, fontweight="bold", fontsize=10)
        boxes = [box(x, 1.0 + step * row, words, colour) for row, words in enumerate(column)]
        for above, below in pairwise([*boxes, joints[0]]):
            arrow(above, below)
    for above, below in pairwise(joints):
        arrow(above, below)
    with replacing(path) as temporary:
        picture.savefig(temporary, format="png", metadata={"Software": None})


def _saliency_figure(explanations: Mapping[str, Any] | None, reports: Path, folder: Path) -> Figure:
    files: list[str] = []
    sentences, absent = [], []
    for emotion in _SALIENCY:
        clip = next(iter(_clips_of_method(explanations, emotion, "scorecam")), None)
        copied = () if clip is None else _copy_picture(clip.get("figure"), reports, folder, f"figure_2_{emotion}.png")
        files += copied
        if clip is not None and copied:
            sentences.append(_clip_sentence(clip))
        else:
            absent.append(emotion)
    why = _why_not_admitted(explanations, "scorecam")
    if absent and not why:
        why = _why_no_picture(explanations, absent)
    caption = (f"Above the waveform coloured by Score-CAM, below its value at each step: {'; '.join(sentences)}. The "
               "class explained is the one that the model answered.") if sentences else ""
    return Figure("figure_2", "Score-CAM saliency: neutral, angry and disgust", tuple(files), caption, why)


def _aligned_figure(key: str, emotion: str, explanations: Mapping[str, Any] | None, reports: Path,
                    folder: Path) -> Figure:
    """All methods on two axes; in an older run the last clip's heat map, another one than figure 2's."""
    clean = _clean_clips(explanations, emotion, "figure_3ab")
    clips = _clips_of_method(explanations, emotion, "scorecam")
    files = _copy_picture(clean[0]["figures"]["figure_3ab"], reports, folder, f"{key}.png") if clean else ()
    caption = f"Test utterance: {_clip_sentence(clean[0])}. Each method has an axis of its own." if files else ""
    if not files and clips:
        files = _copy_picture(clips[-1].get("figure"), reports, folder, f"{key}.png")
        if files:
            caption = (f"Test utterance: {_clip_sentence(clips[-1])}. Importance and waveform share one time axis; "
                       f"{percent(clips[-1]['scorecam'].get('share_in_padding'))} of the importance lies on padding, "
                       "where nobody speaks.")
    why = _why_not_admitted(explanations, "scorecam")
    if not files and not why:
        why = _why_no_picture(explanations, [emotion])
    return Figure(key, f"Importance aligned with the waveform: {emotion}", files, caption, why)


def _clips_of_method(explanations: Mapping[str, Any] | None, emotion: str, method: str) -> list[Mapping[str, Any]]:
    return [clip for clip in pick(explanations, "clips") or [] if clip.get("emotion") == emotion and clip.get(method)]


def _clip_figure(key: str, explanations: Mapping[str, Any] | None, reports: Path, folder: Path) -> Figure:
    """A figure of single clips: the paper's own classes, the first clip of each (two of surprise in figure 5)."""
    files: list[str] = []
    clips: list[Mapping[str, Any]] = []
    absent = []
    for emotion in _CLASSES[key]:
        shown: list[Mapping[str, Any]] = []
        for clip in _clean_clips(explanations, emotion, key)[:1 + ((key, emotion) == _SHOWN_TWICE)]:
            target = "_".join(filter(None, (key, emotion, "2" if shown else ""))) + ".png"
            if copied := _copy_picture(clip["figures"][key], reports, folder, target):
                files += copied
                shown.append(clip)
        clips += shown
        if not shown:
            absent.append(emotion)
    caption = _CAPTIONS[key].format(clips="; ".join(map(_clip_sentence, clips))) if clips else ""
    return Figure(key, _TITLES[key], tuple(files), caption, _why_missing(key, explanations, absent))


def _clean_clips(explanations: Mapping[str, Any] | None, emotion: str, key: str) -> list[Mapping[str, Any]]:
    """Clips without noise of a class ("" for any) that have this figure, those that were recognised first."""
    clips = [clip for clip in pick(explanations, "heard") or []
             if clip.get("noise") == "clean" and emotion in ("", clip.get("emotion")) and pick(clip, "figures", key)]
    return sorted(clips, key=lambda clip: clip.get("predicted") != clip.get("emotion"))


def _why_missing(key: str, explanations: Mapping[str, Any] | None, absent: Sequence[str]) -> str:
    """Why a figure is not there for some classes, and what to do; "" where all are and the model is the paper's."""
    if explanations is None:
        return f"{NO_EXPLANATIONS}."
    if key == "figure_5" and "shap" not in (explanations.get("methods") or []):
        return _why_not_admitted(explanations, "shap")
    if "heard" not in explanations:
        return f"{_OLDER_REPORT.format(key='heard')}."
    other = "" if explanations.get("model") in (None, MODEL) else \
        f"These are of {explanations['model']}: set train.model to {MODEL} for the paper's own model."
    classes = ", ".join(filter(None, absent))
    none = (f"No clip{f' of {classes}' if classes else ''} has it: none was explained, or its picture is not under "
            "reports: run `dvc repro explain`.") if absent else ""
    return " ".join(filter(None, (none, other)))


def _shap_figure(explanations: Mapping[str, Any] | None, reports: Path, folder: Path) -> Figure:
    title = "SHAP feature contributions"
    names = {"a": pick(explanations, "shap", "figure")} | {
        panel: pick(explanations, "shap", "figures", f"figure_4{panel}_{_SHAP_CLASS}") for panel in "bcd"}
    copied = {panel: _copy_picture(name, reports, folder, f"figure_4{panel}.png") for panel, name in names.items()}
    files = tuple(name for panel in copied for name in copied[panel])
    why = _why_not_admitted(explanations, "shap")
    if not files:
        return Figure("figure_4", title, (), "", why or "The picture of the stage explain is not there: run `dvc repro "
                                                        "explain`.")
    shap = explanations["shap"] if explanations else {}
    first = pick((shap.get("top") or [{}])[0], "feature")
    caption = (f"Panel a, the global bar, over {shap.get('utterances', '–')} test utterances against "
               f"{shap.get('background', '–')} training utterances. First here: {first or '–'}; in the paper it is "
               "Feature 1191, which equation 29 makes MFCC 15 (from 0) of frame 48 of 108 where there are 20 MFCC.")
    caption += "".join(f" {_SHAP_PANELS[panel]}" for panel in "bcd" if copied[panel])
    return Figure("figure_4", title, files, caption, " ".join(filter(None,
                                                                     (why, _why_panels_missing(explanations, copied)))))


def _why_panels_missing(explanations: Mapping[str, Any] | None, copied: Mapping[str, tuple[str, ...]]) -> str:
    absent = [panel for panel in "bcd" if not copied[panel]]
    if not absent:
        return ""
    if pick(explanations, "shap", "figures") is None:
        return f"Panels {', '.join(absent)}: {_OLDER_REPORT.format(key='shap.figures')}."
    return (f"Panels {', '.join(absent)} of {_SHAP_CLASS} are not there: no utterance was answered with it, or the "
            "picture is not under reports.")


def _clip_sentence(clip: Mapping[str, Any]) -> str:
    answer = "recognised" if clip.get("predicted") == clip.get("emotion") else f"taken for {clip.get('predicted')}"
    return f"{clip.get('emotion')}, {answer} with {percent(clip.get('confidence'))} ({clip.get('utterance')})"


def _copy_picture(name: object, reports: Path, folder: Path, target: str) -> tuple[str, ...]:
    """A picture of reports/ copied under a name of the page's folder; () when it is not there.

    Names come from a file: one that leads out of reports/ is as good as missing.
    """
    source = (reports / str(name)).resolve()
    if source.suffix != ".png" or not source.is_relative_to(reports.resolve()) or not source.is_file():
        return ()
    with replacing(folder / target) as copy:
        shutil.copyfile(source, copy)
    return (target,)


def _why_not_admitted(explanations: Mapping[str, Any] | None, method: str) -> str:
    """Why a method gave no picture; "" when the model admits it."""
    if explanations is None:
        return f"{NO_EXPLANATIONS}."
    if method in (explanations.get("methods") or []):
        return "" if explanations.get("model") in (None, MODEL) else \
            f"These are of {explanations['model']}: set train.model to {MODEL} for the paper's own model."
    why = pick(explanations, "not_admitted", method) or "the stage explain did not make it"
    return f"{explanations.get('model')}: {why}: set train.model to {MODEL} and run `dvc repro`."


def _why_no_picture(explanations: Mapping[str, Any] | None, emotions: Sequence[str]) -> str:
    """Why there is no picture of these classes: no test utterance of them was explained, or its file is gone."""
    removed = [emotion for emotion in emotions if _clips_of_method(explanations, emotion, "scorecam")]
    unexplained = [emotion for emotion in emotions if emotion not in removed]
    return " ".join(filter(None, (
        f"No test utterance of {', '.join(unexplained)} was explained: the test partition holds none." if unexplained
        else "",
        f"The picture of {', '.join(removed)} is not under reports: run `dvc repro explain`." if removed else "")))

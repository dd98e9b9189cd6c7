"""The page: self-contained, all figures from the files, what is missing said, nothing unescaped, readable."""

import base64
import json
import re
import shutil
from html import escape
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from made_reports import make

from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation import ablation
from ser_ops.files import write_json
from ser_ops.pages import percent
from ser_ops.report.page import CSV, JSON, build
from ser_ops.tables import write_csv

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Tags with attributes, text, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made") / "reports", per_class=6, resamples=200)


@pytest.fixture
def reports(made, tmp_path):
    return shutil.copytree(made, tmp_path / "reports")


@pytest.fixture(scope="module")
def html(made):
    return build(made).read_text(encoding="utf-8")


def changed(reports, name, change):
    content = read_json(reports / name)
    change(content)
    write_json(reports / name, content)
    return build(reports).read_text(encoding="utf-8")


def test_it_holds_all_that_it_shows(html):
    page = Page(html)
    assert not page.open
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed")
        for name in ("src", "href", "poster", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]}>"
    assert not re.search(r"@import|url\(", html)
    assert "default-src 'none'" in html


def test_pictures_and_sounds_are_the_files(html, made):
    for file in [*made.glob("figures/explanations/*.png"), *made.glob("clips/*.wav")]:
        assert base64.b64encode(file.read_bytes()).decode() in html, file


def test_the_same_files_give_the_same_page(made, html):
    assert build(made).read_text(encoding="utf-8") == html


def test_every_figure_of_the_main_model_is_there(html, made):
    page = Page(html).text
    metrics = read_json(made / "metrics.json")
    model = metrics["models"]["fusion"]
    for cell in model["cells"].values():
        assert f"{cell['uar']:.2f}" in page and f"{cell['uar']:.3f} [{cell['uar_low']:.3f}" in page
        assert f"{100 * cell['accuracy']:.2f} ± {100 * cell['accuracy_std']:.2f}" in page
        for score in ("precision", "recall", "f1"):
            assert f"{cell[score]:.4f} ± {cell[f'{score}_std']:.4f}" in page
    for emotion in EMOTIONS:
        assert f"{model['per_class'][emotion]['recall']:.3f}" in page
    for row in model["by_snr"]:
        assert f"n {row['n']}" in page
    assert f"{model['clean']['uar']:.2f} [{model['clean']['uar_low']:.2f}, {model['clean']['uar_high']:.2f}]" in page
    assert f"up to {metrics['shuffled']['uar_high']:.2f}" in page
    for model in metrics["models"].values():
        assert f"{100 * model['clean']['accuracy']:.2f}" in page and f"{model['noisy']['f1']:.4f}" in page


def test_promised_sets_and_the_curve_of_errors_stand_there(html, made):
    figures = read_json(made / "metrics.json")["models"]["fusion"]["selective"]
    assert "When it is not sure" in html and "Error by the share that is answered" in html
    assert len(figures["sets"]) >= 9, "clean, noisy and ranges of SNR at three coverages"
    for row in figures["sets"]:
        cells = (percent(row["held"], 1), percent(row["sure"], 1), percent(row["error"], 1), f"{row['size']:.2f}")
        assert f'{row["place"]}</th>' + "".join(f'<td class="n">{cell}</td>' for cell in cells) in html
    for point in figures["curves"]["noisy"]:
        assert f"noisy: {point['answered']:.0%} answered, error {point['error']:.3f}" in html


def test_the_papers_numbers_stand_beside(html):
    page = Page(html).text
    for printed in ("98.29 ± 0.075", "0.8312 ± 0.14", "82.79 ± 1.12", "11.9", "115.3", "98.91", "97.28", "7442"):
        assert printed in page
    assert "split undescribed" in page and html.count("F1 above the mean of precision and recall") >= 9


def test_gate_rules_data_and_making_are_there(html, made):
    page = Page(html).text
    for rule in read_json(made / "gate.json")["rules"]:
        assert re.sub(r"\s+", " ", rule["verdict"]) in page and rule["reason"] in page
    for rule in read_json(made / "data_validation.json")["rules"]:
        assert rule["description"] in page
    provenance = read_json(made / "provenance.json")
    for value in (provenance["commit"], provenance["data_md5"], provenance["run"]["run_id"], "torch 2.13.0",
                  "partitions.seed 20"):
        assert value in page
    assert "synthetic_savee/DC_a01.wav" in page and "fish market at 0.5, 3.2 dB" in page


def test_a_figure_that_changes_in_the_file_changes_on_the_page(reports):
    def change(metrics):
        metrics["models"]["fusion"]["clean"]["uar"] = 0.4321
    assert "0.43" in Page(changed(reports, "metrics.json", change)).text


def test_verdict_and_badges(reports, html):
    page = Page(html).text
    assert "Synthetic data" in page and "Random-weight backbone" in page and "Partial corpus" not in page

    def passing(gate):
        gate.update(passed=True, verdict="passed", rules=[rule | {"passed": True} for rule in gate["rules"]])
    assert "Passed the gate" in Page(changed(reports, "gate.json", passing)).text

    def failing(gate):
        gate.update(passed=False)
        gate["rules"][4].update(passed=False, verdict="blocked: fish_market at 0.75: UAR 0.41 < 0.45")
    page = Page(changed(reports, "gate.json", failing)).text
    assert "Blocked by the gate" in page and "Fish_market at 0.75: UAR 0.41 < 0.45" in page

    def real(metrics):
        metrics["provenance"].update(synthetic=[], partial=["ravdess"], backbone="checkpoint facebook/wav2vec2-base",
                                     protocol="random")
    changed(reports, "data_validation.json", lambda validation: validation.update(synthetic=[]))
    page = Page(changed(reports, "metrics.json", real)).text
    assert "Synthetic data" not in page and "Random-weight backbone" not in page
    assert "Partial corpus" in page and "Speakers are shared" in page and "never heard, it recognises" not in page


def test_a_stream_that_adds_nothing_is_said(reports):
    def idle(metrics):
        metrics["streams"]["wav2vec"]["beats_shuffled"] = False
    assert "wav2vec stream alone does not beat the shuffled labels" in Page(changed(reports, "metrics.json", idle)).text


@pytest.mark.parametrize("name", [*(f"{name}.json" for name in JSON), *(f"{name}.csv" for name in CSV)])
def test_what_is_missing_is_said(reports, name):
    (reports / name).unlink()
    page = Page(build(reports).read_text(encoding="utf-8"))
    assert not page.open
    assert f"{name} , written by the stage" in page.text


def test_without_a_verdict_it_is_not_judged(reports):
    (reports / "gate.json").unlink()
    page = Page(build(reports).read_text(encoding="utf-8")).text
    assert "Not judged yet" in page and "Passed the gate" not in page


def test_a_missing_picture_is_said(reports):
    (reports / "figures/explanations/shap_global.png").unlink()
    assert "figures/explanations/shap_global.png is not in reports/" in Page(build(reports).read_text()).text


def test_only_the_first_stages_have_run(reports):
    keep = {"data_validation.json", "leak_audit.json"}
    for path in reports.iterdir():
        if path.is_file() and path.name not in keep:
            path.unlink()
    page = Page(build(reports).read_text(encoding="utf-8")).text
    assert "Not judged yet" in page and "Validation passed" in page


def test_a_model_without_explanations_of_one_kind(reports):
    def occluded(explanations):
        explanations.update(methods=["occlusion"], shap=None,
                            not_admitted={"scorecam": "the model has no spectral stream"})
        for clip in explanations["clips"]:
            clip["occlusion"] = clip.pop("scorecam")
    page = Page(changed(reports, "explanations.json", occluded)).text
    assert "does not apply, the model has no spectral stream" in page and "Occlusion" in page


def of_paper_2(reports):
    """The same reports, of a CNN that table VI does not have, explained by Grad-CAM and occlusion."""
    metrics, explanations = read_json(reports / "metrics.json"), read_json(reports / "explanations.json")
    own = metrics["models"].pop("fusion") | {"row": "", "streams": ["stacked"]}
    metrics["models"] = {"cnn": own} | metrics["models"]
    metrics["provenance"]["backbone"] = "random weights, small configuration"
    explanations.update(model="cnn", methods=["gradcam", "occlusion"], shap=None,
                        not_admitted={"scorecam": "it has no spectral stream"})
    for clip in explanations["clips"]:
        clip["gradcam"] = clip.pop("scorecam") | {"figure": clip.pop("figure")}
        clip["occlusion"] = clip["gradcam"] | {"figure": "figures/explanations/shap_global.png"}
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "explanations.json", explanations)
    write_json(reports / "gate.json", read_json(reports / "gate.json") | {"model": "cnn"})
    write_csv(reports / "ablation.csv", ablation.ablation_table(metrics["models"]), ablation.ABLATION_FIELDS)
    return build(reports).read_text(encoding="utf-8")


def test_a_model_that_table_vi_does_not_have(reports):
    html = of_paper_2(reports)
    page = Page(html).text
    assert "model cnn ·" in page and "of table VI)" not in page
    assert "Models without a letter are not in that table: cnn." in page
    assert "Where it listens (Grad-CAM, Occlusion)" in page and "Score-CAM: does not apply, it has no spectral" in page
    assert "explained by Grad-CAM, Occlusion." in page and "do not see the stream over the waveform" not in page
    assert "cnn was not pretrained" in page and "its split undescribed" not in page
    assert not re.search(r"paper 1 prints [\d.]+", page), "no claim of the paper is about this model"
    assert html.count('alt="Grad-CAM of') == html.count('alt="Occlusion of') == len(EMOTIONS)
    bare = re.sub(r"base64,[^\"]*", "", html)
    assert not re.search(r"\b(nan|NaN|None|undefined)\b", bare)


def test_without_a_verdict_the_page_is_about_the_model_that_was_evaluated_first(reports):
    of_paper_2(reports)
    for name in ("gate.json", "explanations.json"):
        (reports / name).unlink()
    assert "model cnn ·" in Page(build(reports).read_text(encoding="utf-8")).text


def test_faults_of_the_folder_are_one_line(tmp_path, reports):
    with pytest.raises(UserError, match="holds no reports"):
        build(tmp_path)
    (reports / "gate.json").write_text("{half", encoding="utf-8")
    with pytest.raises(UserError, match=r"gate\.json: is not JSON"):
        build(reports)
    (reports / "gate.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"gate\.json: is no report"):
        build(reports)


EVIL = "<script>alert('x')</script>\"><img src=http://evil/x onerror=alert(1)>"


def test_nothing_from_a_file_becomes_markup(reports):
    def poison(value):
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return EVIL if isinstance(value, str) else value

    keys = {"data_validation.json": ("quarantined", "stops"), "explanations.json": ("clips",),
            "clips.json": ("clips",), "gate.json": ("rules", "notes"), "provenance.json": ("versions", "run", "commit"),
            "leak_audit.json": ("protocol",), "metrics.json": ("provenance",)}
    for name, parts in keys.items():
        content = read_json(reports / name)
        write_json(reports / name, content | {part: poison(content[part]) for part in parts})

    def corpora(content):
        content["corpora"] = {EVIL: poison(content["corpora"]["synthetic_tess"])}
    html = changed(reports, "data_validation.json", corpora)
    assert EVIL not in html and escape(EVIL, quote=False)[:20] in html
    for tag, attributes in Page(html).tags:
        assert tag != "script" and not any(name.startswith("on") for name in attributes)
        assert "evil" not in (attributes.get("src") or "")


def test_poisoned_names_in_charts_and_cells(reports):
    def rename(metrics):
        cells = metrics["models"]["fusion"]["cells"]
        metrics["models"]["fusion"]["cells"] = {f"{EVIL}@0.25": next(iter(cells.values()))}
        metrics["models"]["fusion"]["worst_cell"]["cell"] = f"{EVIL}@0.25"
    page = Page(changed(reports, "metrics.json", rename))
    assert all(tag != "script" for tag, _ in page.tags)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "figures/../../secret.png", "clips", "gate.json"])
def test_no_file_outside_reports_is_embedded(reports, name):
    (reports.parent / "secret.png").write_bytes(b"\x89PNG secret")

    def lead_out(explanations):
        explanations["shap"]["figure"] = name
    html = changed(reports, "explanations.json", lead_out)
    assert base64.b64encode(b"\x89PNG secret").decode() not in html
    assert "is not in reports/" in html


def test_people_who_do_not_see_the_page_get_it_too(html):
    page = Page(html)
    assert ("html", {"lang": "en"}) in page.tags
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "audio")
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(drawing.get("aria-label") or drawing.get("aria-hidden") for drawing in drawings)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert all(attributes["href"][1:] in targets for tag, attributes in page.tags
               if tag == "a" and attributes["href"].startswith("#"))


def test_drawings_are_well_formed(html):
    drawings = re.findall(r"<svg.*?</svg>", html, re.S)
    assert len(drawings) >= 6
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    bare = re.sub(r"base64,[^\"]*", "", html)
    assert not re.search(r"\b(nan|NaN|None|undefined)\b", bare)


def test_real_recordings_carry_their_licence(reports):
    def real(clips):
        clips["clips"][0].update(synthetic=False, licence="CC BY-NC-SA 4.0")
    page = Page(changed(reports, "clips.json", real)).text
    assert "CC BY-NC-SA 4.0" in page and "Pass it on under the same licences only" in page


def test_one_seed_has_no_deviation(reports):
    page = Page(changed(reports, "metrics.json", lambda metrics: metrics["provenance"].update(seeds=[1]))).text
    cell = read_json(reports / "metrics.json")["models"]["fusion"]["cells"]["white@0.50"]
    assert f"{100 * cell['accuracy']:.2f} ±" not in page and "One seed." in page


def test_no_clips_asked_for(reports):
    assert "No clips were asked for" in Page(changed(reports, "clips.json", lambda clips: clips.update(clips=[]))).text


def test_figures_that_are_null_become_dashes(reports):
    def holes(metrics):
        model = metrics["models"]["fusion"]
        model.pop("noisy"), model.pop("worst_cell"), model.pop("drop"), model.pop("by_snr")
        model["clean"].pop("uar_low")
        model["calibration_error"] = None
        metrics["shuffled"] = {"models": 0, "uar": None, "uar_high": None, "worst_cell_uar_high": None, "cells": {}}
    page = Page(changed(reports, "metrics.json", holes))
    assert not page.open and "–" in page.text


def test_json_round_trip_of_the_made_reports(made):
    for name in JSON:
        json.loads((made / f"{name}.json").read_text())


def test_behaviour_is_shown_and_a_comparison_that_could_not_be_made_is_said(html, reports):
    text = Page(html).text
    assert "all changes 168 96.5" in text and "white noise 42 96.0" in text
    assert "female 0.660 (4), male 0.610 (3) 0.050 35 48.6 % 2.9 %" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "not compared: no corpus has enough utterances of both" in text
    assert "since their sex is not known: 1." in text and "their pitch is not" not in text
    assert "interval over speakers" in text and "whole speakers are drawn, of 8." in text
    assert "Calibration error 0.121 on clean test speech. The 300 validation" in text
    (reports / "behaviour.json").unlink()
    assert "Not here: behaviour.json. The stage behave writes it." in Page(build(reports).read_text()).text


def test_telephone_and_rooms_have_a_table_of_their_own_and_leave_the_heatmap_alone(tmp_path, html):
    lines = ("mulaw", "gsm", "room_large")
    reports = make(tmp_path / "reports", per_class=6, resamples=200, transmission=lines)
    page = Page(build(reports).read_text(encoding="utf-8"))
    figures = read_json(reports / "metrics.json")["models"]["fusion"]["transmission"]
    for cell, words in (("mulaw", "mu-law (G.711), landline"), ("gsm", "GSM full rate, 13 kbit/s"),
                        ("room_large", "large room, reverberation 0.8 s")):
        shown = page.text[page.text.index(words):]
        assert shown.split()[len(words.split())] == f"{figures['cells'][cell]['uar']:.3f}"
    assert f"mean {figures['telephone']['uar']:.3f}" in page.text and f"mean {figures['rooms']['uar']:.3f}" in page.text
    assert "Not measured" not in page.text
    over, inside = (percent(figures[kind]["uar"]).replace("\xa0", " ") for kind in ("telephone", "rooms"))
    assert f"Over the telephone it keeps {over} on average." in page.text
    assert f"In rooms that reverberate it keeps {inside} on average." in page.text
    matrix = page.text[page.text.index("noise \\ intensity"):page.text.index("By signal-to-noise ratio")]
    assert "gsm" not in matrix and "room" not in matrix


def test_a_known_voice_has_a_table_of_its_own(tmp_path, html):
    assert "When the voice is known" not in Page(html).text, "a model that cannot use it"
    reports = make(tmp_path / "reports", per_class=6, resamples=200)
    metrics = read_json(reports / "metrics.json")
    first = {"uar": 0.511, "uar_low": 0.41, "uar_high": 0.61}
    after = [{"clips": clips, "uar": 0.5 + clips / 100, "uar_low": 0.4, "uar_high": 0.7, "fewer": fewer,
              "over_first": clips / 100 - 0.011, "over_first_low": -0.1, "over_first_high": 0.2}
             for clips, fewer in ((1, 0), (30, 7))]
    metrics["models"]["fusion"]["voices"] = {"first": first, "after": after, "one_emotion": {
        "uar": 0.44, "emotion": "angry", "worst": 0.33}}
    write_json(reports / "metrics.json", metrics)
    text = Page(build(reports).read_text(encoding="utf-8")).text
    known = text[text.index("When the voice is known"):text.index("What each part brings")]
    for words in ("nothing: a stranger 0.511 [0.410, 0.610]", "1 recording 0.510", "-0.001 [-0.100, 0.200]",
                  "30 recordings (fewer for 7 utterances) 0.800", "0.440, the mean over emotions",
                  "0.330 at worst (angry)"):
        assert words in known.replace("−", "-"), words
    metrics["models"]["fusion"]["voices"] = {"first": first}
    write_json(reports / "metrics.json", metrics)
    assert "When the voice is known" not in Page(build(reports).read_text(encoding="utf-8")).text


def test_a_page_without_telephone_and_rooms_says_that_nobody_knows(html):
    text = Page(html).text
    assert "Not measured: evaluate.transmission names no telephone line and no room" in text
    assert "does not apply: no telephone line and no room was evaluated" in text


def test_a_model_that_was_left_out_is_named_beside_the_ablation(tmp_path):
    reports = make(tmp_path / "reports", per_class=6, resamples=200)
    assert "was not trained" not in Page(build(reports).read_text(encoding="utf-8")).text
    metrics = read_json(reports / "metrics.json")
    metrics["provenance"]["lacking"] = {"wav2vec": "no hub is <in> reach"}
    write_json(reports / "metrics.json", metrics)
    assert "wav2vec was not trained: no hub is <in> reach." in Page(build(reports).read_text(encoding="utf-8")).text

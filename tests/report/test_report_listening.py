"""The listening page: self-contained, escaped, every method and caption there, and alive in headless Chromium."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from made_listening import HOSTILE, METHODS, content, own_recording
from made_reports import make

from ser_ops import methods
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.report import listening, listening_words
from ser_ops.report.page import build

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))),
                None)
VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """Tags with attributes, text by the element that holds it, and whether elements nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.raw = [], [], [], {}
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
        if self.open and self.open[-1] in ("style", "script"):
            self.raw.setdefault(self.open[-1], []).append(data)
        else:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def data(self):
        return json.loads(self.raw["script"][0])


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("listening") / "reports"
    write_json(folder / "explanations.json", content(folder))
    listening.build(folder)
    return folder


@pytest.fixture(scope="module")
def html(reports):
    return (reports / "explanations" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_it_holds_all_that_it_shows(html, page):
    assert not page.open
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"}, {}]
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base", "form") or attributes.get("action") is None
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("src", "href", "poster", "srcset", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]}>"
    addresses = set(re.findall(r"https?://[^\"'\s<]*", html))
    assert addresses == {"http://www.w3.org/2000/svg"}, "the name of SVG, which nobody fetches"
    assert not re.search(r"@import|url\((?!#)|\bfetch\(|XMLHttpRequest|innerHTML|\beval\(", html)


def test_the_policy_allows_this_script_and_this_style_alone(page):
    policy = next(attributes["content"] for tag, attributes in page.tags
                  if attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    for text in (page.raw["script"][1], page.raw["style"][0]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert len(page.raw["script"]) == 2 and len(page.raw["style"]) == 1


def test_nothing_from_a_file_becomes_markup(html, page):
    data = page.raw["script"][0]
    assert not re.search("[<>&\u2028\u2029]", data)
    assert {clip["utterance"] for clip in page.data["heard"]} >= {HOSTILE}
    assert HOSTILE not in html and escape(HOSTILE) in html.replace("&#39;", "&#x27;").replace("&#34;", "&quot;")


def test_clips_sounds_and_pictures_are_the_files(page, reports):
    data = page.data
    assert len(data["heard"]) == 12
    kept = [clip for clip in data["heard"] if clip["audio"]]
    assert len(kept) == 10
    for clip in kept:
        sound = data["sounds"][clip["sound"]]
        assert base64.b64decode(sound["base64"]) == (reports / clip["audio"]).read_bytes()
        picture = data["pictures"][clip["spectrogram"]["picture"]]
        assert base64.b64decode(picture) == (reports / clip["spectrogram"]["file"]).read_bytes()
        assert (clip["spectrogram"]["frames"], clip["spectrogram"]["bands"]) == (157, 64)
        levels = np.frombuffer(base64.b64decode(sound["peaks"]), np.int8).reshape(-1, 2)
        assert (levels[:, 0] <= levels[:, 1]).all() and np.abs(levels).max() == 127 and sound["seconds"] == 2.5


def test_every_method_and_every_caption_is_there(page):
    shown = [attributes["data-method"] for tag, attributes in page.tags if "data-method" in attributes]
    assert shown == ["scorecam", "shap", "occlusion"] == list(page.data["methods"])
    for caption in listening_words.CAPTIONS.values():
        assert caption in page.text and ("not" in caption or "the model heard all of it" in caption)
    for method in METHODS:
        assert methods.METHODS[method].caption in page.text and "not show" in methods.METHODS[method].caption
    assert "Grad-CAM: does not apply, the model has no camera" in page.text
    plots = [attributes["data-plot"] for tag, attributes in page.tags if "data-plot" in attributes]
    assert plots == ["probabilities", "streams", "waveform", "gain", "spectrogram", *["method"] * 3]


def test_a_method_that_fails_is_marked_wherever_it_is_shown(page, html):
    marks = {key: method["mark"] for key, method in page.data["methods"].items()}
    assert marks == {"scorecam": None, "shap": None, "occlusion": listening_words.NOT_BETTER_THAN_RANDOM}
    assert page.text.count(f"✗ {listening_words.NOT_BETTER_THAN_RANDOM}") == 2, "beside its curve and in the table"
    keys = re.findall(r'<span class="keyed"><svg.*?</svg> ([^<]*)</span>', html)
    assert keys.count(f"Occlusion ({listening_words.NOT_BETTER_THAN_RANDOM})") == 3, \
        "in both charts across noise and beside the curves"
    assert "Occlusion ✗" in page.text
    assert listening_words.mark_of(None, "shap") == "faithfulness not measured"


def test_charts_have_axes_units_and_intervals(html):
    drawings = [ElementTree.fromstring(drawing) for drawing in re.findall(r"<svg.*?</svg>", html, re.S)]
    panels = [panel for panel in drawings if panel.get("role") == "img"]
    assert len(panels) == 4 + 8, "streams in one noise and in all, movement, speech; curves and areas, two fills each"
    for panel in panels:
        units = [text.text for text in panel.iter("text") if "unit" in (text.get("class") or "").split()]
        assert panel.get("aria-label") and units and any("tick" in (text.get("class") or "")
                                                         for text in panel.iter("text"))
        marks = {word for mark in panel.iter() for word in (mark.get("class") or "").split()}
        assert "spread" in marks or {"trend", "baseline-random", "baseline-energy"} <= marks
    assert not any("[" in panel.get("aria-label", "") for panel in panels), "a figure names no picture"
    titles = [title.text for panel in panels for title in panel.iter("title")]
    assert any("wav2vec, intensity 0.75: share of |Shapley value| 0.28 [0.23, 0.33], 14 clips" in title
               for title in titles)
    assert "wav2vec, clean: share of |Shapley value| 0.50 [0.45, 0.55], 14 clips" in titles
    bare = re.sub(r"<script.*?</script>|<style.*?</style>", "", html, flags=re.S)
    assert not re.search(r"\b(nan|NaN|None|undefined|Undefined)\b", bare)


def test_tables_words_and_warnings(page):
    for words in ("0.550 [0.500, 0.600]", "less random: 0.150 [0.110, 0.190]", "✓ yes", "0.940", "no chance in it",
                  "90\N{NO-BREAK SPACE}% of 24 (by chance 12\N{NO-BREAK SPACE}%)", "✗ not clearly more than chance",
                  "last layers alone: 0.610", "From clean to white at 0.75", "1000 or 2500 Hz",
                  "Measured on 14 clips in 10 steps, with 2 fills: silence, noise", "Every method finds the burst"):
        assert re.sub(r"\s+", " ", words) in page.text, words
    for words in ("Synthetic speech", "Partial corpus", "Random weights", "small configuration"):
        assert words in page.text


def test_levels_of_headings_and_places_of_links(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    assert all(attributes["href"][1:] in names for tag, attributes in page.tags if tag == "a")


def test_provenance_from_the_reports_where_the_content_has_none(tmp_path):
    explanations = own_recording(tmp_path)
    write_json(tmp_path / "provenance.json", {"card": {"backbone": "random weights, small"}})
    write_json(tmp_path / "metrics.json", {"provenance": {"synthetic": ["synthetic_savee"], "partial": []}})
    text = Page(listening.render(explanations, tmp_path)).text
    assert "Synthetic speech" in text and "synthetic savee" in text and "Random weights" in text
    assert "Partial corpus" not in text


def test_recordings_of_people_carry_their_licence(tmp_path):
    explanations = own_recording(tmp_path)
    assert "recordings of people" not in Page(listening.render(explanations, tmp_path)).text, "the user's own"
    explanations["heard"][0]["corpus"] = "ravdess"
    assert "ravdess (licence not stated)" in Page(listening.render(explanations, tmp_path)).text
    write_json(tmp_path / "data_validation.json", {"corpora": {"ravdess": {"licence": "CC BY-NC-SA 4.0"}}})
    shown = Page(listening.render(explanations, tmp_path)).text
    assert "ravdess (CC BY-NC-SA 4.0). Pass it on under these licences only" in shown
    explanations["provenance"] = {"synthetic": ["ravdess"]}
    assert "recordings of people" not in Page(listening.render(explanations, tmp_path)).text


def test_one_recording_and_what_it_cannot_have(tmp_path):
    page = Page(listening.build(tmp_path, own_recording(tmp_path), "mine").read_text(encoding="utf-8"))
    assert (tmp_path / "mine" / "index.html").is_file() and not page.open
    for words in ("Not here: shares of streams across noise", "Not here: rank correlations across noise",
                  "Not here: shares inside speech", "Not here: deletion and insertion curves",
                  "Not here: a planted cue", "? faithfulness not measured"):
        assert words in page.text
    assert "No clip is here" in Page(listening.render({}, tmp_path)).text
    listening.build(tmp_path, {"model": "a lone surrogate \ud800"})


def test_faults_of_the_report_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"explanations\.json: cannot be read"):
        listening.build(tmp_path)
    (tmp_path / "explanations.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="is no report of the stage explain"):
        listening.build(tmp_path)


@pytest.mark.parametrize("name", ["../secret.ogg", "/etc/hostname", "gone.ogg", "", None, 3, "a\0b", "explanations"])
def test_no_file_outside_reports_is_taken_in(tmp_path, name):
    reports = tmp_path / "reports"
    explanations = own_recording(reports)
    (tmp_path / "secret.ogg").write_bytes(b"OggS secret")
    explanations["heard"][0] |= {"audio": name, "spectrogram": {"file": name}, "figures": {"a": name}}
    data = listening.page_data(explanations, reports)
    clip = data["heard"][0]
    assert data["sounds"] == data["pictures"] == [] and clip["sound"] is None and clip["spectrogram"] is None
    assert clip["figures"][0]["picture"] is None


def test_damaged_sounds_and_pictures_are_no_fault_of_the_page(tmp_path):
    explanations = own_recording(tmp_path)
    (tmp_path / explanations["heard"][0]["audio"]).write_bytes(b"no sound")
    (tmp_path / explanations["heard"][0]["spectrogram"]["file"]).write_bytes(b"no picture")
    data = listening.page_data(explanations, tmp_path)
    assert data["sounds"][0]["peaks"] is None and data["heard"][0]["spectrogram"] is None


def test_figures_are_taken_in_up_to_a_limit(tmp_path, monkeypatch):
    explanations = own_recording(tmp_path)
    picture = explanations["heard"][0]["spectrogram"]["file"]
    for name in ("one.png", "two.png"):
        shutil.copyfile(tmp_path / picture, tmp_path / name)
    monkeypatch.setattr(listening, "PICTURES_LIMIT", (tmp_path / picture).stat().st_size)
    explanations["heard"][0]["figures"] = {"figure_3a": "one.png", "figure_3b": "two.png", "again": "one.png"}
    shown = listening.page_data(explanations, tmp_path)["heard"][0]["figures"]
    assert [figure["picture"] is None for figure in shown] == [False, True, False]
    assert shown[0]["picture"] == shown[2]["picture"] and shown[0]["title"] == "figure 3a"


def test_data_are_plain_json():
    text = listening.script_json({"a": [np.float32(0.5), float("nan"), np.arange(2), (True, None)], 1: "\ud800é"})
    assert json.loads(text) == {"a": [0.5, None, [0, 1], [True, None]], "1": "\ud800é"}


# ---- in a browser

def browser_page(path, fragment="", options=()):
    """The document as headless Chromium has it after loading: (Page, attributes of body, HTML)."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               f"--user-data-dir={path.parent / 'profile'}", "--virtual-time-budget=5000",
               "--autoplay-policy=no-user-gesture-required", *options, "--dump-dom", f"{path.as_uri()}{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    body = re.search(r"<body([^>]*)>", done.stdout)
    assert body is not None, done.stderr[-500:]
    attributes = {name: unescape(value) for name, value in re.findall(r'data-([a-z]+)="([^"]*)"', body[1])}
    assert "error" not in attributes, attributes["error"]
    assert attributes.get("ready") == "yes", done.stderr[-500:]
    return re.sub(r"<script.*?</script>", "", done.stdout, flags=re.S), attributes


def words_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: none is installed here")


@browser
def test_the_address_chooses_a_clip(reports):
    html, body = browser_page(reports / "explanations" / "index.html",
                              "#class=angry&noise=white&method=shap&share=0.2&what=used")
    assert body["shown"] == "synthetic_tess/speaker_0/angry_00|white|0.25" and body["remaining"] == "2"
    text = words_of(html)
    for words in ("2 of 12 clips remain", "white at 0.25", "signal-to-noise ratio 9 dB", "wav2vec", "amplitude",
                  "hertz (mel scale)", "log odds (logit less the mean of all seven)", "loss of probability", "−80 dB",
                  "Held fixed: the stream over the waveform", "probability (▸ the answer, ◆ what was meant)"):
        assert words in text, words
    assert ("The 20 % of the recording's time to which SHAP gives most for angry (0.50 s of 2.50 s); the rest is "
            "silent.") in text
    assert 'data-heard="0.500"' in html
    pictures = re.findall(r'<svg[^>]*role="img".*?</svg>\s*(?=</div>)', html, re.S)
    assert len(pictures) >= 8 + 7
    assert all(re.search(r'class="tick unit"', picture) and re.search(r'class="(grid|zero)"', picture)
               for picture in pictures)


@browser
def test_padding_an_empty_map_and_a_hostile_name(reports):
    path = reports / "explanations" / "index.html"
    html, body = browser_page(path, "#class=fear&noise=clean&method=scorecam&what=used")
    assert "zero everywhere" in html and "only what it used is silence" in html
    html, body = browser_page(path, "#class=disgust&intensity=0.75&what=used")
    assert body["shown"] == f"{HOSTILE}|white|0.75" and 'class="padding"' in html
    assert "padding from 2.00 s on: no sound" in html
    assert re.search(r"\d+ % of it lies on padding\.", html)
    assert re.search(r"\d+ % of what Score-CAM gives lies on padding, where there is nothing", words_of(html))
    html, body = browser_page(path, "#class=happy&noise=white")
    assert "Nothing can be played: the sound of this condition was not kept" in html
    assert html.count("data-play=") == len(re.findall(r"data-play=[^>]*disabled", html)) == 3


@browser
def test_one_recording_in_a_browser(tmp_path):
    path = listening.build(tmp_path, own_recording(tmp_path))
    html, body = browser_page(path)
    text = words_of(html)
    assert body["shown"].startswith("mine.wav|clean") and "what it was meant as is not known" in text
    assert "Not here: Shapley values of streams" in text and "speech: where it is was not determined" in text
    assert re.search(r'<div id="chooser" hidden', html)
    _, body = browser_page(listening.build(tmp_path / "none", {}))
    assert body["remaining"] == "0"


def with_script(html, first, last, path):
    """The page without its policy, which would forbid them, and with a script before and one after its own."""
    html = re.sub(r"<meta http-equiv=[^>]*>", "", html).replace("<body>", f"<body><script>{first}</script>")
    path.write_text(html.replace("</body>", f"<script>{last}</script></body>"), encoding="utf-8")
    return path


# A sound system whose every clip is 2.5 s of ones: what it is given to play is the gain itself.
SPY = """window.AudioContext = class {
  constructor() { this.currentTime = 0; this.destination = {}; }
  async resume() {}
  createBuffer(channels, length, sampleRate) {
    const samples = new Float32Array(length);
    return { length, sampleRate, duration: length / sampleRate, getChannelData: () => samples };
  }
  async decodeAudioData(bytes) {
    if (!bytes.byteLength) throw new Error("no sound");
    const made = this.createBuffer(1, 40000, 16000);
    made.getChannelData(0).fill(1);
    return made;
  }
  createBufferSource() {
    return { connect() {}, stop() {}, start() {
      const what = document.querySelector("[data-play][aria-pressed=true]").dataset.play;
      document.body.dataset[what] = Array.from(this.buffer.getChannelData(0).filter((_, place) => place % 16 === 8))
        .map((one) => one.toFixed(4)).join(" ");
    } };
  }
};"""
PRESS = """(async () => {
  for (const what of ["clip", "used", "ignored"]) {
    document.querySelector(`[data-play=${what}]`).click();
    await new Promise((done) => setTimeout(done, 50));
  }
})();"""


@browser
@pytest.mark.parametrize("share", ["0.2", "curve"])
def test_what_is_played_is_what_the_words_say(html, tmp_path, share):
    _, body = browser_page(with_script(html, SPY, PRESS, tmp_path / "spied.html"), f"#clip=0&method=shap&share={share}")
    clip, used, ignored = (np.array([float(value) for value in body[what].split()])
                           for what in ("clip", "used", "ignored"))
    trace = Page(html).data["heard"][0]["traces"]["shap"]
    values = np.maximum(np.interp((np.arange(2500) + 0.5) / 1000, trace["seconds"], trace["values"]), 0)
    chosen = values / values.max()
    if share == "0.2":
        chosen = np.zeros(2500)
        chosen[np.argsort(-values, kind="stable")[:500]] = 1
    smooth = np.convolve(chosen, np.ones(11) / 11, "same")
    assert clip.min() == clip.max() == 1 and len(used) == 2500
    assert np.abs(used - smooth)[6:-6].max() < 0.01 and np.abs(used + ignored - 1).max() < 2e-4
    assert abs(used.mean() - (0.2 if share == "0.2" else chosen.mean())) < 0.003


@browser
def test_without_web_audio_it_says_so(html, tmp_path):
    mute = "delete window.AudioContext; delete window.webkitAudioContext;"
    path = with_script(html, mute, "", tmp_path / "mute.html")
    html, _ = browser_page(path)
    assert "This browser has no Web Audio." in html and re.search(r"<audio[^>]*src=\"data:audio/ogg", html)
    assert html.count("data-play=") == len(re.findall(r"data-play=[^>]*disabled", html)) == 3


def test_the_main_page_leads_here(tmp_path):
    folder = make(tmp_path / "reports", per_class=3, resamples=20)
    link = '<a href="explanations/index.html">'
    assert link not in build(folder).read_text(encoding="utf-8"), "no page to lead to"
    write_json(folder / "explanations.json", read_json(folder / "explanations.json") | {"heard": [{}]})
    assert link in build(folder).read_text(encoding="utf-8")

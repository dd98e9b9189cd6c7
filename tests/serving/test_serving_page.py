"""The page in a real browser: a file, the microphone, the card, and nothing from elsewhere."""

import json
import re

import numpy as np
import pytest
from browser import CHROMIUM, ELSEWHERE, browser
from serving_process import PROJECT, running, settings, sound, until, wav

from ser_ops.inference.recogniser import Answer, WindowAnswer
from ser_ops.speech.detector import Segment

PAGE = (PROJECT / "ser_ops" / "serving" / "page.html").read_text(encoding="utf-8")
SAID = "document.getElementById('said').textContent"


def test_it_holds_all_that_it_shows_and_its_policy_lets_nothing_else_in(server):
    assert not re.findall(r"(?:src|href)=|url\(|@import|https?://", PAGE)
    answer = server.ask("GET", "/")
    rules = answer.headers["Content-Security-Policy"]
    assert answer.body.decode() == PAGE and rules.startswith("default-src 'none'; script-src blob: 'sha256-")
    assert "connect-src 'self'" in rules and "unsafe" not in rules and "frame-ancestors 'none'" in rules


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """One that takes whatever a slow machine records."""
    folder = settings(tmp_path_factory.mktemp("page"), seconds=3600, body_megabytes=256, long_megabytes=256)
    with running(folder, "--model", str(model), "--coverage", "0.95") as server:
        yield server


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if not CHROMIUM:
        pytest.skip("no Chromium here: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    (folder / "heard.wav").write_bytes(wav(sound(4.0, 3)))
    with browser(folder / "profile", folder / "heard.wav") as page:
        yield page


@pytest.mark.slow
def test_a_file_is_answered_and_the_card_says_what_is_forbidden(server, page, tmp_path):
    file = tmp_path / "call.flac"
    file.write_bytes(wav(sound(4.0), "FLAC"))
    page.open(server.address)
    until(lambda: page.value("document.querySelectorAll('#forbidden li').length") == 2)
    assert "Article 5(1)(f)" in page.value("document.getElementById('ban').textContent")
    facts = page.value("document.getElementById('facts').innerText")
    assert "made: CC0 1.0" in facts and "not by this project's gate" in facts
    page.choose("#file", file)
    until(lambda: "answered in" in page.value(SAID))
    own = server.predict(file.read_bytes(), "audio/flac").json["results"][0]
    assert page.value("document.getElementById('answer').textContent") == own["emotion"]
    assert page.value("shown.windows.length") == len(own["windows"]) == 8
    assert own["emotion"] == "not sure" and "95 % of cases" in page.value("at('facts').innerText")
    among = f"; one of {', '.join(own['emotions'])}: such a set holds the truth in 95 % of cases"
    assert page.value("at('sure').textContent").endswith(among)
    assert page.value("document.querySelectorAll('.bar.likely').length") == len(own["emotions"])
    assert not page.value("at('speech').textContent")       # this model tells no speech
    assert "ser-ops explain FILE" in page.value("at('result').innerText")
    for canvas in ("wave", "time"):
        assert page.value(f"new Set(at('{canvas}').getContext('2d').getImageData(0, 0, 300, 100).data).size") > 2
    page.choose("#file", PROJECT / "params.yaml")
    until(lambda: "params.yaml: .yaml is not a supported format" in page.value(SAID))
    assert not page.complaints, page.complaints


@pytest.mark.slow
def test_stretches_of_speech_are_shaded_behind_the_sound(server, page):
    page.open(server.address)
    until(lambda: "95 % of cases" in page.value("document.getElementById('facts')?.innerText || ''"))
    window = WindowAnswer(0.0, 4.0, np.eye(7)[3])

    def shaded(*speech: Segment, sound: str = "new Float32Array(4000)") -> list[bool]:
        """Whether each half second has another colour behind it than the page."""
        answer = Answer(window.probabilities, 4.0, [window], speech=speech).record()
        page.value(f"show({json.dumps(answer)}); drawWave({sound}, shown)")
        return page.value("[...Array(8).keys()].map(half => at('wave').getContext('2d').getImageData("
                          "(half + 0.5) / 8 * at('wave').width, 2, 1, 1).data[3] > 0)")

    said = "document.getElementById('speech').textContent"
    assert shaded(Segment(0.5, 1.5), Segment(3.0, 4.0)) == [False, True, True, False, False, False, True, True]
    assert page.value(said) == "Shaded: somebody speaks, 0.5 to 1.5 s, 3.0 to 4.0 s."
    assert shaded(Segment(0.5, 1.0), sound="[]") == [False, True, *[False] * 6]     # of a format that no browser reads
    assert not any(shaded()) and page.value(said) == "Nobody speaks."
    assert not page.complaints, page.complaints


@pytest.mark.slow
def test_a_page_that_gets_no_microphone_says_why(server, page):
    page.open(server.address.replace("127.0.0.1", ELSEWHERE))
    until(lambda: page.value("document.readyState") == "complete" and page.value("typeof start") == "function")
    page.value("document.getElementById('record').click()")
    until(lambda: page.value(SAID))
    assert page.value(SAID).startswith("no microphone: browsers give it only to pages over https or on localhost: ")
    assert not page.complaints, page.complaints


@pytest.mark.slow
def test_the_microphone_is_answered_while_it_records_and_as_a_whole(server, page):
    page.open(server.address, dark=True)
    until(lambda: page.value("typeof start") == "function" and page.value("document.readyState") == "complete")
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    page.value("document.getElementById('record').click()")
    until(lambda: page.value("(shown && shown.windows.length || 0)") >= 3)
    until(lambda: "the last answer took" in page.value(SAID))       # between two answers it may say that one was none
    page.value("document.getElementById('record').click()")
    until(lambda: "microphone.wav: answered in" in page.value(SAID))
    assert page.value("shown.seconds") > 1 and page.value("at('sound').src").startswith("blob:")
    until(lambda: server.metric("ser_ops_live_sessions") == 0)
    assert not page.complaints, page.complaints

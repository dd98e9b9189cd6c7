"""Figures across noise: known changes are found with intervals, figures by hand, sentences that follow the figures."""

import numpy as np
import pytest

from ser_ops.config.explaining import Conditions
from ser_ops.explain.across_noise import across_noise, excludes_zero

SETTINGS = Conditions(stationary=("white",), intensities=(0.5, 0.75), seed=1, per_class=1, traced_per_class=1,
                      shap_samples=10, resamples=200, confidence=0.95)


def record(utterance, noise="clean", intensity=0.0, waveform=1.0, other=1.0, rank=None, share=0.5, same=True,
           traced=True):
    entry = {"utterance": f"u{utterance}", "noise": noise, "intensity": intensity, "explained": "sad",
             "predicted": "sad" if same else "fear",
             "streams": {"phi": {"wav2vec": waveform, "mfcc": -other}}}
    return entry | ({"traces": {"shap": {}}, "rank_correlation": None if rank is None else {"shap": rank},
                     "speech": {"share_of_time": 0.4, "share": {"shap": share}}} if traced else {})


def world(clean, noisy, **more):
    """12 utterances clean and in white noise at both intensities; shares of the waveform stream with some spread."""
    spread, records = np.linspace(-0.02, 0.02, 12), []
    for number, away in enumerate(spread):
        records.append(record(number, waveform=clean + away, other=1 - clean - away))
        for intensity in SETTINGS.intensities:
            own = (noisy if intensity == 0.75 else (clean + noisy) / 2) + spread[(5 * number + 3) % 12]
            records.append(record(number, "white", intensity, own, 1 - own, **({"rank": 0.5} | more)))
    return records


def test_figures_by_hand():
    report = across_noise([record(0), record(1, waveform=3.0), record(0, "white", 0.5, 0.0, 2.0, rank=0.2, share=0.1),
                           record(1, "white", 0.5, 3.0, 1.0, rank=0.6, share=None, same=False)], SETTINGS, 1)
    (cell,) = report["cells"]
    assert (cell["noise"], cell["intensity"], cell["n"], cell["same_answer"]) == ("white", 0.5, 2, 0.5)
    assert cell["rank_correlation"]["shap"]["mean"] == pytest.approx(0.4)
    assert cell["speech_share"]["shap"] == {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 1}    # one had nothing positive
    assert cell["streams"]["wav2vec"]["mean"] == pytest.approx((0 + 0.75) / 2)
    assert cell["phi"]["mfcc"]["mean"] == pytest.approx(-1.5)
    assert report["clean"]["streams"]["wav2vec"]["mean"] == pytest.approx((0.5 + 0.75) / 2)
    assert report["clean"]["rank_correlation"] == {} and report["clean"]["same_answer"] == 1
    assert report["shift"]["wav2vec"]["change"]["mean"] == pytest.approx((-0.5 + 0.0) / 2)
    assert [level["intensity"] for level in report["by_intensity"]] == [0.0, 0.5]


@pytest.mark.parametrize(("clean", "noisy", "towards"), [(0.3, 0.6, "the waveform stream"),
                                                         (0.6, 0.3, "the spectral stream")])
def test_a_planted_shift_is_found_and_said(clean, noisy, towards):
    report = across_noise(world(clean, noisy), SETTINGS, 1)
    change = report["shift"]["wav2vec"]["change"]
    assert change["mean"] == pytest.approx(noisy - clean) and change["low"] <= change["mean"] <= change["high"]
    assert excludes_zero(change) and excludes_zero(report["shift_by_noise"]["white"]["wav2vec"]["change"])
    assert any(f"leans more on {towards} as noise grows" in sentence for sentence in report["words"])
    levels = [level["streams"]["wav2vec"]["mean"] for level in report["by_intensity"]]
    np.testing.assert_allclose(levels, [clean, (clean + noisy) / 2, noisy], atol=1e-9)


def test_no_shift_is_said_to_be_none():
    report = across_noise(world(0.5, 0.5), SETTINGS, 1)
    assert not excludes_zero(report["shift"]["wav2vec"]["change"])
    said = " ".join(report["words"])
    assert "no shift between the waveform and the spectral stream is shown" in said and "in none of 1 noises" in said
    assert "leans more" not in said


def test_words_carry_the_figures():
    said = " ".join(across_noise(world(0.3, 0.6, share=0.9, same=False), SETTINGS, 1)["words"])
    for part in ("12 utterances", "0% of the clips", "correlation of 0.50", "0.50 [0.50, 0.50] lies in speech",
                 "0.90 at intensity 0.75", "0.40 of the window", "Wav2Vec 2.0 has changed by +30.0"):
        assert part in said, part


def test_the_same_records_give_the_same_and_order_does_not_count():
    records = world(0.4, 0.5)
    forwards, backwards = across_noise(records, SETTINGS, 1), across_noise(records[::-1], SETTINGS, 1)
    assert forwards == across_noise(records, SETTINGS, 1)
    for stream, moved in forwards["shift"].items():
        assert moved["change"] == pytest.approx(backwards["shift"][stream]["change"])


def test_clips_without_traces_count_for_streams_alone():
    extra = [record(n, noise, intensity, traced=False) for n in range(20, 26)
             for noise, intensity in (("clean", 0.0), ("white", 0.75))]
    report = across_noise([*world(0.5, 0.5), *extra], SETTINGS, 1)
    cell = report["cells"][-1]
    assert (cell["n"], cell["n_streams"], cell["streams"]["wav2vec"]["n"]) == (12, 18, 18)


def test_without_streams_or_noise_it_says_so():
    plain = [record | {"streams": None} for record in world(0.5, 0.5)]
    report = across_noise(plain, SETTINGS, 1)
    assert report["shift"] == {}
    assert any("no second stream to compare with" in sentence for sentence in report["words"])
    clean = [record for record in plain if record["noise"] == "clean"]
    assert "no noise" in across_noise(clean, SETTINGS, 1)["words"][0]

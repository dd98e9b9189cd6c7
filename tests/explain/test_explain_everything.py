"""The whole of the stage over a tiny finished pipeline: every part of explanations.json, its files, and no chance."""

import json
from pathlib import Path

import numpy as np
import pytest
from explain_stand_ins import RATE, explain_settings

from ser_ops.audio.signal import fit_window
from ser_ops.config.explaining import Explain
from ser_ops.config.params import load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import explanations as whole
from ser_ops.explain import utterance as utterance_module
from ser_ops.explain.explanations import ExplainJob, load_job, utterance_tasks
from ser_ops.explain.question import explain_clip
from ser_ops.explain.utterance import OutputFolders
from ser_ops.features.extractor import Extractor
from ser_ops.manifest import NoiseRow, VariantRow, read_variants, write_rows
from ser_ops.models import architectures, model_folder
from ser_ops.seeds import generator
from ser_ops.shards import write_index, write_shard
from ser_ops.stages.explain import explanation_metrics

SECONDS = 1.0


def store(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    write_index(folder, write_shard(folder, 0, arrays.items()))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """work/ with two utterances of each class, one in training, a noise category, and two small models."""
    import torch
    folder = tmp_path_factory.mktemp("work")
    preset = load_preset("small")
    short = {"features": preset.features.model_copy(update={"seconds": SECONDS}),
             "image": preset.image.model_copy(update={"seconds": SECONDS, "mels": 32, "hop": 512}),
             "spectral": preset.spectral.model_copy(update={"channels": (8,) * 4})}
    preset = preset.model_copy(update=short)
    speech, rows, values = {}, [], {name: {} for name in ("features", "image")}
    for number in range(14):
        name, draw = f"made/{number:02d}", generator(1, number)
        time = np.arange(int(draw.integers(10000, 20000))) / RATE
        speech[name] = (0.3 * np.sin(2 * np.pi * (150 + 20 * number) * time) * (time > 0.2)
                        + draw.normal(0, 0.01, len(time))).astype(np.float32)
        rows.append(VariantRow(f"{name}#original", name, "original", "test" if number < 7 else "train",
                               EMOTIONS[number % 7], "made/1", "made"))
        for reads, some in values.items():
            window = torch.from_numpy(fit_window(speech[name], int(SECONDS * RATE))[0])[None]
            some[rows[-1].row] = Extractor(getattr(preset, reads), RATE)(window)[0].numpy()
    store(folder / "ingest" / "waveforms", speech)
    store(folder / "ingest" / "noise", {"made/market/1": generator(2).normal(0, 0.1, 40000).astype(np.float32)})
    (folder / "augmented" / "waveforms").mkdir(parents=True)
    write_index(folder / "augmented" / "waveforms", [])
    write_rows(folder / "augmented" / "variants.csv", rows, VariantRow)
    write_rows(folder / "validated" / "noise.csv", [NoiseRow("made/market/1", category="market", partition="test")],
               NoiseRow)
    for reads, some in values.items():
        store(folder / "features" / reads, some)
    mean_std = {"mean": [0.0] * 82, "std": [10.0] * 82}
    for name in ("fusion", "vit"):
        model_folder.save(folder / "models" / name, architectures.build(name, preset, mean_std, seed=1),
                          {"preset": "small"})
    return folder


def quick() -> Explain:
    own = explain_settings(figures_per_class=0, occlusion_hop=0.2)
    return own.model_copy(update={
        "listen": own.listen.model_copy(update={"intensity": 0.5}),
        "conditions": own.conditions.model_copy(update={"stationary": ("white",), "intensities": (0.5,), "per_class": 1,
                                                        "shap_samples": 5, "resamples": 100}),
        "faithfulness": own.faithfulness.model_copy(update={"steps": 2, "random_draws": 1, "resamples": 100,
                                                            "seed_clips": 1, "randomised_clips": 1}),
        "planted": own.planted.model_copy(update={"train_clips": 4, "clips": 2, "max_steps": 1})})


def run(work: Path, model: str, out: Path) -> dict:
    (out / "explanations").mkdir(parents=True)
    job = ExplainJob(work / "models" / model, work, quick(), "cpu", "keep", -60.0,
                     OutputFolders(out / "explanations", "explanations/", out / "figures", "figures/"))
    return whole.explain_all(job, read_variants(work / "augmented" / "variants.csv", "test"), 1)


@pytest.fixture(scope="module")
def fusion(work, tmp_path_factory) -> tuple[dict, Path, list]:
    """What the stage says of the fusion, where its files are, and the clip of each question that was asked."""
    asked, folder = [], tmp_path_factory.mktemp("fusion")

    def explain(question):
        asked.append(question.clip.key)
        return explain_clip(question)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utterance_module, "explain_clip", explain)
        patch.setattr(whole, "draw_global_figures", lambda *_: {"figure_4b_fear": "figures/shap_global.png"})  # slow
        return run(work, "fusion", folder), folder, asked


def test_a_fusion_gets_all_of_it(fusion):
    report, folder, _ = fusion
    json.dumps(report, allow_nan=False)
    assert {"methods", "clips", "shap", "heard", "across_noise", "faithfulness", "planted"} <= set(report)
    assert len(report["heard"]) == 7 * 3     # clean, market and white
    assert {(entry["noise"], entry["intensity"]) for entry in report["heard"]} == {("clean", 0.0), ("market", 0.5),
                                                                                   ("white", 0.5)}
    for entry in report["heard"]:
        assert (folder / entry["audio"]).is_file() and (folder / entry["spectrogram"]["file"]).is_file()
        assert list(entry["streams"]["phi"]) == ["wav2vec", "mfcc", "zcr", "rms"]
    clean = {entry["utterance"]: entry for entry in report["heard"] if entry["noise"] == "clean"}
    for clip in report["clips"]:     # the same utterances and answers, and the same values
        other = clean[clip["utterance"]]
        assert clip["predicted"] == other["predicted"] == other["explained"]
        for method in ("scorecam", "occlusion", "attention"):
            np.testing.assert_allclose(np.array(clip[method]["values"]) * (clip[method]["peak"] or 1),
                                       other["traces"][method]["values"], rtol=0.02, atol=1e-5)
            assert (folder / clip[method]["figure"]).is_file()
    assert set(report["faithfulness"]["methods"]) == {"scorecam", "shap", "occlusion", "attention"}
    assert len(report["across_noise"]["cells"]) == 2
    assert all((folder / file).is_file() for file in report["shap"]["figures"].values())
    assert "explain.shap.deletion.silence" in explanation_metrics(report)
    assert "explain.streams.wav2vec.change_in_noise" in explanation_metrics(report)


def test_an_image_model_gets_what_it_admits(work, tmp_path):
    report = run(work, "vit", tmp_path)
    json.dumps(report, allow_nan=False)
    assert report["shap"] is None and report["across_noise"]["shift"] == {}
    assert all(entry["streams"] is None and list(entry["traces"]) == ["gradcam", "occlusion"]
               for entry in report["heard"])
    assert set(explanation_metrics(report)) >= {"explain.gradcam.insertion.noise"}


def test_utterances_for_methods_are_among_those_for_streams(work):
    rows = read_variants(work / "augmented" / "variants.csv", "test")
    tasks = utterance_tasks(rows, quick())
    assert [task.traced for task in tasks] == [True] * 7 == [task.noisy for task in tasks]
    assert len({task.name for task in tasks}) == 7
    assert sum(task.reseeded for task in tasks) == sum(task.randomised for task in tasks) == 1


def test_noise_of_other_partitions_is_not_heard(work):
    ready = load_job(ExplainJob(work / "models" / "fusion", work, quick(), "cpu", "keep", -60.0,
                                OutputFolders(work, "", work, "")))
    assert ready.mixer.categories("test") == ("market",) and ready.background.features.shape[0] == 4


def test_each_clip_is_explained_once(fusion):
    """By every method, under every condition; other seeds and random weights are other questions."""
    report, _, asked = fusion
    assert len(asked) == len(set(asked)) == len(report["heard"]) == 21

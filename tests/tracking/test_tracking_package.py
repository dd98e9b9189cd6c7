"""The packaged model: no pickle, nothing but its own code, any length, one line for bad input."""

import ast
import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
import yaml
from tracking_project import free_port, post, wait_for

from ser_ops.config.params import load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.gate.promotion import promote
from ser_ops.inference.recogniser import Recogniser
from ser_ops.tracking import package
from ser_ops.tracking.licences import Source
from ser_ops.tracking.package import (
    LONGEST_CARD,
    REQUIREMENTS,
    compare_answers,
    input_example,
    model_card,
    package_model,
    packaged_answers,
    pickled_files,
    try_package,
)
from ser_ops.tracking.registry import register

_ALONE = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [sys.argv[1], *(path for path in sys.path if path and path != sys.argv[2])]
import ser_ops, ser_ops.inference, ser_ops.caveats
from ser_ops.audio.reading import read_recording
print(ser_ops.__file__)
"""


def test_the_code_of_a_package_needs_no_ser_ops_beside_it(tmp_path):
    code = package._copy_code(tmp_path / "ser_ops")
    done = subprocess.run([sys.executable, "-c", _ALONE, str(tmp_path), str(Path(__file__).parents[2])], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == code


def test_a_package_holds_no_pickle_and_answers_in_a_fresh_interpreter(params, project):
    made = project(model="fusion")
    package = package_model(params, made.folder, Path("package"))
    assert pickled_files(package) == []
    assert {file.name for file in (package / "artifacts" / "model").iterdir()} == {
        "weights.safetensors", "model.json", "model_card.md"}
    said = yaml.safe_load((package / "MLmodel").read_text())
    assert "model_code_path" in said["flavors"]["python_function"] and "caveats" in said["signature"]["outputs"]
    pinned = (package / "requirements.txt").read_text().split()
    assert all("==" in requirement and "+" not in requirement for requirement in pinned)
    example = json.loads((package / "input_example.json").read_text())
    assert example["columns"] == ["waveform", "sample_rate"]
    assert (package / "input_example.json").stat().st_size < 100_000
    tried = compare_answers(package, made.reports / "predictions.csv", "fusion", Path("work/ingest/waveforms"))
    assert tried["loads"] and tried["error"] == "" and tried["utterances"] == 12
    assert tried["largest_difference"] < 1e-5


@pytest.mark.slow
def test_a_model_of_paper_2_is_packaged_alike(params, project):
    made = project(model="beit")
    tried = try_package(params, made.folder)
    assert tried["loads"] and tried["error"] == "" and tried["pickles"] == [] and tried["utterances"] == 12
    assert tried["largest_difference"] < 1e-5


def test_the_card_of_a_model_names_its_own_window_and_backbone():
    small = load_preset("small")
    settings = small.model_copy(update={"image": small.image.model_copy(update={"seconds": 3.25})})
    card = {"model": "vit", "preset": "small", "emotions": list(EMOTIONS), "sample_rate": 16000, "parameters": 5,
            "preset_settings": settings.model_dump(mode="json"), "backbone": "checkpoint google/vit", "data": {}}
    text = model_card(card, [], None)
    assert "Windows of 3.25 s" in text and "backbone: checkpoint google/vit" in text and text.startswith("# vit, ")


def test_faults_of_a_package_are_told_and_never_raised(params, project, tmp_path):
    made = project()
    package = package_model(params, made.folder, Path("package"))
    predictions, waveforms = made.reports / "predictions.csv", Path("work/ingest/waveforms")
    assert "not a finished store" in compare_answers(package, predictions, "spectral", tmp_path)["error"]
    assert "cannot be read" in compare_answers(tmp_path, predictions, "spectral", waveforms)["error"]
    (package / "artifacts/model/weights.safetensors").write_bytes(b"damaged")
    (package / "python_model.pkl").write_bytes(b"")
    (package / "weights").write_bytes(b"\x80\x04K\x01.")
    tried = compare_answers(package, predictions, "spectral", waveforms)
    assert tried["pickles"] == ["python_model.pkl", "weights"] and not tried["loads"]
    assert "not a safetensors file" in tried["error"] and "\n" not in tried["error"]


def test_other_answers_than_those_evaluated_are_seen(params, project, monkeypatch):
    made = project()
    monkeypatch.setattr(package, "packaged_answers", lambda package, some, rate: np.full((len(some), 7), 1 / 7))
    tried = try_package(params, made.folder)
    assert tried["loads"] and tried["largest_difference"] > params.gate.registered_answers.limit


def test_what_the_package_imports_is_pinned():
    code = ("import sys, ser_ops.inference; "
            "print([module.__file__ for name, module in sys.modules.items() if name.startswith('ser_ops')])")
    files = ast.literal_eval(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                            check=True).stdout)
    served = Path(__file__).resolve().parents[2] / "ser_ops" / "tracking" / "served_model.py"
    imported = set()
    for file in [*files, str(served)]:
        for node in ast.walk(ast.parse(Path(file).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    names = packages_distributions()
    for module in imported - set(sys.stdlib_module_names) - {"ser_ops"}:
        assert {name.lower().replace("_", "-") for name in names[module]} & set(REQUIREMENTS), f"{module} is not pinned"


def test_the_model_card_says_what_is_missing_and_stays_short():
    card = {"model": "fusion", "preset": "small", "emotions": ["sad"], "sample_rate": 16000, "parameters": 5,
            "preset_settings": load_preset("small").model_dump(mode="json"),
            "data": {"protocol": "random", "partial": ["ravdess"]}, "shuffled_labels": True}
    text = model_card(card, [Source("speech", "ravdess", "CC BY-NC-SA 4.0", False, False),
                             Source("noise", "recorded", "not stated", False)], None)
    for words in ("Not evaluated.", "[partial, non-commercial]", "to be treated as non-commercial", "SHUFFLED",
                  "figures are too high", "Partial corpora: ravdess", "licences of: ravdess, recorded."):
        assert words in text
    card["data"]["heard"] = {"variants": ["original", "noisy"], "noise": ["white"], "intensity": [0.0, 0.75]}
    heard = "- Training heard original, noisy, with white at 0.00 to 0.75 of the speech's peak."
    assert heard in model_card(card, [], None)
    many = [Source("speech", f"corpus{number}", "CC BY 4.0 " * 9, False) for number in range(100)]
    assert len(model_card(card, many, None)) <= LONGEST_CARD


def test_the_model_card_says_what_its_intervals_are_over():
    card = {"model": "vit", "preset": "small", "emotions": ["sad"], "sample_rate": 16000,
            "preset_settings": load_preset("small").model_dump(mode="json")}
    metrics = {"models": {"vit": {"clean": {"uar": 0.6, "uar_low": 0.5, "uar_high": 0.7}}}, "provenance": {
        "test_utterances": 90, "test_speakers": 6, "intervals": {"over": "speakers", "instead": ""}}}
    assert "90 utterances of 6 speakers, protocol ?; intervals by bootstrap over speakers. Chance" in \
        model_card(card, [], metrics)
    metrics["provenance"]["intervals"] = {"over": "utterances", "instead": "of 2 speakers there is none"}
    assert "intervals by bootstrap over utterances (of 2 speakers there is none). Chance" in \
        model_card(card, [], metrics)


@pytest.mark.slow
def test_a_registered_model_is_promoted_and_served_over_http(params, project, tmp_path):
    made = project(model="fusion")
    register(params, made.folder, made.reports)
    rules = {rule.rule: rule for rule in promote(params).rules}
    assert "package and evaluation differ by" in rules["registered_answers"].verdict
    assert not rules["not_worse_than_staging"].applies
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_TRACKING_URI": params.tracking.uri,
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]}
    log = (tmp_path / "serve.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{params.tracking.registered_model}@staging",
         "--env-manager", "local", "--port", str(port)], env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, 180)
        url = f"http://127.0.0.1:{port}/invocations"
        _answers(url, made)
        _refuses(url)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _split(*rows):
    return {"dataframe_split": {"columns": ["waveform", "sample_rate"], "data": [list(row) for row in rows]}}


def _answers(url, made):
    draw = np.random.default_rng(3)
    recogniser = Recogniser(made.folder, "cpu")
    for seconds in (0.2, 0.5, 3.21):
        waveform = draw.normal(0, 0.1, int(16000 * seconds)).astype(np.float32)
        status, answer = post(url, _split((waveform.tolist(), 16000)))
        assert status == 200, answer
        prediction, own = answer["predictions"][0], recogniser.answer(waveform, 16000).record()
        assert list(prediction["probabilities"]) == list(own["probabilities"])
        assert prediction["emotion"] == own["emotion"]
        assert np.allclose(list(prediction["probabilities"].values()), list(own["probabilities"].values()), atol=1e-5)
        assert len(prediction["windows"]) == len(own["windows"]) and prediction["seconds"] == own["seconds"]
        assert prediction["caveats"] == own["caveats"]
        assert "SYNTHETIC speech (synthetic_ravdess)" in prediction["caveats"][0]
    status, answer = post(url, _split((waveform.tolist(), 16000), (waveform[:9000].tolist(), 8000)))
    assert status == 200 and [len(prediction["warnings"]) for prediction in answer["predictions"]] == [0, 1]
    status, answer = post(url, _split((waveform.tolist(), 16000), ([float("nan")] * 8000, 16000)))
    assert status == 200 and answer["predictions"][1] == {"error": answer["predictions"][1]["error"]}
    assert answer["predictions"][1]["error"].startswith("row 1: holds NaN")
    status, answer = post(url, {"dataframe_records": [{"waveform": waveform.tolist(), "sample_rate": 16000}]})
    assert status == 200 and answer["predictions"][0]["emotion"] == own["emotion"]


def _refuses(url):
    tone = (0.1 * np.sin(np.arange(8000.0))).tolist()
    for content, words in ((_split(([0.0] * 8000, 16000)), "row 0: silent"),
                           (_split(([float("nan"), *tone], 16000)), "row 0: holds NaN"),
                           (_split(([], 16000)), "row 0: holds no samples"),
                           (_split(([0.5], 16000)), "shorter than 0.1 s"),
                           (_split((tone, 12)), "sample rate 12 Hz"),
                           (_split(([20000 * value for value in tone], 16000)), "give floats in [-1, 1]"),
                           (_split(("speech", 16000)), ""), (_split((tone, "fast")), ""), (_split(([None], 16000)), ""),
                           ({"dataframe_split": {"columns": ["waveform"], "data": [[tone]]}}, ""), ({}, "")):
        status, answer = post(url, content)
        assert status == 400, (status, answer)
        assert words in answer["message"] and "Traceback" not in json.dumps(answer), answer
        assert not words or "\n" not in answer["message"]


_SERVED = """
import json, sys
import mlflow.pyfunc, numpy, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
tone = (0.1 * numpy.sin(numpy.arange(8000.0))).tolist()
def ask(*rows):
    try:
        answers = model.predict(pandas.DataFrame(rows, columns=["waveform", "sample_rate"]))
        return [answer.get("error", answer.get("emotion")) for answer in answers]
    except Exception as error:
        return str(error)
good, long, silent = (tone, 16000), (4 * tone, 16000), ([0.0] * 8000, 16000)
print(json.dumps([ask(good, silent, long, good), ask(good, good, good, good, good), ask(long, silent),
                  ask((40 * tone, 192000))]))
"""


@pytest.mark.slow
def test_a_packaged_model_takes_no_more_than_the_service_and_a_bad_row_spoils_no_other(params, project, tmp_path):
    made = project(model="spectral")
    serve = params.serve.model_copy(update={"recordings": 4, "seconds": 1.5, "body_megabytes": 1.0})
    package = package_model(params.model_copy(update={"serve": serve}), made.folder, Path("package"))
    done = subprocess.run([sys.executable, "-P", "-c", _SERVED, str(package.absolute())], cwd=tmp_path, check=True,
                          capture_output=True, text=True, env=os.environ | {
                              "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": ""})
    mixed, many, none, large = json.loads(done.stdout.splitlines()[-1])
    assert mixed[0] == mixed[3] and mixed[0] in EMOTIONS
    assert mixed[1].startswith("row 1: silent") and mixed[2].startswith("row 2: lasts more than 1.5 s")
    assert many == "more than 4 recordings in a request: send them in several"
    assert none.startswith("row 0: lasts more than 1.5 s") and "; row 1: silent" in none
    assert large.startswith("the samples take more than 1 MB")


def test_packaged_answers_of_no_package_are_one_line(tmp_path):
    with pytest.raises(UserError) as raised:
        packaged_answers(tmp_path, [np.zeros(8000, np.float32)], 16000)
    assert "\n" not in str(raised.value)


def test_the_example_is_an_example():
    example = input_example()
    assert len(example) == 1 and max(map(abs, example["waveform"][0])) < 1

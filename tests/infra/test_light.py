"""`pip install ser-ops`: how much comes with it, and that it answers from the wheel with nothing else there."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient
from packaging.requirements import Requirement

from infra import lock
from ser_ops.config.params import load_preset
from ser_ops.extras import extra_of
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models import architectures, model_folder
from ser_ops.speech.detector import copy_weights

PROJECT = Path(__file__).resolve().parents[2]
CONTENT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
MOST = 30       # ser-ops among them; torch's build for GPUs asks for its CUDA libraries on top


def light(python: str, *extras: str) -> set[str]:
    own = CONTENT["optional-dependencies"]
    lines = [*CONTENT["dependencies"], *(line for extra in extras for line in own[extra])]
    return set(lock.needed(map(Requirement, lines), own, python))


@pytest.mark.parametrize("python", lock.PYTHONS)
def test_prediction_alone_is_few_packages(python):
    assert len(light(python)) + 1 <= MOST


def test_the_readme_says_how_many_they_are():
    most = max(len(light(python)) + 1 for python in lock.PYTHONS)
    assert f"on a CPU {most} packages with ser-ops itself" in " ".join((PROJECT / "README.md").read_text().split())


def test_the_extra_that_is_named_brings_what_is_missing():
    required = [f'{line}; extra == "{extra}"' for extra, lines in CONTENT["optional-dependencies"].items()
                for line in lines] + CONTENT["dependencies"]
    named = {"mlflow": "registry", "prefect": "team", "shap": "explain", "pyarrow": "parquet", "sklearn": "train"}
    assert {module: extra_of(module, required) for module in named} == named
    assert extra_of("numpy", required) is None
    for command in ("watch", "explain", "serve"):       # its own extra brings all that it needs
        for module in map(re.compile(r"[\w-]+").match, CONTENT["optional-dependencies"][command]):
            assert module and extra_of(module[0], required, command) == command
    assert extra_of("scipy", required, "doctor") == extra_of("scipy", required) == "train"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that holds the wheel, and links to the packages that it asks for, and nothing else."""
    return made_environment(tmp_path_factory.mktemp("light"))


def made_environment(folder: Path, *extras: str) -> Path:
    """The Python of an environment of the wheel with extras."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("ser_ops", "pipelines", "reproduction"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    packages = next((folder / "venv/lib").glob("python3*")) / "site-packages"
    shutil.unpack_archive(next(folder.glob("ser_ops-*.whl")), packages, "zip")
    for name in light(f"{sys.version_info.major}.{sys.version_info.minor}", *extras):
        package = metadata.distribution(name)
        for top in {file.parts[0] for file in package.files or () if ".." not in file.parts} - {"__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(package.locate_file(top))
    return folder / "venv/bin/python"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A folder with a model, one recording and no project."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "model").mkdir()
    network = architectures.build("fusion", load_preset("demo", PROJECT / "params.yaml"), seed=1)
    model_folder.save(folder / "model", network,
                      {"preset": "demo", "speech_sha256": copy_weights(folder / "model"),
                       "predict": {"window_hop": 0.5}})
    time = np.arange(48_000) / 16_000
    soundfile.write(folder / "tone.wav", 0.2 * np.sin(2 * np.pi * 300 * time), 16_000)
    return folder


def run(python: Path, folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    return subprocess.run([str(python), *arguments], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=given | {"HOME": str(folder), "OMP_NUM_THREADS": "1"} | environment)


@pytest.mark.slow
def test_the_wheel_answers_in_an_empty_folder(environment, empty):
    done = run(environment, empty, "-m", "ser_ops.cli", "predict", "tone.wav", "--model", "model", "--json")
    assert done.returncode == 0, done.stderr
    answer, expected = json.loads(done.stdout), Recogniser(empty / "model", "cpu").answer_file(empty / "tone.wav")
    assert answer["emotion"] == "no speech" and len(answer["windows"]) == 3     # by the hop that the model carries
    assert np.allclose(list(answer["probabilities"].values()), expected.probabilities, atol=1e-6)
    code = "from ser_ops import Recogniser\nprint(Recogniser('model').answer_file('tone.wav').likeliest)"
    done = run(environment, empty, "-c", code)
    assert done.stdout.strip() == expected.likeliest, done.stderr
    assert sorted(path.name for path in empty.iterdir()) == ["model", "tone.wav"], "it leaves nothing behind"


@pytest.mark.slow
def test_the_extra_serve_is_all_that_serving_takes(tmp_path, empty):
    python = made_environment(tmp_path, "serve")
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copytree(PROJECT / "presets", tmp_path / "presets")
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLFLOW"))}
    command = [str(python), "-m", "ser_ops.cli", "serve", "--model", str(empty / "model"), "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=given) as process:
        assert process.stdout and process.stderr
        line = process.stdout.readline()
        if line:
            with urllib.request.urlopen(f"{line.split()[-1]}/readyz", timeout=60) as answer:
                assert json.load(answer)["ready"]
        process.terminate()
        assert " answers on http" in line, process.stderr.read()


@pytest.fixture
def registered(tmp_path, empty, monkeypatch):
    """The address of an SQLite registry whose staging is the model, packaged."""
    address = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    client = MlflowClient(address)
    experiment = client.create_experiment("light", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment).info
    shutil.copytree(empty / "model", tmp_path / "model/artifacts/model")
    (tmp_path / "model/MLmodel").write_text("flavors: {python_function: {model_code_path: served_model.py}}\n")
    client.log_artifacts(run.run_id, str(tmp_path / "model"), "model")
    client.create_registered_model("ser-fusion")
    version = client.create_model_version("ser-fusion", f"{run.artifact_uri}/model", run.run_id).version
    client.set_registered_model_alias("ser-fusion", "staging", version)
    return address


@pytest.mark.slow
def test_the_extra_registry_is_all_that_an_address_in_a_registry_takes(environment, tmp_path, empty, registered):
    arguments = ("-m", "ser_ops.cli", "predict", str(empty / "tone.wav"), "--json",
                 "--model", "models:/ser-fusion@staging")
    done = run(environment, tmp_path, *arguments, MLFLOW_TRACKING_URI=registered)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert "mlflow is not installed, which this needs: pip install 'ser-ops[registry]'" in done.stderr
    python = made_environment(tmp_path, "registry")
    done = run(python, tmp_path, *arguments, MLFLOW_TRACKING_URI=registered)
    assert done.returncode == 0 and json.loads(done.stdout)["emotion"] == "no speech", done.stderr
    code = f"""from ser_ops import Recogniser, model_folder
print(Recogniser(model_folder('models:/ser-fusion@staging')).answer_file({str(empty / "tone.wav")!r}).emotion)"""
    done = run(python, tmp_path, "-c", code, MLFLOW_TRACKING_URI=registered)
    assert done.stdout == "no speech\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "extra"), [
    (("predict", "tone.wav", "--model", "model", "--parquet", "a.parquet"), "parquet"),
    (("watch", "records", "--model", "model"), "watch"),
    (("doctor",), "train")])
def test_a_missing_extra_is_one_line_that_names_it(environment, empty, arguments, extra):
    done = run(environment, empty, "-m", "ser_ops.cli", *arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert f"pip install 'ser-ops[{extra}]'" in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_every_command_says_what_it_does(environment, empty):
    assert "predict" in run(environment, empty, "-m", "ser_ops.cli", "--help").stdout

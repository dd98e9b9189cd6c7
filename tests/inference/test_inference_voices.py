"""Voices that are enrolled: what a model says to them, what is kept of them, and files that hold none."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from ser_ops.audio.reading import admit_samples
from ser_ops.audio.signal import fit_window
from ser_ops.cli import app
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import Recogniser
from ser_ops.inference.voices import KnownSpeaker, forget, names_of_voices, stream_mark, voice_file
from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save
from ser_ops.models.voices import Population, Voice, population_of

RATE, SECONDS = 16000, 0.5


def small_model(folder: Path, seed: int = 1, hidden: int = 16, states: str = "statistics") -> Path:
    """A fusion model with statistics of random layers, windows of half a second."""
    small = load_preset("small")
    preset = small.model_copy(update={
        "features": small.features.model_copy(update={"seconds": SECONDS, "mfcc": 13}),
        "wav2vec": small.wav2vec.model_copy(update={
            "hidden": hidden, "layers": 1, "heads": 2, "states": states, "embedding": 8,
            "convolutions": ((8, 20, 10), (16, 8, 4), (16, 8, 4), (16, 4, 2))}),
        "spectral": small.spectral.model_copy(update={"channels": (8,) * 4, "embedding": 8})})
    model = build("fusion", preset, seed=seed)
    if isinstance(population := population_of(model), Population):
        population.mean.fill_(0.5)
    save(folder, model, {"preset": "tiny"})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> Recogniser:
    return Recogniser(folder, "cpu")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Five recordings of one made-up voice, of one to three windows."""
    folder = tmp_path_factory.mktemp("speech")
    for number in range(5):
        time = np.arange(round((0.4 + 0.3 * number) * RATE)) / RATE
        noise = np.random.default_rng(number).normal(0, 0.02, len(time))
        soundfile.write(folder / f"{number}.wav", 0.3 * np.sin(2 * np.pi * (150 + 40 * number) * time) + noise, RATE)
    return sorted(folder.iterdir())


def test_a_stranger_is_answered_as_without_a_voice(recogniser: Recogniser, files: list[Path]) -> None:
    for file in files:
        plain, stranger = recogniser.answer_file(file), recogniser.answer_file(file, voice=recogniser.stranger())
        np.testing.assert_allclose(stranger.probabilities, plain.probabilities, atol=1e-7)
        assert stranger.voice_clips == 0 and plain.voice_clips is None and plain.context is None
        assert "voice_clips" not in plain.record() and stranger.record()["voice_clips"] == 0


def test_a_voice_known_well_is_moved_onto_the_population(recogniser: Recogniser) -> None:
    samples = admit_samples("noise", np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32), RATE, RATE)
    context = recogniser.answer(samples, RATE, cleaned=True, voice=recogniser.stranger()).context
    assert context is not None
    known = recogniser.answer(samples, RATE, cleaned=True, voice=Voice(10**9, torch.from_numpy(context)))
    with torch.inference_mode():
        features = recogniser.torch_network.extractor(torch.from_numpy(fit_window(samples, 8000)[0])[None])
        population = population_of(recogniser.model)
        expected = recogniser.model.classify(population.mean[None], features).double().softmax(1)[0].numpy()
    np.testing.assert_allclose(known.probabilities, expected, atol=1e-5)


def test_what_is_learned_is_the_mean_of_recordings_each_once_in_any_order(
        recogniser: Recogniser, files: list[Path], tmp_path: Path) -> None:
    first, second = KnownSpeaker(recogniser, tmp_path / "a", "anna"), KnownSpeaker(recogniser, tmp_path / "b", "anna")
    contexts = [first.answer_file(file).context for file in [*files, files[2]]][:5]
    assert first.clips == 0 and first.learn() == 5
    for file in reversed(files):
        second.answer_file(file)
        second.learn()
    assert second.clips == 5
    again = KnownSpeaker(recogniser, tmp_path / "a", "anna")
    assert again.clips == 5 and again.answer_file(files[0]).voice_clips == 5 and again.learn() == 5
    for part in ("a", "b"):
        mean = load_file(voice_file(tmp_path / part, "anna"))["mean"]
        np.testing.assert_allclose(mean.numpy(), np.mean(contexts, axis=0), rtol=1e-4, atol=1e-5)


def test_a_voice_is_for_its_owner_alone_holds_no_sound_and_can_be_forgotten(
        recogniser: Recogniser, files: list[Path], tmp_path: Path) -> None:
    known = KnownSpeaker(recogniser, tmp_path, "anna b.")
    known.answer_file(files[0])
    known.learn()
    file = voice_file(tmp_path, "anna b.")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and list(load_file(file)) == ["mean"]
    assert names_of_voices(tmp_path) == ["anna b."]
    forget(tmp_path, "anna b.")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"anna b\.: not enrolled .*nobody is"):
        forget(tmp_path, "anna b.")
    file.mkdir()
    with pytest.raises(UserError, match=r"cannot be removed .*remove it by hand"):
        forget(tmp_path, "anna b.")


@pytest.mark.parametrize("name", ["", "../anna", "/etc/anna", ".hidden", "a/b", "a\nb", "a" * 65, "\x1b[31m"])
def test_a_name_is_no_path(recogniser: Recogniser, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no name of a voice"):
        KnownSpeaker(recogniser, tmp_path, name)


def damage(file: Path, kind: str) -> None:
    mean, metadata = load_file(file)["mean"], {"stream": "0" * 16, "recordings": json.dumps(["a"])}
    match kind:
        case "empty":
            file.write_bytes(b"")
        case "text":
            file.write_text("mean")
        case "cut":
            file.write_bytes(file.read_bytes()[:-4])
        case "without metadata":
            save_file({"mean": mean}, file)
        case "folder":
            file.unlink()
            file.mkdir()
        case "another tensor":
            save_file({"median": mean}, file, metadata)
        case "another stream":
            save_file({"mean": mean}, file, metadata)


@pytest.mark.parametrize(("kind", "said"), [
    ("empty", "holds no voice"), ("text", "holds no voice"), ("cut", "holds no voice"), ("folder", "holds no voice"),
    ("without metadata", "holds no voice"), ("another tensor", "holds no voice"),
    ("another stream", "another pretrained stream")])
def test_a_file_that_holds_no_voice_is_one_line_with_a_remedy(
        recogniser: Recogniser, files: list[Path], kind: str, said: str, tmp_path: Path) -> None:
    known = KnownSpeaker(recogniser, tmp_path, "anna")
    known.answer_file(files[0])
    known.learn()
    damage(voice_file(tmp_path, "anna"), kind)
    with pytest.raises(UserError, match=f"{said}.*ser-ops voices forget 'anna'") as raised:
        KnownSpeaker(recogniser, tmp_path, "anna")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("change", ["shape", "nan", "nobody"])
def test_a_voice_of_other_numbers_is_refused(recogniser: Recogniser, files: list[Path], change: str,
                                             tmp_path: Path) -> None:
    known = KnownSpeaker(recogniser, tmp_path, "anna")
    known.answer_file(files[0])
    known.learn()
    file = voice_file(tmp_path, "anna")
    mean = load_file(file)["mean"]
    changed = {"shape": mean[:3], "nan": mean * float("nan"), "nobody": mean}[change].contiguous()
    save_file({"mean": changed}, file, {"stream": known._stream,
                                        "recordings": json.dumps([] if change == "nobody" else ["a"])})
    with pytest.raises(UserError, match="holds no voice"):
        KnownSpeaker(recogniser, tmp_path, "anna")


def test_models_of_one_stream_know_the_same_voices(folder: Path, files: list[Path], tmp_path: Path) -> None:
    known = KnownSpeaker(Recogniser(folder, "cpu"), tmp_path / "voices", "anna")
    known.answer_file(files[0])
    known.learn()
    same = Recogniser(small_model(tmp_path / "same", seed=1), "cpu")
    assert KnownSpeaker(same, tmp_path / "voices", "anna").clips == 1
    for number, other in enumerate(({"hidden": 8}, {"seed": 2})):      # its random weights are of no other seed
        stranger = Recogniser(small_model(tmp_path / f"other{number}", **other), "cpu")
        with pytest.raises(UserError, match="another pretrained stream"):
            KnownSpeaker(stranger, tmp_path / "voices", "anna")


def test_frozen_checkpoints_of_one_revision_are_one_stream() -> None:
    card = {"backbone": "checkpoint a/b", "backbone_revision": "abc", "backbone_config": {"layers": 3},
            "weights_sha256": "1", "preset_settings": {"wav2vec": {"trainable": "frozen"}}}
    tuned = {"preset_settings": {"wav2vec": {"trainable": "partly"}}}
    assert stream_mark(card) == stream_mark(card | {"weights_sha256": "2"})
    assert stream_mark(card | tuned) != stream_mark(card | tuned | {"weights_sha256": "2"})
    for other in ({"backbone_revision": "abd"}, {"backbone_config": {"layers": 2}}, {"backbone": "checkpoint a/c"}):
        assert stream_mark(card) != stream_mark(card | other)


def test_a_model_that_cannot_use_a_voice_says_which_can(files: list[Path], tmp_path: Path) -> None:
    recogniser = Recogniser(small_model(tmp_path / "model", states="last"), "cpu")
    with pytest.raises(UserError, match=r"cannot make use of a known voice: .*preset pretrained"):
        KnownSpeaker(recogniser, tmp_path, "anna")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, in this process."""
    code = 0
    try:
        app(list(map(str, arguments)), standalone_mode=False)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except UserError as error:
        code = 1
        print(error)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_commands_enrol_answer_list_and_forget(
        folder: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "voices", "list")[1] == "nobody is enrolled in voices\n"
    run(capsys, "voices", "enrol", "anna", *files[:3], tmp_path / "no.wav", "--model", folder)
    code, out, _ = run(capsys, "voices", "enrol", "anna", *files[:3], "--model", folder)
    assert (code, out) == (0, "anna: known by 3 recordings\n")
    code, out, errors = run(capsys, "predict", *files[3:], "--speaker", "anna", "--model", folder, "--json")
    assert [json.loads(line)["voice_clips"] for line in out.splitlines()] == [3, 3]
    assert "anna: answered as a voice known by 3 recordings; from now on by 5" in errors
    assert json.loads(run(capsys, "voices", "list", "--json")[1]) == {"voices": ["anna"]}
    assert run(capsys, "voices", "forget", "anna")[1] == "anna: forgotten\n"
    code, out, _ = run(capsys, "voices", "forget", "anna")
    assert code == 1 and "not enrolled" in out

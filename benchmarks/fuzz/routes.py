"""The doors by which files come in, and what comes to each: recordings to six, other inputs to one or two."""

import os
import shutil
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import soundfile

from benchmarks.fuzz import archives, sounds, texts
from benchmarks.fuzz.call import Sort
from ser_ops.audio.admission import Clip
from ser_ops.audio.reading import read_clip
from ser_ops.config.data import ManifestSource
from ser_ops.config.params import PRESETS, Params, load_params, load_preset
from ser_ops.corpora import adding, corpus, csv_manifest
from ser_ops.corpora.checksums import compare_checksums
from ser_ops.corpora.csv_manifest import read_labels
from ser_ops.corpora.decoding import decode_recordings
from ser_ops.corpora.layout import DEMOGRAPHICS, read_genders
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.evaluation.labelled_audio import evaluate_manifest
from ser_ops.explain.recording import read_window
from ser_ops.inference.recogniser import Recogniser
from ser_ops.models import architectures, base, model_folder
from ser_ops.noise import adding as noise_adding
from ser_ops.noise import recordings
from ser_ops.storage.download import PartJournal as Parts
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.outbox import Journal

_SETTINGS = Path("params.yaml")
_WINDOW = 0.5   # seconds that the small model hears
_CARDS = {"corpus": "name: rain\nlayout: savee\nsynthetic: false\nlicence: own\nsource: made\nnote: ''\n",
          "noise": "name: rain\nsynthetic: true\nlicence: CC0\nsource: made\nnote: ''\n"}
Generator = np.random.Generator


class Fault(Exception):
    """What a route did although it must not, without an error of its own."""


class Doors:
    """The project's doors around a small model with random weights; `folder` keeps what they need between calls."""

    def __init__(self, folder: Path, cases: Path | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder, self.cases = folder, cases
        self.tone = folder / "tone.wav"
        time = np.arange(16000) / 16000
        soundfile.write(self.tone, 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time), 16000)

    @cached_property
    def params(self) -> Params:
        """Those of the project, for quick figures on the CPU."""
        own = load_params(_SETTINGS)
        return own.model_copy(update={
            "compute": own.compute.model_copy(update={"device": "cpu", "workers": 1}),
            "evaluate": own.evaluate.model_copy(update={"resamples": 100})})

    @cached_property
    def model(self) -> Path:
        """The folder of a fusion model that answers in milliseconds."""
        small = load_preset("small")
        preset = small.model_copy(update={
            "features": small.features.model_copy(update={"seconds": _WINDOW, "mfcc": 13}),
            "wav2vec": small.wav2vec.model_copy(update={
                "hidden": 16, "layers": 1, "heads": 2,
                "convolutions": ((8, 20, 10), (16, 8, 4), (16, 8, 4), (16, 4, 2))}),
            "spectral": small.spectral.model_copy(update={"channels": (8,) * 4, "embedding": 8})})
        model_folder.save(self.folder / "model", architectures.build("fusion", preset, seed=1), {"preset": "small"})
        return self.folder / "model"

    @cached_property
    def recogniser(self) -> Recogniser:
        """Over `model`."""
        return Recogniser(self.model, "cpu", window_hop=_WINDOW)

    def predict(self, path: Path, empty: Path) -> str:
        """One answer; its probabilities must be some."""
        answer = self.recogniser.answer_file(path)
        if not np.isfinite(answer.probabilities).all() or abs(answer.probabilities.sum() - 1) > 1e-6:
            raise Fault(f"probabilities {answer.probabilities}")
        return ""

    def evaluate(self, path: Path, empty: Path) -> str:
        """A manifest of the recording and of one that is whole; why the first was left out.

        A name that is no UTF-8, which no table can hold, is another one there.
        """
        manifest = empty / "manifest.csv"
        shutil.copyfile(self.tone, empty / "tone.wav")
        if str(path).encode("utf-8", "replace") != os.fsencode(path):
            named = empty / f"recording{path.suffix}"
            named.symlink_to(path)
            path = named
        rows = "".join(f'"{str(file).replace(chr(34), chr(34) * 2)}",{emotion},{emotion}\n'
                       for file, emotion in ((path, "happy"), (empty / "tone.wav", "sad")))
        manifest.write_text(f"path,emotion,speaker\n{rows}", encoding="utf-8")
        network, card = cast(base.EmotionModel, self.recogniser.model), self.recogniser.card
        metrics = evaluate_manifest(network, card, manifest, None, self.params)
        return "; ".join(left_out["reason"] for left_out in metrics["skipped"])

    def explain(self, path: Path, empty: Path) -> str:
        """The window that is explained."""
        read_window(path, self.recogniser.sample_rate, _WINDOW)
        return ""

    def cut(self, path: Path, empty: Path) -> str:
        """A part of its first channel, as a manifest with start, end and channel asks for."""
        read_clip(Clip(path, 0.1, 0.6, channel=1), self.recogniser.sample_rate)
        return ""

    def noise_add(self, path: Path, empty: Path) -> str:
        """The recording's folder as a folder of noise; nothing of a refused one may stay."""
        return _whole_or_nothing(empty / "noise", lambda: noise_adding.add_noise("rain", path.parent, empty / "noise"))

    def corpora_add(self, path: Path, empty: Path) -> str:
        """The recording as one of a corpus; nothing of a refused one may stay."""
        source = empty / "DC" / f"a01{path.suffix}"
        source.parent.mkdir()
        if path.is_dir():
            source.mkdir()
        else:
            os.link(path, source, follow_symlinks=False)
        return _whole_or_nothing(empty / "corpora", lambda: adding.add_corpus("savee", empty / "DC", empty / "corpora"))

    def ingest(self, path: Path, empty: Path) -> str:
        """Decoded into a store; why it was not."""
        measures = decode_recordings([("utterance", Clip(path))], empty / "store", 16000, -60.0, 64, 1, "decoding")
        return str(measures[0].error)

    def sorts(self) -> list[Sort]:
        """Every sort of input with its routes."""
        return [
            Sort("sound", partial(sounds.recording, cases=self.cases), {
                "predict": self.predict, "evaluate": self.evaluate, "explain": self.explain, "cut": self.cut,
                "noise add": self.noise_add, "corpora add": self.corpora_add, "ingest": self.ingest},
                frozenset({"predict", "evaluate", "ingest"})),
            Sort("settings", partial(_settings, _SETTINGS), {"settings": _read(load_params)}),
            Sort("preset", partial(_settings, Path(PRESETS, f"{self.params.preset}.yaml")), {
                "preset": _read(load_params)}),
            Sort("corpus card", partial(_card, "corpus"), {"corpus card": _read(
                lambda path: corpus.CorpusCard.read(path.parent.parent, path.parent.name))}),
            Sort("noise card", partial(_card, "noise"), {"noise card": _read(
                lambda path: recordings.NoiseCard.read(path.parent.parent, path.parent.name))}),
            Sort("labels", _labels, {"labels": _read(lambda path: read_labels(str(path)))}),
            Sort("manifest", _manifest, {"manifest": _read(
                lambda path: csv_manifest.read_manifest(ManifestSource(name="manifest", file=path)))}),
            Sort("speakers", _speakers, {"speakers": _read(read_genders)}),
            Sort("checksums", _checksums, {"checksums": _read(
                lambda path: compare_checksums(path.parent, path))}),
            Sort("model", lambda folder, generator: archives.model_of(self.model, folder / "model", generator),
                 {"model": self.load}),
            Sort("package", lambda folder, generator: archives.package_of(self.model, folder / "package", generator),
                 {"package": self.fetched}),
            Sort("zip", self.zip, {"zip": self.corpus}),
            Sort("folder", self.folder_of, {
                "corpus folder": self.corpus, "linked folder": self.link,
                "noise folder": lambda path, empty: _whole_or_nothing(
                    empty / "noise", lambda: noise_adding.add_noise("rain", path, empty / "noise"))}),
            Sort("json", _json, {"json": _read(read_json), "run's journal": _read(Journal),
                                 "download's journal": _read(Parts)}),
        ]

    def folder_of(self, folder: Path, generator: Generator) -> Path:
        """A folder of a corpus with what does not belong there."""
        return archives.folder_of(self.tone.read_bytes(), folder / "corpus", generator)

    def load(self, path: Path, empty: Path) -> str:
        """A model folder; it must answer if it loads."""
        model, card = model_folder.load(path)
        Recogniser((model, card), "cpu").answer_file(self.tone)
        return ""

    def fetched(self, path: Path, empty: Path) -> str:
        """A model by its address, then as `load`."""
        return self.load(fetch_model(self.params, str(path)), empty)

    def zip(self, folder: Path, generator: Generator) -> Path:
        """A damaged zip of a corpus."""
        path = folder / "corpus.zip"
        path.write_bytes(archives.zip_of([self.tone.read_bytes()] * int(generator.integers(1, 4)), generator))
        return path

    def link(self, path: Path, empty: Path) -> str:
        """A corpus by symbolic links."""
        return _whole_or_nothing(empty / "corpora",
                                 lambda: adding.add_corpus("savee", path, empty / "corpora", link=True))

    def corpus(self, path: Path, empty: Path) -> str:
        """A corpus from a folder or a zip; nothing of a refused one may stay."""
        return _whole_or_nothing(empty / "corpora", lambda: adding.add_corpus("savee", path, empty / "corpora"))


def sorts(folder: Path, cases: Path | None = None) -> list[Sort]:
    """Every sort of input with its routes. folder: made anew, for what they keep; cases: recordings to damage too."""
    return Doors(folder, cases).sorts()


def ready(folder: Path, cases: Path | None = None) -> list[Sort]:
    """The same, with all that is loaded at a first call loaded, so that it counts in none."""
    doors = Doors(folder, cases)
    for route in doors.sorts()[0].routes.values():
        with TemporaryDirectory(dir=folder) as empty:
            route(doors.tone, Path(empty))
    return doors.sorts()


def _whole_or_nothing(target: Path, add: Callable[[], Any]) -> str:
    try:
        add()
    except UserError:
        if target.exists() and any(target.rglob("*")):
            raise Fault(f"left after a refusal: {sorted(path.name for path in target.rglob('*'))[:3]}") from None
        raise
    return ""


def _read(reader: Callable[[Path], Any]) -> Callable[[Path, Path], str]:
    def route(path: Path, empty: Path) -> str:
        reader(path)
        return ""
    return route


def _settings(damaged: Path, folder: Path, generator: Generator) -> Path:
    """params.yaml and its presets, one of these files damaged."""
    shutil.copy(_SETTINGS, folder)
    shutil.copytree(PRESETS, folder / PRESETS)
    (folder / damaged).write_bytes(texts.yaml_of(damaged.read_text(encoding="utf-8"), generator))
    return folder / _SETTINGS


def _card(kind: str, folder: Path, generator: Generator) -> Path:
    path = folder / "rain" / ("corpus.yaml" if kind == "corpus" else "noise.yaml")
    path.parent.mkdir()
    path.write_bytes(texts.yaml_of(_CARDS[kind], generator))
    return path


def _labels(folder: Path, generator: Generator) -> Path:
    path = folder / "labels.yaml"
    path.write_bytes(texts.yaml_of("joy: happy\nbored: drop\nwut: angry\n", generator))
    return path


def _table(name: str, rows: list[dict[str, str]], folder: Path, generator: Generator, delimiter: str = ",") -> Path:
    (folder / name).write_bytes(texts.table_of(rows, generator, delimiter))
    return folder / name


def _manifest(folder: Path, generator: Generator) -> Path:
    for name in "abc":
        (folder / f"{name}.wav").write_bytes(b"RIFF")
    cut = bool(generator.integers(2))
    rows = [{"path": f"{name}.wav", "emotion": emotion, "speaker": "1", **({"start": "0", "end": "1.5"} if cut else {})}
            for name, emotion in zip("abc", ("happy", "sad", "angry"), strict=True)]
    return _table("manifest.csv", rows, folder, generator)


def _speakers(folder: Path, generator: Generator) -> Path:
    rows = [{"ActorID": f"10{number:02d}", "Age": "40", "Sex": sex, "Race": "", "Ethnicity": ""}
            for number, sex in enumerate(("Male", "Female", "Male"), 1)]
    return _table(DEMOGRAPHICS, rows, folder, generator)


def _checksums(folder: Path, generator: Generator) -> Path:
    (folder / "a01.wav").write_bytes(b"RIFF")
    rows = [{"path": f"DC/a0{number}.wav", "size": "4", "sha256": f"{number}" * 64} for number in (1, 2)]
    return _table("published.tsv", rows, folder, generator, "\t")


def _json(folder: Path, generator: Generator) -> Path:
    path = folder / "entries.jsonl"
    entries = [{"metric": "train/loss", "value": 1.5, "step": 3}, ["key", "etag", 0, 100, 7], {"artifact": "a"}]
    path.write_bytes(b"".join(texts.json_of(entry, generator).replace(b"\n", b"") + b"\n" for entry in entries)
                     if generator.integers(2) else texts.json_of(entries, generator))
    return path

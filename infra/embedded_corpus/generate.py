"""Make the embedded synthetic corpora and noise: python infra/embedded_corpus/generate.py OUT

OUT gets corpora/ and noise/ and must not hold them yet. Every recording is made in a process of its own and from a seed
of its own, so the bytes depend on settings.yaml and on the versions of the tools alone. Needs the extra `generate`.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cards
import layouts
import noises
import numpy as np
import soundfile
from corpus_settings import Settings, load
from delivery import Utterance, cues, words
from espeak import SAMPLE_RATE, speak
from numpy.typing import NDArray
from timbre import finish

from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.seeds import generator

Job = tuple[Path, Callable[..., NDArray[np.float64]], tuple[object, ...]]


def utterance_samples(settings: Settings, utterance: Utterance) -> NDArray[np.float64]:
    """One utterance at settings.sample_rate, in [-1, 1]."""
    values = cues(settings, utterance)
    phase = int(generator(settings.seed, "phase", utterance.corpus, utterance.path).integers(2))
    spoken = words(settings, utterance.corpus, utterance.text, values, phase)
    voice = speak(utterance.speaker, spoken, 50 + values["range"])
    return finish(settings, utterance, voice, SAMPLE_RATE, values)


def jobs(settings: Settings, folder: Path) -> list[Job]:
    """Every recording to be made, as (where, how, with what)."""
    speech: list[Job] = [(folder / "corpora" / each.corpus / each.path, utterance_samples, (settings, each))
                         for each in layouts.utterances(settings)]
    noise: list[Job] = [(folder / "noise" / "synthetic" / category / f"{category}_{number:02d}.flac",
                         noises.recording, (settings, category, number))
                        for category in noises.CATEGORIES for number in range(1, settings.noise.recordings + 1)]
    return speech + noise


def make(todo: Sequence[Job], rate: int) -> None:
    """Make the recordings, one fresh process each, one at a time on every core."""
    if find_spec("espeakng_loader") is None:
        raise UserError("espeakng_loader: not installed: pip install -e '.[generate]'")
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for done, _ in enumerate(pool.imap_unordered(_one, [(job, rate) for job in todo], chunksize=1), start=1):
            if done % 100 == 0 or done == len(todo):
                print(f"{done} of {len(todo)} recordings", file=sys.stderr)
    if missing := [path for path, *_ in todo if not path.is_file()]:
        raise UserError(f"{missing[0]}: made, then removed by somebody (and {len(missing) - 1} more): run it again")


def write_cards(settings: Settings, folder: Path) -> None:
    """The cards of the corpora and of the noise, and the made-up speakers' VideoDemographics.csv."""
    for name, corpus in settings.corpora.items():
        write_text(folder / "corpora" / name / "corpus.yaml", cards.corpus_card(name, corpus.layout))
        if corpus.layout == "crema_d":
            write_text(folder / "corpora" / name / "VideoDemographics.csv", layouts.demographics(settings, name))
    write_text(folder / "noise" / "synthetic" / "noise.yaml", cards.noise_card("synthetic"))


def _one(work: tuple[Job, int]) -> None:
    (path, make_samples, arguments), rate = work
    samples = make_samples(*arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.rint(samples * 32767).astype(np.int16), rate, format="FLAC", subtype="PCM_16",
                    compression_level=1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when everything was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="folder that gets corpora/ and noise/")
    out: Path = parser.parse_args(arguments).out
    settings = load()
    folders = (*(f"corpora/{corpus}" for corpus in settings.corpora), "noise/synthetic")
    try:
        for name in folders:
            if (out / name).exists():
                raise UserError(f"{out / name}: exists: remove it, or generate into another folder")
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as beside:  # moved into place only when all of it is made
            make(jobs(settings, Path(beside)), settings.sample_rate)
            write_cards(settings, Path(beside))
            for name in folders:
                (out / name).parent.mkdir(exist_ok=True)
                (Path(beside) / name).rename(out / name)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

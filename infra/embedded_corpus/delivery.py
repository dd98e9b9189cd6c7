"""How one utterance is said: an emotion's offsets, the speaker's habits, and chance."""

from dataclasses import dataclass

import numpy as np
from corpus_settings import CUES, Settings, Speaker
from espeak import Word

from ser_ops.seeds import generator


@dataclass(frozen=True)
class Utterance:
    """One recording to be made; `path` is relative to the corpus folder."""

    corpus: str
    path: str
    speaker: Speaker
    emotion: str
    intensity: str
    text: str


def cues(settings: Settings, utterance: Utterance) -> dict[str, float]:
    """Offsets of this utterance from a plain delivery, one value a cue, in the units of settings.yaml."""
    habit = generator(settings.seed, "habits", utterance.corpus, utterance.speaker.name)
    expressiveness = habit.uniform(*settings.expressiveness)
    draw = generator(settings.seed, "delivery", utterance.corpus, utterance.path)
    strength = settings.intensities[utterance.intensity] * expressiveness
    values = {}
    for cue in CUES:
        mean = getattr(settings.emotions[utterance.emotion], cue) * strength
        usual = getattr(settings.habits, cue) * habit.standard_normal()
        values[cue] = float(mean + usual + getattr(settings.spread, cue) * draw.standard_normal())
    return values


def words(settings: Settings, corpus: str, text: str, values: dict[str, float], phase: int) -> list[Word]:
    """The words with their pitch and tempo: slope, bounce and drawl laid over the utterance."""
    spoken = text.split()
    position = np.linspace(-0.5, 0.5, len(spoken)) if len(spoken) > 1 else np.zeros(1)
    bounce = np.where((np.arange(len(spoken)) + phase) % 2 == 0, 1.0, -1.0) * values["bounce"]
    semitones = values["pitch"] + values["slope"] * position + bounce
    usual = settings.delivery.words_per_minute * settings.corpora[corpus].tempo / 100
    tempo = usual * (1 + values["rate"] / 100) * (1 + values["drawl"] / 100 * position)
    return [Word(*each) for each in zip(spoken, semitones.tolist(), tempo.tolist(), strict=True)]

"""What is heard: clean utterances, the mixtures of the test grid, and those of training and validation.

Read from a workspace whose pipeline has run up to `validate`, and mixed by the house's own mixer with its own keys: a
system hears sample for sample what every other system hears.
"""

from dataclasses import dataclass

import numpy as np

from ser_ops.augment import quadruplets
from ser_ops.config.params import Params
from ser_ops.evaluation.predictions import CLEAN, Condition, noise_grid, transmission_conditions
from ser_ops.files import sha256
from ser_ops.manifest import validated_noise, validated_utterances
from ser_ops.noise.mixing import Mixer
from ser_ops.seeds import derive_seed, generator
from ser_ops.shards import Shards
from ser_ops.transmission.conditions import transmit


@dataclass(frozen=True)
class Hearing:
    """One way in which all utterances are heard: clean, a cell of the grid in noise of `use`, or a draw for `use`."""

    use: str
    condition: Condition = CLEAN
    seed: int = 0


class Sound:
    """Utterances of a workspace as rows of its manifest, and their samples under every condition."""

    def __init__(self, params: Params) -> None:
        work = params.paths.work
        self.params = params
        self.rows = sorted(validated_utterances(work), key=lambda row: row.utterance)
        self.noise_rows = validated_noise(work)
        self.sample_rate = params.data.sample_rate
        self._waveforms = Shards(work / "ingest" / "waveforms")
        self._mixer = Mixer(Shards(work / "ingest" / "noise"), self.noise_rows, self.sample_rate,
                            params.augment.level, params.augment.silent_crop_dbfs)

    @property
    def mark(self) -> str:
        """Fingerprint of the recordings and of how noise goes into them, 12 hexadecimal digits."""
        work, settings = self.params.paths.work, self.params.augment
        files = [sha256(work / "validated" / name) for name in ("manifest.csv", "noise.csv")]
        return f"{derive_seed(0, *files, settings.level, settings.silent_crop_dbfs):016x}"[:12]

    def name(self, heard: Hearing) -> str:
        """A name for what is heard: another for other mixtures of these recordings."""
        if heard.use == "test":
            return heard.condition.cell if heard.condition.clean else f"{heard.condition.cell}-{heard.seed}"
        low, high = self.params.augment.intensity
        return f"{heard.use}-{heard.seed}-{low:g}-{high:g}"

    def grid(self, seed: int) -> list[Condition]:
        """Cells of the test grid, one seed each."""
        return noise_grid(self.noise_rows, self.params.evaluate.model_copy(update={"seeds": (seed,)}))

    def transmissions(self) -> list[Condition]:
        """Telephone lines and rooms beside the grid."""
        return transmission_conditions(self.params.evaluate)

    def __call__(self, utterance: str, heard: Hearing) -> np.ndarray:
        """Samples of one utterance, float32 (n,), whole."""
        speech = self._waveforms[utterance]
        if heard.use == "train":
            return self._variant(utterance, speech, heard.seed)
        condition = heard.condition
        if condition.transmitted:
            return transmit(speech, condition.noise, self.sample_rate, condition.seed or 0, utterance)
        if not condition.clean:
            return self._mixer(utterance, speech, condition.noise, condition.intensity, heard.seed, heard.use).samples
        return self._validation(utterance, speech, heard.seed) if heard.use == "validation" else speech

    def variants(self, utterance: str) -> list[quadruplets.Variant]:
        """What the stage augment makes of an utterance for training, the original first, and for validation."""
        speech, settings = self._waveforms[utterance], self.params.augment
        return [*quadruplets.make_variants(utterance, speech, settings, self._mixer),
                *quadruplets.make_validation_copies(utterance, speech, settings, self._mixer)]

    def _variant(self, utterance: str, speech: np.ndarray, seed: int) -> np.ndarray:
        """The noisy variant of the stage augment, stationary noise among its kinds."""
        settings = self.params.augment.model_copy(
            update={"seed": seed, "variants": ("original", "noisy"), "stationary": True})
        return list(quadruplets.make_variants(utterance, speech, settings, self._mixer))[1].samples

    def _validation(self, utterance: str, speech: np.ndarray, seed: int) -> np.ndarray:
        """A noise and an intensity drawn as for training, from recordings that neither training nor test hear."""
        draw = generator(seed, "validation", utterance)
        kinds = (*self._mixer.categories("validation"), *self.params.evaluate.stationary)
        noise = kinds[int(draw.integers(len(kinds)))]
        intensity = round(float(draw.uniform(*self.params.augment.intensity)), 6)
        return self._mixer(utterance, speech, noise, intensity, seed, "validation").samples

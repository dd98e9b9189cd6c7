"""Known voices: their means, how far they move a context, and what training remembers of its speakers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_models_statistics import inputs, preset

from ser_ops.dataset.examples import Examples, Stores
from ser_ops.manifest import VariantRow
from ser_ops.models import model_folder
from ser_ops.models.architectures import build
from ser_ops.models.voices import Population, Voice, population_of
from ser_ops.training.loop import learn_population

CPU = torch.device("cpu")


@settings(max_examples=50)
@given(st.lists(st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_voice_is_the_mean_of_its_clips_in_any_order(clips: list[list[float]]) -> None:
    voice = Voice(0, torch.zeros(3))
    for clip in clips:
        voice = voice.with_clip(torch.tensor(clip))
    assert voice.clips == len(clips)
    np.testing.assert_allclose(voice.mean.numpy(), np.mean(clips, axis=0), rtol=1e-4, atol=1e-3)


def test_a_stranger_stays_and_a_voice_known_well_has_the_mean_of_the_population() -> None:
    population, generator = Population(5, prior=4.0), torch.Generator().manual_seed(1)
    population.mean.copy_(torch.randn(5, generator=generator))
    contexts = 10 + torch.randn(1000, 5, generator=generator)
    means = contexts.mean(0).expand(1000, -1)
    assert torch.equal(population(contexts, means, torch.zeros(1000)), contexts)
    known = population(contexts, means, torch.full((1000,), 1e9))
    torch.testing.assert_close(known.mean(0), population.mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(known.std(0), contexts.std(0))
    half = population(contexts, means, torch.full((1000,), 4.0))
    torch.testing.assert_close(half, (contexts + known) / 2, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["wav2vec", "concat", "fusion"])
def test_the_population_is_no_part_of_an_answer_to_strangers_and_travels_with_the_weights(
        name: str, tmp_path: Path) -> None:
    model = build(name, preset(), seed=1).eval()
    with torch.inference_mode():
        before = model(*inputs())
        population_of(model).mean.fill_(3.0)
        assert torch.equal(model(*inputs()), before)
        model_folder.save(tmp_path, model, {})
        loaded = model_folder.load(tmp_path)[0]
    assert torch.equal(population_of(loaded).mean, population_of(model).mean)
    assert population_of(loaded).prior == 4.0


def test_a_model_without_statistics_knows_no_voices() -> None:
    assert population_of(build("spectral", preset())) is None


def test_the_population_is_the_mean_of_speakers_over_their_unaltered_clips() -> None:
    model = build("wav2vec", preset(), seed=3)
    rows, waveforms, generator = [], {}, np.random.default_rng(1)
    for speaker, number in (("a", 1), ("b", 3), ("c", 2)):
        for clip in range(number):
            for variant in ("original", "noisy"):
                utterance = f"{speaker}{clip}"
                rows.append(VariantRow(f"{utterance}#{variant}", utterance, variant, "train", "happy", speaker, "made"))
                waveforms[utterance if variant == "original" else f"{utterance}#{variant}"] = \
                    generator.normal(0, 0.1, 16000).astype(np.float32)
    features = {row.row: np.zeros(1, np.float32) for row in rows}
    learn_population(model, Examples(rows, Stores(waveforms, waveforms, features), 16000), 4, CPU)

    def context(utterance: str) -> torch.Tensor:
        with torch.inference_mode():
            return model.eval().context(torch.from_numpy(waveforms[utterance])[None], torch.tensor([16000]))[0]

    means = [context("a0"), (context("b0") + context("b1") + context("b2")) / 3, (context("c0") + context("c1")) / 2]
    torch.testing.assert_close(population_of(model).mean, torch.stack(means).mean(0), rtol=1e-4, atol=1e-5)

"""Whisper's encoder against the transformers library's, and what padding does to it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ser_ops.models.whisper_encoder import WhisperEncoder, WhisperSizes, frames

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "checkpoints" / "whisper-tiny.en-encoder"


def sizes(**changed) -> WhisperSizes:
    return WhisperSizes(**{"hidden_size": 32, "num_hidden_layers": 2, "published_layers": 2, "num_attention_heads": 4,
                           "intermediate_size": 48, "mel_bins": 80, "positions": 1500, "dropout": 0.0,
                           "input_levelled": False} | changed)


def speech(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise that swells and ebbs: loud and quiet frames, float32 (1, N)."""
    number = round(seconds * 16000)
    draw = np.random.default_rng(seed).normal(size=number)
    return torch.tensor(0.1 * draw * (1.1 + np.sin(np.arange(number) / 3000)), dtype=torch.float32)[None]


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    torch.manual_seed(0)
    return WhisperEncoder(sizes()).eval()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [30.0, 29.0])
def test_over_30_seconds_it_is_the_published_encoder(encoder, seconds):
    """29 s: filled with silence by the published feature extractor, here with zeros that count as valid."""
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Published
    config = WhisperConfig(d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=48)
    published = Published(config).eval()
    published.load_state_dict(encoder.state_dict())
    sound = speech(seconds)
    picture = WhisperFeatureExtractor()(sound[0].numpy(), sampling_rate=16000, return_tensors="pt").input_features
    filled = torch.nn.functional.pad(sound, (0, 480000 - sound.shape[1]))
    with torch.no_grad():
        ours, theirs = encoder(filled, output_hidden_states=True), published(picture, output_hidden_states=True)
        assert (encoder.log_mel(filled, torch.tensor([480000])) - picture).abs().max() < 1e-4
    assert (ours.last_hidden_state - theirs.last_hidden_state).abs().max() < 1e-4
    for own, their in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        assert (own - their).abs().max() < 1e-4


@pytest.mark.parametrize("padding", [1, 160, 4321, 16000])
@pytest.mark.parametrize("length", [16000, 16001, 15839, 401, 40])
def test_padding_has_no_influence_whatever_it_holds(encoder, padding, length):
    sound = speech(1.1)[:, :length]
    loud = torch.cat([sound, torch.full((1, padding), 3.0)], 1)
    with torch.no_grad():
        alone = encoder(sound).last_hidden_state
        padded = encoder(loud, torch.tensor([[length]])).last_hidden_state
    number = int(frames(torch.tensor(length)))
    assert alone.shape[1] == number
    assert torch.allclose(padded[:, :number], alone, atol=2e-5)
    assert not padded[:, number:].any()


def test_an_utterance_gets_the_same_states_in_any_batch(encoder):
    sounds, lengths = [speech(1.0, 1)[0], speech(0.4, 2)[0]], torch.tensor([16000, 6400])
    batch = torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    with torch.no_grad():
        both = encoder(batch, lengths[:, None]).last_hidden_state
        for row, sound in enumerate(sounds):
            alone = encoder(sound[None]).last_hidden_state[0]
            assert torch.allclose(both[row, : len(alone)], alone, atol=2e-5)


def test_fewer_layers_give_what_goes_into_the_next():
    torch.manual_seed(0)
    whole = WhisperEncoder(sizes(num_hidden_layers=3, published_layers=3)).eval()
    part = WhisperEncoder(sizes(num_hidden_layers=1, published_layers=3)).eval()
    left_out = part.load_state_dict(whole.state_dict(), strict=False)
    assert not left_out.missing_keys and len(part.layers) == 1
    with torch.no_grad():
        states = whole(speech(0.5), output_hidden_states=True)
        assert torch.equal(part(speech(0.5)).last_hidden_state, states.hidden_states[1])


def test_what_is_longer_than_its_positions_is_refused():
    short = WhisperEncoder(sizes(positions=50)).eval()
    with pytest.raises(ValueError, match="16001 samples: the encoder has positions for 16000"):
        short(torch.zeros(1, 16001))

"""How fast Score-CAM is with its masks in batches, against one mask at a time, in one run.

    python benchmarks/score_cam.py [--preset paper] [--device cpu]

One clip of 2.5 s (made of noise), random weights, one thread. Three ways to the same map:

whole model     algorithm 1 with F the whole model, as the paper prints it: each masked input goes through both streams
                (the baseline's probability is taken once, which the paper's loop takes anew each time)
context held    the same loop, one mask at a time, but the Wav2Vec 2.0 stream's answer to the waveform, which no mask
                changes, is computed once
batched         ser_ops.explain.methods.scorecam: context held, explain.batch_size masks in one forward pass

Prints CPU seconds (wall seconds on another device), the ratios, and how far the three maps lie apart, as a share of the
map's peak, to which every picture scales it. Ends with 1 where that is more than 1e-5 or the batched form is not 5
times faster than the whole-model loop.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ser_ops.config.models import Preset
from ser_ops.config.params import load_params, load_preset
from ser_ops.explain.methods.scorecam import activations, masks, score_cam, upsample
from ser_ops.explain.subject import FeatureClassifier
from ser_ops.features.extractor import Extractor
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel

TARGET, LIMIT, FASTER = 2, 1e-5, 5.0


def loop(answer: Callable[[Tensor], Tensor], layer: nn.Module, features: Tensor, baseline: Tensor,
         target: int = TARGET) -> Tensor:
    """Algorithm 1, one mask at a time."""
    maps = upsample(activations(answer, layer, features[None]), features.shape[-1])
    with torch.no_grad():
        floor = answer(baseline[None]).softmax(1)[0, target]
        weights = [answer(torch.lerp(baseline, features, mask)[None]).softmax(1)[0, target] - floor
                   for mask in masks(maps)]
        return torch.relu(torch.stack(weights) @ maps)


def clip(preset: Preset, sample_rate: int = 16000) -> tuple[Tensor, Tensor]:
    """A waveform (n,) whose loudness changes, and its features."""
    generator = torch.Generator().manual_seed(1)
    length = round(preset.features.seconds * sample_rate)
    waveform = 0.1 * torch.randn(length, generator=generator) * torch.sin(torch.linspace(0, 20, length)).abs()
    return waveform, Extractor(preset.features, sample_rate)(waveform[None])[0]


def timed(made: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, float]:
    """The result and the seconds: of this process on the CPU, so that others do not count; else of the wall."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    saliency = made().cpu()        # waits for another device
    return saliency, clock() - start


def model_of(preset: Preset) -> EmotionModel:
    """A fusion with random weights, its backbone of the preset's own sizes; nothing is downloaded."""
    free = preset.wav2vec.model_copy(update={"checkpoint": None})
    return build("fusion", preset.model_copy(update={"wav2vec": free})).eval()


def main() -> int:
    """Print the comparison; 0 when it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    params, device = load_params(), torch.device(asked.device)
    preset = load_preset(asked.preset)
    model = model_of(preset).to(device)
    waveform, features = (tensor.to(device) for tensor in clip(preset))
    valid, baseline = torch.tensor([len(waveform)], device=device), torch.zeros_like(features)
    layer, size = model.cam_layer(), params.explain.batch_size

    def whole(some: Tensor) -> Tensor:
        return model(waveform.expand(len(some), -1), valid.expand(len(some)), some)

    ways = {"whole model": lambda: loop(whole, layer, features, baseline),
            "context held": lambda: loop(FeatureClassifier(model, waveform, valid[0]), layer, features, baseline),
            "batched": lambda: score_cam(FeatureClassifier(model, waveform, valid[0]), layer, features, TARGET,
                                         baseline, size)}
    ways["batched"]()           # what is allocated and chosen once
    timings = {name: timed(made, device) for name, made in ways.items()}
    ours, seconds = timings["batched"]
    peak = float(ours.max()) or 1.0
    apart = max(float((saliency - ours).abs().max()) for saliency, _ in timings.values()) / peak
    print(f"{asked.preset} preset, {layer.out_channels} maps of {features.shape[-1]} input positions, "
          f"batches of {size}, one thread, {device}")
    for name, (_, took) in timings.items():
        print(f"{name:14s}{took:9.2f} s{took / seconds:9.1f} x")
    faster = timings["whole model"][1] / seconds
    holds = apart <= LIMIT and faster >= FASTER
    print(f"largest difference {apart:.1e} of the peak (at most {LIMIT:.0e}); batched is {faster:.1f} times faster "
          f"than one mask at a time (at least {FASTER:g}): {'holds' if holds else 'DOES NOT HOLD'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())

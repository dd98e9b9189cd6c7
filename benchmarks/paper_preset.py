"""How fast the fusion of the `paper` preset trains and answers at full size, with random weights.

    python benchmarks/paper_preset.py [--device cuda] [--batch 32] [--steps 20] [--peak-tflops 989]

Input is noise, the backbone has the published base model's configuration in the preset's sizes: no hub and no corpus
are needed. A training step is what the loop does: forward, backward, clipped gradients, AdamW, under the precision that
`auto` chooses, by deterministic algorithms. Inference is the forward pass of the same batch.

Prints utterances a second, the most memory that was in use, and the multiplications and additions per second of
matrix products, convolutions and attention, as torch counts them, with their share of the device's peak: the one given,
or else the rate that a large matrix product reaches here.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Wav2Vec2Config

from ser_ops.config.models import Preset
from ser_ops.config.params import Params, load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.features.index_map import shape_of
from ser_ops.models import architectures, base
from ser_ops.models.wav2vec_backbone import SAMPLE_RATE
from ser_ops.training.loss import CLASSES, loss_sum
from ser_ops.training.world import repeatable

TERA, GIGABYTE, WARM = 1e12, 1e9, 2


def model_of(preset: Preset) -> base.EmotionModel:
    """The fusion, its backbone as the base models of the family are built, in the preset's sizes."""
    sizes = preset.wav2vec
    channels, kernels, strides = zip(*sizes.convolutions, strict=True)
    published = Wav2Vec2Config(
        hidden_size=sizes.hidden, num_hidden_layers=sizes.layers, num_attention_heads=sizes.heads,
        intermediate_size=4 * sizes.hidden, conv_dim=channels, conv_kernel=kernels, conv_stride=strides)
    return architectures.build("fusion", preset, backbone_config=published.to_dict())


def step_of(params: Params, model: base.EmotionModel, batch: int, device: torch.device,
            precision: torch.dtype) -> dict[str, Callable[[], None]]:
    """A training step and an inference over one batch of noise."""
    preset = params.chosen
    length = round(preset.features.seconds * SAMPLE_RATE)
    waveform = 0.1 * torch.randn(batch, length, device=device)
    valid = torch.full((batch,), length, device=device)
    features = torch.randn(batch, *shape_of(preset.features), device=device)
    labels = torch.arange(batch, device=device) % len(EMOTIONS)
    optimiser = torch.optim.AdamW(model.parameter_groups(1e-4, 1e-5))
    weights = torch.ones(CLASSES, device=device)
    tuned = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def answer() -> Tensor:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            return model(waveform, valid, features)

    def train() -> None:
        model.train()
        optimiser.zero_grad(set_to_none=True)
        (loss_sum(answer(), labels, weights, params.train.label_smoothing) / batch).backward()
        nn.utils.clip_grad_norm_(tuned, params.train.gradient_clip)
        optimiser.step()

    def infer() -> None:
        model.eval()
        with torch.no_grad():       # in inference mode torch cannot count a parametrised convolution
            answer()

    return {"training step": train, "inference": infer}


def seconds(step: Callable[[], object], times: int, device: torch.device) -> float:
    """Per step, after steps that warm up: of this process on a CPU, so that others do not count, else of the wall."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for _ in range(WARM):
        step()
    _wait(device)
    start = clock()
    for _ in range(times):
        step()
    _wait(device)
    return (clock() - start) / times


def operations(step: Callable[[], object]) -> int:
    """Multiplications and additions of one step, in products, convolutions and attention."""
    with FlopCounterMode(display=False) as counted:
        step()
    return counted.get_total_flops()


def product_rate(size: int, device: torch.device, precision: torch.dtype, times: int = 10) -> float:
    """Multiplications and additions a second of a product of two square matrices."""
    matrix = torch.randn(size, size, device=device, dtype=precision)
    return 2 * size**3 / seconds(lambda: torch.mm(matrix, matrix), times, device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _most_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--peak-tflops", type=float, help="of the device in this precision; measured if not given")
    asked = parser.parse_args(arguments)
    device = torch.device(asked.device)
    gpu = device.type == "cuda"
    precision = torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float32
    params = load_params(preset=asked.preset)
    with repeatable(device):
        model = model_of(params.chosen).to(device)
        peak = (asked.peak_tflops or product_rate(8192 if gpu else 1024, device, precision) / TERA) * TERA
        print(f"fusion, preset {asked.preset}, {architectures.count(model) / 1e6:.1f} M parameters, random weights, "
              "batches "
              f"of {asked.batch}, {torch.cuda.get_device_name(device) if gpu else 'one thread of a CPU'}, "
              f"{str(precision).removeprefix('torch.')}, peak {peak / TERA:.3g} TFLOP/s "
              f"({'given' if asked.peak_tflops else 'measured'})")
        for name, step in step_of(params, model, asked.batch, device, precision).items():
            if gpu:
                torch.cuda.reset_peak_memory_stats(device)
            took, counted = seconds(step, asked.steps, device), operations(step)
            print(f"{name:14s}{asked.batch / took:10.2f} utterances/s{_most_memory(device):8.2f} GB"
                  f"{counted / asked.batch / 1e9:9.1f} GFLOP an utterance{counted / took / TERA:9.3f} TFLOP/s"
                  f"{counted / took / peak:8.1%} of the peak")


if __name__ == "__main__":
    main()

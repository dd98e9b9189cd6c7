"""Made answers and references: a model whose confidence is true, and sound as figures drawn from distributions."""


import numpy as np

from ser_ops.inference.recogniser import Answer, WindowAnswer
from ser_ops.models.base import EMBEDDING
from ser_ops.speech.sound import Sound
from ser_ops.watch.records import FIGURES, Records
from ser_ops.watch.reference import Reference

MODEL = "a" * 64


def answer(number: int = 0) -> Answer:
    draw = np.random.default_rng(number)
    chances, embedding = draw.dirichlet(np.ones(7)), draw.normal(size=EMBEDDING).astype(np.float32)
    return Answer(chances, 2.0 + number, [WindowAnswer(0.0, 2.0, chances, embedding=embedding)],
                  sound=Sound(-20.0, 4000.0, 0.0, 0.5, 15.0))


def made(count: int, seed: int, *, day: str = "2026-11-23", level: float = -20.0, snr: float = 20.0,
         sharpness: float = 0.25, shift: float = 0.0, alike: bool = True) -> tuple[Records, np.ndarray]:
    """Records of a day, and the true classes, drawn from the probabilities where these are `alike` the truth."""
    draw = np.random.default_rng(seed)
    chances = draw.dirichlet(np.full(7, sharpness), count)
    true = (chances.cumsum(1) < draw.random((count, 1))).sum(1).clip(max=6)
    figures = dict(zip(FIGURES, draw.normal(size=(len(FIGURES), count)), strict=True))
    figures |= {"level_dbfs": draw.normal(level, 3, count), "snr_db": draw.normal(snr, 5, count),
                "clipped_share": np.zeros(count), "speech_share": draw.uniform(0.4, 1.0, count)}
    embeddings = draw.normal(shift, 1, (count, EMBEDDING)).astype(np.float32)
    if not alike:       # sure of itself, whatever is true
        chances = chances ** 3 / (chances ** 3).sum(1, keepdims=True)
    start = np.datetime64(day, "ms")
    return Records(np.array([f"{seed}-{index}" for index in range(count)]),
                   start + np.arange(count).astype("timedelta64[s]"), np.full(count, MODEL),
                   np.stack([figures[name] for name in FIGURES], axis=1), chances, embeddings), true


def reference(count: int = 1200, seed: int = 1, **given: float | bool) -> Reference:
    records, true = made(count, seed, **given)      # type: ignore[arg-type]
    return Reference(records, true, np.arange(count), np.arange(count) % 12, np.full(count, "clean@0.00"),
                     np.full(count, np.nan))

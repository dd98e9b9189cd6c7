"""What a benchmark is given, and what it answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path

from ser_ops.audio.admission import FORMATS
from ser_ops.config.params import Params
from ser_ops.errors import UserError

SHORT_FILES = 144    # of the corpus in the short form, spread over it evenly


@dataclass(frozen=True)
class Setting:
    """What there is to measure on: recordings of speech, of noise, a folder to write in, the choices of params.yaml.

    `short` asks for a figure within some seconds, good enough to see a ratio fall by half.
    """

    params: Params
    corpora: tuple[Path, ...]
    noise: tuple[Path, ...]
    scratch: Path
    short: bool = False

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every recording of the corpora, sorted; a few of them in the short form. Raises UserError for none."""
        files = sorted(path for folder in self.corpora for path in folder.rglob("*") if path.suffix.lower() in FORMATS)
        if not files:
            raise UserError(f"{', '.join(map(str, self.corpora))}: no recordings: name a folder with --corpus")
        return tuple(files[::max(1, len(files) // SHORT_FILES)][:SHORT_FILES] if self.short else files)

    def some(self, count: int) -> tuple[Path, ...]:
        """`count` recordings (or all there are), spread evenly over the corpora and so over their speakers."""
        return self.files[::max(1, len(self.files) // count)][:count]


@dataclass(frozen=True)
class Row:
    """One line of the table. Rates are pieces of work a second: utterances, files, batches, runs.

    peer: the same work the way people would do it; None where there is none. asked: the least that ours / peer must be.
    floor: the rate at which this machine could do it if it did nothing but the work that cannot be left out, at the
    rates that `machine` measured. between: in one line, what that work is and what stands between. equal: whether both
    gave the same result; apart: by how much they differ, in words. also: other figures, in words. fails: why this row
    does not hold although its ratio may (too much memory, say), empty when nothing is wrong.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    asked: float | None = None
    floor: float | None = None
    between: str = ""
    equal: bool | None = None
    apart: str = ""
    also: str = ""
    fails: str = ""
    parts: dict[str, float] = field(default_factory=dict)   # seconds or figures by part, for the JSON

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the peer."""
        return None if self.peer is None else self.ours / self.peer

    @property
    def share(self) -> float | None:
        """The share of the floor's rate that is reached, 0 to 1."""
        return None if self.floor is None else self.ours / self.floor

    def holds(self, slack: float = 1.0) -> bool:
        """Whether results are equal and the ratio is at least `slack` times what is asked."""
        fast = self.asked is None or self.ratio is None or self.ratio >= slack * self.asked
        return fast and self.equal is not False and not self.fails


@dataclass(frozen=True)
class Case:
    """A benchmark by name: `run(setting)` of the module benchmarks.speed.`module` yields its rows."""

    name: str
    module: str
    what: str

    def run(self, setting: Setting) -> Iterator[Row]:
        """Measure. What is heavy to import is imported here."""
        yield from import_module(f"benchmarks.speed.{self.module}").run(setting)


CASES: tuple[Case, ...] = (
    Case("features", "features", "ZCR, RMS and 40 MFCC of 3 s at 16 kHz, against librosa"),
    Case("pitch", "pitch", "pitch shift by 0.7 semitones, against librosa"),
    Case("quadruplets", "quadruplets", "quadruplets from files to training batches, against librosa and NumPy"),
    Case("validation", "manifest", "validation of a manifest of 10,000 files, against a soundfile loop"),
    Case("epoch", "epoch", "a training epoch and inference of each model, against a loop that reads item by item"),
    Case("loop", "loop", "the whole training loop of each model, against bare passes on ready tensors"),
    Case("explanations", "explanations", "Score-CAM and SHAP of a clip, against one mask or sample at a time"),
    Case("repro", "repro", "dvc repro with nothing to do, and after one setting of training was changed"),
)

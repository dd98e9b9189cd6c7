"""The rules, each one expectation over one column of the manifest, the noise list or the corpora."""

from dataclasses import dataclass
from typing import Any, Literal

from ser_ops.config import Validation
from ser_ops.emotions import EMOTIONS

Table = Literal["utterances", "noise", "speakers", "sources", "corpora", "leaks"]
Severity = Literal["quarantine", "warn", "stop"]


@dataclass(frozen=True)
class Rule:
    """One expectation: `expectation` is a class of great_expectations.expectations, `limits` its arguments.

    quarantine takes the row out, warn says it, stop ends the run.
    """

    name: str
    description: str
    table: Table
    column: str
    severity: Severity
    expectation: str
    limits: dict[str, Any]


def _between(low: float | None, high: float | None) -> dict[str, Any]:
    return {"min_value": low, "max_value": high}


def rules(settings: Validation) -> list[Rule]:
    """Every rule, in the order in which a recording is judged: the first that it fails is its reason."""
    between, in_set = "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToBeInSet"
    nothing: dict[str, Any] = {"value_set": [""]}
    low_rate, high_rate = settings.sample_rate
    shortest, longest = settings.seconds
    quiet, loud = settings.level_dbfs
    return [
        Rule("decodes", "the file decodes to finite samples", "utterances", "error", "quarantine", in_set, nothing),
        Rule("known fault", "the recording is not one of the corpus's published faults", "utterances", "known_fault",
             "quarantine", in_set, nothing),
        Rule("label", "the emotion is one of the seven", "utterances", "emotion", "quarantine", in_set,
             {"value_set": list(EMOTIONS)}),
        Rule("speaker", "the speaker is known", "utterances", "speaker", "quarantine",
             "ExpectColumnValueLengthsToBeBetween", _between(1, None)),
        Rule("duration", f"between {shortest:g} and {longest:g} s", "utterances", "seconds", "quarantine", between,
             _between(shortest, longest)),
        Rule("sample rate", f"between {low_rate} and {high_rate} Hz", "utterances", "native_rate", "quarantine",
             between, _between(low_rate, high_rate)),
        Rule("level", f"RMS between {quiet:g} and {loud:g} dBFS", "utterances", "rms_dbfs", "quarantine", between,
             _between(quiet, loud)),
        Rule("clipping", f"at most {settings.clipped_share:.1%} of the samples at full scale", "utterances",
             "clipped_share", "quarantine", between, _between(None, settings.clipped_share)),
        Rule("silence", f"at most {settings.silent_share:.0%} of the frames below {settings.silence_dbfs:g} dBFS",
             "utterances", "silent_share", "quarantine", between, _between(None, settings.silent_share)),
        Rule("duplicate", "no two recordings have the same content", "utterances", "duplicate", "quarantine", in_set,
             nothing),
        Rule("bandwidth", "16,000 Hz or more: telephone speech carries less", "utterances", "native_rate", "warn",
             between, _between(16000, None)),
        Rule("partition", "train, validation or test", "utterances", "partition", "stop", in_set,
             {"value_set": ["train", "validation", "test"]}),
        Rule("noise decodes", "the noise file decodes to finite samples", "noise", "error", "quarantine", in_set,
             nothing),
        Rule("noise level", f"peak above {settings.silence_dbfs:g} dBFS", "noise", "peak_dbfs", "quarantine", between,
             _between(settings.silence_dbfs, None)),
        Rule("noise duplicate", "no two noise recordings have the same content", "noise", "duplicate", "quarantine",
             in_set, nothing),
        Rule("noise partition", "train, validation or test", "noise", "partition", "stop", in_set,
             {"value_set": ["train", "validation", "test"]}),
        Rule("noise sources", "each source recording lies in one partition", "sources", "partitions", "stop", between,
             _between(1, 1)),
        Rule("speakers", "each speaker lies in one partition, where the protocol asks for it", "speakers",
             "undeclared", "stop", between, _between(0, 0)),
        Rule("leaks", "no content, speaker or noise recording in two partitions beyond what the protocol declares",
             "leaks", "undeclared", "stop", between, _between(0, 0)),
        Rule("counts", "a full corpus has the counts of tables II and III", "corpora", "miscounted", "stop", in_set,
             nothing),
        Rule("completeness", "the corpus is the full one", "corpora", "partial", "warn", in_set, nothing),
    ]

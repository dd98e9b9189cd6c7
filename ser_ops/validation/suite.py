"""The rules of the data, and one table of rows through Great Expectations, which is imported only when it runs.

A rule is one expectation over one column of the manifest, the noise list, the partitions or the corpora.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from ser_ops.config.data import Validation
from ser_ops.emotions import EMOTIONS
from ser_ops.pages import policy

if TYPE_CHECKING:
    import pandas

Table = Literal["utterances", "noise", "speakers", "sources", "corpora", "leaks"]
Severity = Literal["quarantine", "warn", "stop"]
_BETWEEN, _IN_SET = "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToBeInSet"
_EMPTY: dict[str, Any] = {"value_set": [""]}
_PARTITION: dict[str, Any] = {"value_set": ["train", "validation", "test"]}
_NOT_NEEDED = re.compile(r"<script\b.*?</script>|<link\b[^>]*>|<img\b[^>]*\bsrc=\"http[^>]*>", re.S)
_STYLE = """<style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{border:1px solid #d0d7de;padding:.35rem .6rem;
text-align:left;vertical-align:top}.badge{background:#eef1f4;padding:.1rem .4rem;border-radius:.3rem}
#ge-cta-footer,#side-bar,nav,.modal,.d-none,footer,.navbar{display:none}.collapse{display:block}
a{color:#0b57a4}i.fa-check-circle::before{content:"\\2713 passed";color:#116329}
i.fa-times::before{content:"\\2717 failed";color:#a40e26}
</style>"""


@dataclass(frozen=True)
class DataRule:
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


@dataclass(frozen=True)
class RuleVerdict:
    """One rule's outcome: the positions of the rows that fail it, and how many were looked at."""

    rule: DataRule
    failed: list[int]
    of: int


def data_rules(settings: Validation) -> list[DataRule]:
    """Every rule, in the order in which a recording is judged: the first that it fails is its reason."""
    return [*_utterance_rules(settings), *_noise_rules(settings), *_run_rules()]


def _utterance_rules(settings: Validation) -> Iterator[DataRule]:
    low_rate, high_rate = settings.sample_rate
    shortest, longest = settings.seconds
    quiet, loud = settings.level_dbfs
    yield DataRule("decodes", "the file decodes to finite samples", "utterances", "error", "quarantine", _IN_SET,
                   _EMPTY)
    yield DataRule("known fault", "the recording is not one of the corpus's published faults", "utterances",
                   "known_fault", "quarantine", _IN_SET, _EMPTY)
    yield DataRule("label", "the emotion is one of the seven", "utterances", "emotion", "quarantine", _IN_SET,
                   {"value_set": list(EMOTIONS)})
    yield DataRule("speaker", "the speaker is known", "utterances", "speaker", "quarantine",
                   "ExpectColumnValueLengthsToBeBetween", _limits(1, None))
    yield DataRule("duration", f"between {shortest:g} and {longest:g} s", "utterances", "seconds", "quarantine",
                   _BETWEEN, _limits(shortest, longest))
    yield DataRule("sample rate", f"between {low_rate} and {high_rate} Hz", "utterances", "native_rate", "quarantine",
                   _BETWEEN, _limits(low_rate, high_rate))
    yield DataRule("level", f"RMS between {quiet:g} and {loud:g} dBFS", "utterances", "rms_dbfs", "quarantine",
                   _BETWEEN, _limits(quiet, loud))
    yield DataRule("clipping", f"at most {settings.clipped_share:.1%} of the samples at full scale", "utterances",
                   "clipped_share", "quarantine", _BETWEEN, _limits(None, settings.clipped_share))
    yield DataRule("silence", f"at most {settings.silent_share:.0%} of the frames below {settings.silence_dbfs:g} dBFS",
                   "utterances", "silent_share", "quarantine", _BETWEEN, _limits(None, settings.silent_share))
    yield DataRule("duplicate", "no two recordings have the same content", "utterances", "duplicate", "quarantine",
                   _IN_SET, _EMPTY)
    yield DataRule("bandwidth", "16,000 Hz or more: telephone speech carries less", "utterances", "native_rate", "warn",
                   _BETWEEN, _limits(16000, None))
    yield DataRule("partition", "train, validation or test", "utterances", "partition", "stop", _IN_SET, _PARTITION)


def _noise_rules(settings: Validation) -> Iterator[DataRule]:
    yield DataRule("noise decodes", "the noise file decodes to finite samples", "noise", "error", "quarantine", _IN_SET,
                   _EMPTY)
    yield DataRule("noise level", f"peak above {settings.silence_dbfs:g} dBFS", "noise", "peak_dbfs", "quarantine",
                   _BETWEEN, _limits(settings.silence_dbfs, None))
    yield DataRule("noise duplicate", "no two noise recordings have the same content", "noise", "duplicate",
                   "quarantine", _IN_SET, _EMPTY)
    yield DataRule("noise partition", "train, validation or test", "noise", "partition", "stop", _IN_SET, _PARTITION)


def _run_rules() -> Iterator[DataRule]:
    """Rules over what lies in several partitions, and over whole corpora."""
    yield DataRule("noise sources", "each source recording lies in one partition", "sources", "partitions", "stop",
                   _BETWEEN, _limits(1, 1))
    yield DataRule("speakers", "each speaker lies in one partition, where the protocol asks for it", "speakers",
                   "undeclared", "stop", _BETWEEN, _limits(0, 0))
    yield DataRule("leaks",
                   "no content, speaker or noise recording in two partitions beyond what the protocol declares",
                   "leaks",
                   "undeclared", "stop", _BETWEEN, _limits(0, 0))
    yield DataRule("counts", "a full corpus has the counts of tables II and III", "corpora", "miscounted", "stop",
                   _IN_SET, _EMPTY)
    yield DataRule("completeness", "the corpus is the full one", "corpora", "partial", "warn", _IN_SET, _EMPTY)


def _limits(low: float | None, high: float | None) -> dict[str, Any]:
    return {"min_value": low, "max_value": high}


def run_rules(table: str, frame: "pandas.DataFrame", rules: Sequence[DataRule]) -> tuple[list[RuleVerdict], str]:
    """Run the rules of one table; returns their verdicts and the data docs page of the table (HTML, no network).

    An empty table passes every rule.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    if frame.empty:
        return [RuleVerdict(rule, [], 0) for rule in rules], ""
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    suite = context.suites.add(gx.ExpectationSuite(name=table))
    for rule in rules:
        expectation = getattr(gx.expectations, rule.expectation)
        suite.add_expectation(expectation(
            column=rule.column, **rule.limits, meta={"rule": rule.name},
            notes=f"{rule.name}: {rule.description} ({rule.severity})"))
    batch = (context.data_sources.add_pandas("manifest").add_dataframe_asset(table)
             .add_batch_definition_whole_dataframe("all"))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
    numbered = frame.assign(position=range(len(frame)))
    result = definition.run(batch_parameters={"dataframe": numbered},
                            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["position"]})
    results = {outcome.expectation_config.meta["rule"]: outcome for outcome in result.results}
    verdicts = []
    for rule in rules:
        outcome = results[rule.name]
        if outcome.exception_info and outcome.exception_info.get("raised_exception"):
            raise RuntimeError(f"rule {rule.name!r} could not be run: {outcome.exception_info['exception_message']}")
        failed = sorted(int(row["position"]) for row in outcome.result.get("unexpected_index_list") or [])
        verdicts.append(RuleVerdict(rule, failed, len(frame)))
    return verdicts, _page(result)


def _page(result: Any) -> str:
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from jinja2 import pass_context

    class Escaping(DefaultJinjaPageView):
        """Great Expectations escapes what it puts into sentences, but not the cells of its tables."""

        @pass_context
        def render_content_block(self, context: Any, content_block: Any, *arguments: Any, **named: Any) -> Any:
            if isinstance(content_block, list):
                content_block = [_escaped(element) for element in content_block]
            return super().render_content_block(context, _escaped(content_block), *arguments, **named)

    page = Escaping().render(ValidationResultsPageRenderer().render(result))
    head = f'<head><meta http-equiv="Content-Security-Policy" content="{policy()}">'
    return _NOT_NEEDED.sub("", page).replace("<head>", head, 1).replace("</head>", _STYLE + "</head>", 1)


def _escaped(block: Any) -> Any:
    """Plain text as HTML, and anything else as it is."""
    return escape(block) if isinstance(block, str) else block

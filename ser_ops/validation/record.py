"""The outcome as reports/data_validation.json and as data docs that a browser opens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_ops.pages.policy import policy
from ser_ops.validation.checks import Outcome

_TITLES = {"utterances": "Utterances", "noise": "Noise recordings", "speakers": "Speakers across partitions",
           "sources": "Noise sources across partitions", "leaks": "Leak audit", "corpora": "Corpora"}


def record(outcome: Outcome, corpora: Mapping[str, Mapping[str, Any]], limit: float) -> dict[str, Any]:
    """The content of data_validation.json: every rule with its figure, what is in quarantine, what is partial."""
    quarantined = [vars(one) for one in outcome.quarantine]
    utterances = sum(one.kind == "utterance" for one in outcome.quarantine)
    return {
        "success": outcome.success,
        "stops": outcome.stops,
        "checked": {"utterances": len(outcome.utterances) + utterances,
                    "noise": len(outcome.noise) + len(outcome.quarantine) - utterances},
        "rules": [{"rule": one.rule.name, "description": one.rule.description, "success": not one.failed,
                   "failed": len(one.failed), "of": one.of, "severity": one.rule.severity}
                  for one in outcome.verdicts],
        "quarantined": quarantined,
        "bad_share": outcome.bad_share,
        "limit": limit,
        "corpora": dict(corpora),
        "partial": sorted(name for name, one in corpora.items() if not one["complete"] and one.get("expected")),
        "synthetic": sorted(name for name, one in corpora.items() if one["synthetic"]),
    }


def index_page(outcome: Outcome, content: Mapping[str, Any]) -> str:
    """The first page of the data docs: verdict, rules, quarantine, links to Great Expectations' page of each table.

    Every text from a file is escaped, and no script ever runs.
    """
    verdict = "passed" if outcome.success else "stopped: " + "; ".join(outcome.stops)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("index.html.j2").render(
        policy=policy(), verdict=verdict, content=content, bad=f"{outcome.bad_share:.1%}",
        allowed=f"{content['limit']:.1%}",
        tables=[(name, _TITLES[name]) for name, page in outcome.pages.items() if page],
        notes=(("Synthetic speech, not recordings of people", content["synthetic"]),
               ("Partial corpora", content["partial"]))) + "\n"

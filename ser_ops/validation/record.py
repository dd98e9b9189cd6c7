"""The outcome as reports/data_validation.json and as data docs that a browser opens."""

from collections.abc import Mapping
from html import escape
from typing import Any

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
    """The first page of the data docs: verdict, rules, quarantine, links to Great Expectations' page of each table."""
    verdict = "passed" if outcome.success else "stopped: " + "; ".join(outcome.stops)
    rules = "".join(
        f"<tr class={'ok' if one['success'] else one['severity']}><td>{escape(one['rule'])}<td>"
        f"{escape(one['description'])}<td>{one['failed']} of {one['of']}<td>{one['severity']}"
        for one in content["rules"])
    quarantine = "".join(
        f"<tr><td>{escape(one['kind'])}<td>{escape(one['path'])}<td>{escape(one['rule'])}<td>{escape(one['reason'])}"
        for one in content["quarantined"]) or "<tr><td colspan=4>nothing"
    links = " · ".join(f'<a href="{name}.html">{_TITLES[name]}</a>' for name, page in outcome.pages.items() if page)
    named = "".join(f"<p class=note>{text}: {', '.join(map(escape, content[key]))}." for key, text in
                    (("synthetic", "Synthetic speech, not recordings of people"), ("partial", "Partial corpora"))
                    if content[key])
    return f"""<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Data validation</title><style>
body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color:#1b1f24}}
table{{border-collapse:collapse;width:100%}}td,th{{border:1px solid #d0d7de;padding:.35rem .6rem;text-align:left}}
.stop,.quarantine{{background:#fdecea}}.warn,.note{{background:#fff6d6}}.note{{padding:.4rem .6rem}}a{{color:#0b57a4}}
</style><h1>Data validation: {escape(verdict)}</h1>
<p>{content['checked']['utterances']} utterances and {content['checked']['noise']} noise recordings checked;
{outcome.bad_share:.1%} of the utterances in quarantine, {content['limit']:.1%} allowed.</p>{named}
<p>By Great Expectations, table by table: {links}</p>
<h2>Rules</h2><table><tr><th>rule<th>what it asks<th>failed<th>when it fails{rules}</table>
<h2>Quarantine</h2><table><tr><th>kind<th>file<th>rule<th>reason{quarantine}</table></html>
"""

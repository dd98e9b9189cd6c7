"""reports/explanations/index.html: explanations to look at and to listen to, in one file that asks for nothing.

What a clip's parts may be is in `ser_ops.report.listening_data`. The page's script is `listening_*.js`, joined in the
order of SCRIPTS; it draws the chosen clip. All that does not depend on the choice is written here, as plain HTML.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.methods import method
from ser_ops.pages import words
from ser_ops.pages.policy import policy
from ser_ops.report import listening_charts, listening_curves, listening_tables, listening_words
from ser_ops.report.listening_data import data, people, provenance, script_json

SCRIPTS = ("basics", "plots", "gain", "sound", "facts", "choice", "start")
_HERE = Path(__file__).parent


def build(reports: Path, content: Mapping[str, Any] | None = None, folder: str = "explanations") -> Path:
    """Write reports/<folder>/index.html from reports/explanations.json, or from `content` of that form; return it.

    Sounds and pictures that the content names lie under `reports` and are taken into the page; one that does not is
    said there. Raises UserError when explanations.json is missing or damaged or names a method that is not in the
    catalogue, or the folder cannot be written.
    """
    found: Any = read_json(reports / "explanations.json") if content is None else content
    if not isinstance(found, Mapping):
        raise UserError(f"{reports / 'explanations.json'}: is no report of the stage explain: remove it and run that "
                        "stage again")
    page = reports / folder / "index.html"
    write_text(page, render(found, reports))
    return page


def render(found: Mapping[str, Any], reports: Path) -> str:
    """The page as HTML; every text of `found` is escaped, in the markup and in the data alike."""
    clips = data(found, reports)
    methods = clips["methods"]
    across, faith, planted = (found.get(name) for name in ("across_noise", "faithfulness", "planted"))
    style = "\n" + "".join(_text(name) for name in ("style.css", "listening.css"))
    script = "\n(() => {\n\"use strict\";\n" + "\n".join(_text(f"listening_{name}.js") for name in SCRIPTS) + "})();\n"
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.filters |= {"plain": words.plain}
    page = environment.get_template("listening.html.j2").render(
        model=str(found.get("model") or "a model"), style=style, script=script, data=script_json(clips),
        policy=policy(script, style), badges=listening_words.badges(provenance(found, reports)),
        people=people(found, reports), number=len(clips["heard"]), methods=methods,
        notes=[str(one) for one in found.get("notes") or []],
        captions=listening_words.CAPTIONS, fails=listening_words.FAILS,
        refused=_texts(found.get("not_admitted")), leaning=listening_charts.leaning(across),
        moving=listening_charts.rank_correlation(across, methods),
        speech=listening_charts.speech(across, methods, clips["heard"]),
        across_words=_words(across), across_table=listening_tables.across(across, methods),
        curves=listening_curves.curves(faith, methods), areas=listening_charts.areas(faith, methods),
        faith=listening_tables.faithfulness(faith, methods),
        checks=listening_tables.checks(faith, planted, methods), faith_words=_words(faith),
        planted_words=_words(planted), planted=listening_words.planted(planted),
        counted=listening_words.counted(faith)) + "\n"
    return page.encode("utf-8", "replace").decode()     # JSON may hold half a character


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _words(part: Any) -> list[str]:
    return [str(one) for one in words.pick(part, "words") or []]


def _texts(part: Any) -> dict[str, str]:
    return {method(name).title: str(one) for name, one in part.items()} if isinstance(part, Mapping) else {}

"""reports/explanations/index.html: explanations to look at and to listen to, in one file that asks for nothing.

What a clip's parts may be is in `ser_ops.report.listening`. The page's script is `listening_*.js`, joined in the
order of SCRIPTS; it draws the chosen clip. All that does not depend on the choice is written here, as plain HTML.

What the script of the listening page draws from: explanations.json's clips, with sounds and pictures inside.

A picture of a spectrogram is grey, one pixel a frame and mel band: the first row is the highest band, black is low_db
and white high_db. A frame is centred on its moment; `hop_seconds` beside `hertz` says how far apart they lie, else they
are spread over the window.
"""

import base64
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ser_ops import pages
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.methods import METHODS, in_order, method
from ser_ops.pages import pick, plain, policy
from ser_ops.report import listening_charts, listening_words
from ser_ops.report.listening_words import mark_of

COLUMNS = 1200              # of the waveform, each with its lowest and highest sample
PICTURES_LIMIT = 5_000_000  # bytes of drawn figures that a page takes in; spectrograms and sounds are always in
_PNG = b"\x89PNG\r\n\x1a\n"


def data(found: Mapping[str, Any], reports: Path) -> dict[str, Any]:
    """{emotions, methods, heard, sounds, pictures}: of plain JSON types, every number finite or None.

    methods: {name, caption, mark} by key, in the order of the catalogue. A clip names its sound and its pictures by
    their place in `sounds` {base64, kind, peaks, peak} and `pictures` (base64), or has None. Raises UserError for a
    method that is not in the catalogue.
    """
    clips = [one for one in found.get("heard") or [] if isinstance(one, Mapping)]
    used = {str(method) for one in clips for method in pick(one, "traces") or {}}
    used |= {str(method) for method in pick(found, "faithfulness", "methods") or {}}
    sounds, pictures = _Kept(reports, _sound), _Kept(reports, _picture)
    heard = [_clip(one, sounds, pictures) for one in clips]
    return {"emotions": list(EMOTIONS), "heard": heard, "sounds": sounds.content, "pictures": pictures.content,
            "methods": {name: {"name": METHODS[name].title, "caption": METHODS[name].caption,
                               "mark": mark_of(found.get("faithfulness"), name)} for name in in_order(used)}}


def provenance(found: Mapping[str, Any], reports: Path) -> dict[str, Any]:
    """{synthetic, partial, backbone}: the content's, else each from provenance.json or metrics.json."""
    where = [found.get("provenance")]
    if not isinstance(where[0], Mapping):
        beside, metrics = (_read(reports / f"{name}.json") for name in ("provenance", "metrics"))
        where = [beside, pick(beside, "card"), pick(metrics, "provenance")]
    return {name: next((one[name] for one in where if isinstance(one, Mapping) and one.get(name) is not None), None)
            for name in ("synthetic", "partial", "backbone")}


def people(found: Mapping[str, Any], reports: Path) -> dict[str, str]:
    """Corpora of people whose recordings are in the page, with their licences ("" where none is known).

    Licences stand in data_validation.json.
    """
    synthetic = provenance(found, reports)["synthetic"] or []
    corpora = {str(one.get("corpus") or "") for one in found.get("heard") or [] if pick(one, "audio")}
    known = pick(_read(reports / "data_validation.json"), "corpora")
    return {name: str(pick(known, name, "licence") or "") for name in sorted(corpora) if name and name not in synthetic}


def script_json(value: Any) -> str:
    """JSON that may stand in a script element: no text in it can end the element or the line.

    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for one in "<>&\u2028\u2029":
        text = text.replace(one, f"\\u{ord(one):04x}")
    return text.encode("utf-8", "backslashreplace").decode()     # a lone surrogate is no text


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except UserError:
        return None


def _clip(one: Mapping[str, Any], sounds: "_Kept", pictures: "_Kept") -> dict[str, Any]:
    drawn = pick(one, "spectrogram")
    picture = pictures.place(pick(drawn, "file"))
    figures = one.get("figures") if isinstance(one.get("figures"), Mapping) else {}
    shown = [{"title": plain(key), "file": str(file), "picture": pictures.place(file, PICTURES_LIMIT)}
             for key, file in (figures or {}).items()]
    size = None if picture is None else struct.unpack(">II", base64.b64decode(pictures.content[picture][:44])[16:24])
    return {**one, "sound": sounds.place(one.get("audio")), "figures": shown,
            "spectrogram": None if size is None else {**(drawn or {}), "picture": picture, "frames": size[0],
                                                      "bands": size[1]}}


class _Kept:
    """Files under a folder, each once. Names come from a file that others may have written: none leads outside."""

    def __init__(self, folder: Path, take: Callable[[bytes, str], Any]) -> None:
        self.folder, self.take = folder.resolve(), take
        self.content: list[Any] = []
        self.places: dict[Path, int | None] = {}
        self.limited = 0

    def place(self, name: object, limit: int | None = None) -> int | None:
        """Where the file's content is; None when there is none of that name, or `limit` bytes are full."""
        if not isinstance(name, str) or "\0" in name:
            return None
        path = (self.folder / name).resolve()
        if path in self.places:
            return self.places[path]
        if not path.is_relative_to(self.folder) or not path.is_file():
            return None
        size = path.stat().st_size
        if limit is not None and self.limited + size > limit:
            return None
        content = self.take(path.read_bytes(), path.suffix)
        if content is not None:
            self.limited += size if limit is not None else 0
            self.content.append(content)
        self.places[path] = None if content is None else len(self.content) - 1
        return self.places[path]


def _picture(content: bytes, _suffix: str) -> str | None:
    return base64.b64encode(content).decode() if content.startswith(_PNG) and len(content) > 33 else None


def _sound(content: bytes, suffix: str) -> dict[str, Any] | None:
    """The sound and its outline: `peaks`, the lowest and highest sample of each column as int8 of `peak`, base64."""
    import soundfile

    kind = {".ogg": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac"}.get(suffix)
    if kind is None:
        return None
    kept: dict[str, Any] = {"base64": base64.b64encode(content).decode(), "kind": kind, "peaks": None, "peak": None}
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError):
        return kept         # a browser may know the format that this library does not
    if not len(samples):
        return kept
    peak = float(np.abs(samples[:, 0]).max())
    low, high = outline(samples[:, 0], COLUMNS)
    levels = np.stack([low, high], 1) / (peak or 1.0) * 127
    return kept | {"peaks": base64.b64encode(levels.round().astype(np.int8).tobytes()).decode(), "peak": peak,
                   "seconds": len(samples) / rate}


def outline(samples: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest sample of each of at most `columns` equal stretches of (n,).

    >>> outline(np.array([0.0, 1.0, -1.0, 0.5]), 2)
    (array([ 0., -1.]), array([1. , 0.5]))
    """
    columns = min(columns, len(samples))
    starts = np.arange(columns) * len(samples) // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _plain(value: Any) -> Any:
    """JSON's own types; what is no finite number becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


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
    environment.filters |= {"plain": pages.plain}
    page = environment.get_template("listening.html.j2").render(
        model=str(found.get("model") or "a model"), style=style, script=script, data=script_json(clips),
        policy=policy(script, style), badges=listening_words.badges(provenance(found, reports)),
        people=people(found, reports), number=len(clips["heard"]), methods=methods,
        notes=[str(one) for one in found.get("notes") or []],
        captions=listening_words.CAPTIONS, fails=listening_words.FAILS,
        refused=_texts(found.get("not_admitted")), leaning=listening_charts.leaning(across),
        moving=listening_charts.rank_correlation(across, methods),
        speech=listening_charts.speech(across, methods, clips["heard"]),
        across_words=_words(across), across_table=listening_words.across(across, methods),
        curves=listening_charts.curves(faith, methods), areas=listening_charts.areas(faith, methods),
        faith=listening_words.faithfulness(faith, methods),
        checks=listening_words.checks(faith, planted, methods), faith_words=_words(faith),
        planted_words=_words(planted), planted=listening_words.planted(planted),
        counted=listening_words.counted(faith)) + "\n"
    return page.encode("utf-8", "replace").decode()     # JSON may hold half a character


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _words(part: Any) -> list[str]:
    return [str(one) for one in pages.pick(part, "words") or []]


def _texts(part: Any) -> dict[str, str]:
    return {method(name).title: str(one) for name, one in part.items()} if isinstance(part, Mapping) else {}

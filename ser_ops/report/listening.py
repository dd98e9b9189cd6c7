"""reports/explanations/index.html: explanations to look at and to listen to, in one file that asks for nothing.

The page's script is `listening_*.js`, joined in the order of SCRIPTS. It draws the chosen clip from `data`:
explanations.json's clips, with sounds and pictures inside. What does not depend on the choice is plain HTML.

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
SCRIPTS = ("basics", "plots", "gain", "sound", "facts", "choice", "start")
_PNG = b"\x89PNG\r\n\x1a\n"
_HERE = Path(__file__).parent


def build(reports: Path, content: Mapping[str, Any] | None = None, folder: str = "explanations") -> Path:
    """Write reports/<folder>/index.html from reports/explanations.json, or from `content` of that form; return it.

    Sounds and pictures that the content names lie under `reports` and are taken into the page; one that does not is
    said there. Raises UserError when explanations.json is missing or damaged or names a method that is not in the
    catalogue, or the folder cannot be written.
    """
    explanations: Any = read_json(reports / "explanations.json") if content is None else content
    if not isinstance(explanations, Mapping):
        raise UserError(f"{reports / 'explanations.json'}: is no report of the stage explain: remove it and run that "
                        "stage again")
    page = reports / folder / "index.html"
    write_text(page, render(explanations, reports))
    return page


def render(explanations: Mapping[str, Any], reports: Path) -> str:
    """The page as HTML; every text of `explanations` is escaped, in the markup and in the data alike."""
    clips = page_data(explanations, reports)
    methods = clips["methods"]
    across, faith, planted = (explanations.get(name) for name in ("across_noise", "faithfulness", "planted"))
    style = "\n" + "".join(_text(name) for name in ("style.css", "listening.css"))
    script = "\n(() => {\n\"use strict\";\n" + "\n".join(_text(f"listening_{name}.js") for name in SCRIPTS) + "})();\n"
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.filters |= {"plain": pages.plain}
    page = environment.get_template("listening.html.j2").render(
        model=str(explanations.get("model") or "a model"), style=style, script=script, data=script_json(clips),
        policy=policy(script, style), badges=listening_words.badges(provenance(explanations, reports)),
        people=licences_of_people(explanations, reports), number=len(clips["heard"]), methods=methods,
        notes=[str(note) for note in explanations.get("notes") or []],
        captions=listening_words.CAPTIONS, fails=listening_words.NOT_BETTER_THAN_RANDOM,
        refused=_reasons(explanations.get("not_admitted")), stream_shares=listening_charts.stream_shares(across),
        moving=listening_charts.rank_correlation(across, methods),
        speech=listening_charts.speech(across, methods, clips["heard"]),
        across_words=_sentences(across), across_table=listening_words.across(across, methods),
        curves=listening_charts.curves(faith, methods), areas=listening_charts.areas(faith, methods),
        faith=listening_words.faithfulness(faith, methods),
        checks=listening_words.checks(faith, planted, methods), faith_words=_sentences(faith),
        planted_words=_sentences(planted), planted=listening_words.planted_cue(planted),
        counted=listening_words.extent(faith)) + "\n"
    return page.encode("utf-8", "replace").decode()     # JSON may hold half a character


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _sentences(part: Any) -> list[str]:
    return [str(sentence) for sentence in pages.pick(part, "words") or []]


def _reasons(part: Any) -> dict[str, str]:
    return {method(name).title: str(reason) for name, reason in part.items()} if isinstance(part, Mapping) else {}


def page_data(explanations: Mapping[str, Any], reports: Path) -> dict[str, Any]:
    """What the page's script draws from: {emotions, methods, heard, sounds, pictures}.

    Args:
        explanations: content of explanations.json; "heard" lists its clips.
        reports: folder in which sounds and pictures lie.

    Returns:
        Plain JSON types, every number finite or None. methods: {name, caption, mark} by key, in the order of the
        catalogue. heard: the clips; each names its sound and its pictures by their index in `sounds`
        {base64, kind, peaks, peak} and `pictures` (base64), or has None.

    Raises:
        UserError: a method is not in the catalogue.
    """
    clips = [clip for clip in explanations.get("heard") or [] if isinstance(clip, Mapping)]
    used = {str(name) for clip in clips for name in pick(clip, "traces") or {}}
    used |= {str(name) for name in pick(explanations, "faithfulness", "methods") or {}}
    sounds, pictures = _Embedded(reports, _sound), _Embedded(reports, _picture)
    heard = [_clip(clip, sounds, pictures) for clip in clips]
    return {"emotions": list(EMOTIONS), "heard": heard, "sounds": sounds.content, "pictures": pictures.content,
            "methods": {name: {"name": METHODS[name].title, "caption": METHODS[name].caption,
                               "mark": mark_of(explanations.get("faithfulness"), name)} for name in in_order(used)}}


def _clip(clip: Mapping[str, Any], sounds: "_Embedded", pictures: "_Embedded") -> dict[str, Any]:
    spectrogram = pick(clip, "spectrogram")
    picture = pictures.index(pick(spectrogram, "file"))
    figures = clip.get("figures") if isinstance(clip.get("figures"), Mapping) else {}
    drawn = [{"title": plain(key), "file": str(file), "picture": pictures.index(file, PICTURES_LIMIT)}
             for key, file in (figures or {}).items()]
    size = None if picture is None else struct.unpack(">II", base64.b64decode(pictures.content[picture][:44])[16:24])
    return {**clip, "sound": sounds.index(clip.get("audio")), "figures": drawn,
            "spectrogram": None if size is None else {**(spectrogram or {}), "picture": picture, "frames": size[0],
                                                      "bands": size[1]}}


class _Embedded:
    """Contents of files under a folder, each once. Names are others' input: none may lead out of the folder."""

    def __init__(self, folder: Path, take: Callable[[bytes, str], Any]) -> None:
        self.folder, self.take = folder.resolve(), take
        self.content: list[Any] = []
        self.indices: dict[Path, int | None] = {}
        self.limited = 0

    def index(self, name: object, limit: int | None = None) -> int | None:
        """Index of the file's content; None when there is no such file, or `limit` bytes are full."""
        if not isinstance(name, str) or "\0" in name:
            return None
        path = (self.folder / name).resolve()
        if path in self.indices:
            return self.indices[path]
        if not path.is_relative_to(self.folder) or not path.is_file():
            return None
        size = path.stat().st_size
        if limit is not None and self.limited + size > limit:
            return None
        content = self.take(path.read_bytes(), path.suffix)
        if content is not None:
            self.limited += size if limit is not None else 0
            self.content.append(content)
        self.indices[path] = None if content is None else len(self.content) - 1
        return self.indices[path]


def _picture(content: bytes, _suffix: str) -> str | None:
    return base64.b64encode(content).decode() if content.startswith(_PNG) and len(content) > 33 else None


def _sound(content: bytes, suffix: str) -> dict[str, Any] | None:
    """The sound and its outline: `peaks`, the lowest and highest sample of each column as int8 of `peak`, base64."""
    import soundfile

    kind = {".ogg": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac"}.get(suffix)
    if kind is None:
        return None
    sound: dict[str, Any] = {"base64": base64.b64encode(content).decode(), "kind": kind, "peaks": None, "peak": None}
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError):
        return sound        # a browser may know the format that this library does not
    if not len(samples):
        return sound
    peak = float(np.abs(samples[:, 0]).max())
    low, high = outline(samples[:, 0], COLUMNS)
    levels = np.stack([low, high], 1) / (peak or 1.0) * 127
    return sound | {"peaks": base64.b64encode(levels.round().astype(np.int8).tobytes()).decode(), "peak": peak,
                    "seconds": len(samples) / rate}


def outline(samples: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest sample of each of at most `columns` equal stretches of (n,).

    >>> outline(np.array([0.0, 1.0, -1.0, 0.5]), 2)
    (array([ 0., -1.]), array([1. , 0.5]))
    """
    columns = min(columns, len(samples))
    starts = np.arange(columns) * len(samples) // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def provenance(explanations: Mapping[str, Any], reports: Path) -> dict[str, Any]:
    """What the page must warn of, {synthetic, partial, backbone}: from explanations.json, else from its neighbours.

    provenance.json and metrics.json are the neighbours; what none of them says is None.
    """
    sources = [explanations.get("provenance")]
    if not isinstance(sources[0], Mapping):
        beside, metrics = (_read_or_none(reports / f"{name}.json") for name in ("provenance", "metrics"))
        sources = [beside, pick(beside, "card"), pick(metrics, "provenance")]
    return {name: next((source[name] for source in sources if isinstance(source, Mapping)
                        and source.get(name) is not None), None)
            for name in ("synthetic", "partial", "backbone")}


def licences_of_people(explanations: Mapping[str, Any], reports: Path) -> dict[str, str]:
    """Corpora of people whose recordings are in the page, with their licences ("" where none is known).

    Licences stand in data_validation.json.
    """
    synthetic = provenance(explanations, reports)["synthetic"] or []
    corpora = {str(clip.get("corpus") or "") for clip in explanations.get("heard") or [] if pick(clip, "audio")}
    known = pick(_read_or_none(reports / "data_validation.json"), "corpora")
    return {name: str(pick(known, name, "licence") or "") for name in sorted(corpora) if name and name not in synthetic}


def _read_or_none(path: Path) -> Any:
    try:
        return read_json(path)
    except UserError:
        return None


def script_json(value: Any) -> str:
    """JSON that may stand in a script element: no text in it can end the element or the line.

    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(_json_value(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode()     # a lone surrogate is no text


def _json_value(value: Any) -> Any:
    """JSON's own types; what is no finite number becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_json_value(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)

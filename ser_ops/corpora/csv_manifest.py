"""Any other corpus: a CSV manifest with the columns path, emotion and speaker.

A manifest may cut its recordings (start and end in seconds) and choose a channel. Its own labels are mapped to the
seven emotions. `scan_manifest` reads one that was brought into data/manifests, where DVC sees it; `read_manifest` reads
one anywhere.
"""

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from ser_ops.config.data import ManifestSource
from ser_ops.corpora.utterance import Scan, Utterance
from ser_ops.documents import read_yaml
from ser_ops.emotions import DROP, EMOTIONS, normalised_label
from ser_ops.errors import UserError
from ser_ops.files import path_on_disk
from ser_ops.folders import subfolder_names
from ser_ops.outside_table import read_table
from ser_ops.terminal import excerpt

MANIFEST_LAYOUT = "manifest"    # stands where other corpora have the name of their layout
MANIFEST_FILE = "manifest.csv"
REQUIRED = ("path", "emotion", "speaker")
OPTIONAL = ("gender", "language", "intensity", "text", "start", "end", "channel")
ALIASES = {"file": "path"}      # audformat's name
_GENDERS = {"": "", "f": "female", "female": "female", "m": "male", "male": "male"}
_LISTED = 20        # labels that an error lists
_LISTED_FILES = 5   # recordings that an error lists
_CHOOSING = {"split", "partition", "subset", "fold", "set", "weight", "weights"}


def scan_manifest(manifests_folder: Path, name: str, labels: Mapping[str, str],
                  labels_may_lack_emotions: bool = False) -> tuple[ManifestSource, Scan]:
    """The manifest `name` and its utterances; labels may lack emotions where it need not be in use yet.

    Raises UserError when it is not there or cannot be used, and for a recording outside of its folder.
    """
    source = manifest_source(manifests_folder, name, labels)
    if not os.path.isdir(source.file.parent):
        there = ", ".join(subfolder_names(manifests_folder)) or "none"
        raise UserError(f"{source.file.parent}: no such manifest (there are: {there}): bring it in with `ser-ops "
                        f"corpora add manifest FILE --name {name}` or take it out of data.manifests in params.yaml")
    scan = read_manifest(source, labels_may_lack_emotions=labels_may_lack_emotions)
    _refuse_outside(source, scan)
    return source, scan


def manifest_source(manifests_folder: Path, name: str, labels: Mapping[str, str]) -> ManifestSource:
    """The manifest `name`, there or not."""
    file = manifests_folder / name / MANIFEST_FILE
    return ManifestSource.model_validate({"name": name, "file": file, "labels": labels})


def _refuse_outside(source: ManifestSource, scan: Scan) -> None:
    folder = os.path.abspath(source.file.parent)
    if outside := [utterance.path for utterance in scan.utterances
                   if not Path(os.path.abspath(utterance.path)).is_relative_to(folder)]:
        raise UserError(f"{source.file}: lists {len(outside)} recordings outside of its folder "
                        f"({first_paths(outside)}), in which DVC would not see a change: bring the manifest in again "
                        "with `ser-ops corpora add manifest`")


def first_paths(paths: Sequence[Path]) -> str:
    """The first of many paths, in words."""
    return ", ".join(map(str, paths[:_LISTED_FILES])) + (" ..." if len(paths) > _LISTED_FILES else "")


def read_manifest(source: ManifestSource, remedy: str | None = None, files_may_be_missing: bool = False,
                  labels_may_lack_emotions: bool = False) -> Scan:
    """Read a manifest; a relative path counts from the manifest's own folder.

    A label is one of the seven emotions or stands in `source.labels`, case and space around it left aside; what is
    mapped to drop is counted in `skipped`. `start` and `end` (seconds, or times as pandas writes them) cut the
    recording, `channel` (from 1 on) chooses. Other columns are named among the oddities; those whose names say
    that they cut or choose a channel are refused.

    remedy: what a user does about labels with no map; None names params.yaml. files_may_be_missing: the caller says
    which are not there when it opens them. labels_may_lack_emotions: a label with no map is counted in `skipped`, for
    a manifest that is not in use yet.
    Raises UserError for a missing column, an empty value, a time that is none, labels with no map (all of them), files
    that are missing, and two lines that name one recording.
    """
    targets = emotions_by_label(source.labels)
    utterances, dropped, unmapped = list[Utterance](), Counter[str](), Counter[str]()
    genders, columns = set[str](), list[str]()
    for line, row in read_table(source.file, REQUIRED, ALIASES):
        if not columns:
            columns = list(row)
            _refuse_cutting(source.file, columns)
        if empty := [column for column in REQUIRED if not row[column]]:
            raise UserError(f"{source.file}: line {line} has no {', '.join(empty)}: fill it in")
        label = row["emotion"]
        target = targets.get(normalised_label(label))
        if target is None:
            unmapped[label] += 1
        elif target == DROP:
            dropped[f"label {label!r} is dropped"] += 1
        else:
            utterances.append(_utterance(source, f"{source.file}: line {line}", row, target))
            genders.add(row.get("gender", ""))
    if not columns:
        raise UserError(f"{source.file}: holds no recordings: give a line per recording under {', '.join(REQUIRED)}")
    if unmapped and labels_may_lack_emotions:
        dropped.update({unmapped_label(label): number for label, number in unmapped.items()})
    elif unmapped:
        listed = _some([f"{label!r:.60} ({number})" for label, number in sorted(unmapped.items())], _LISTED)
        raise UserError(f"{source.file}: labels with no map: {listed}: give each an emotion ({', '.join(EMOTIONS)}) or "
                        f"{DROP}, {remedy or f'under labels of the manifest {source.name!r} in params.yaml'}")
    if not utterances and not unmapped:
        raise UserError(f"{source.file}: every label is dropped: leave one of the emotions")
    if not files_may_be_missing:
        _check_files(source, utterances)
    _check_once(source, utterances)
    utterances.sort(key=lambda utterance: utterance.utterance)
    return Scan(utterances, dict(dropped), _oddities(columns, genders))


def _utterance(source: ManifestSource, where: str, row: Mapping[str, str], emotion: str) -> Utterance:
    given = PurePosixPath(row["path"].replace("\\", "/"))
    if not given.name:
        raise UserError(f"{where} names no file ({row['path']!r}): give the path of a recording")
    start, end = (parse_seconds(where, column, row.get(column, "")) for column in ("start", "end"))
    check_span(where, start, end)
    channel = parse_channel(where, row.get("channel", ""))
    name = unicodedata.normalize("NFC", given.with_suffix("").as_posix().lstrip("/"))
    return Utterance(
        f"{source.name}/{name}{part_suffix(start, end, channel)}", source.name, MANIFEST_LAYOUT, False,
        recording_path(source.file, row["path"]), emotion, f"{source.name}/{row['speaker']}",
        _GENDERS.get(row.get("gender", "").lower(), ""), row.get("language", ""), row.get("intensity", ""),
        row.get("text", ""), start or 0.0, end, channel)


def recording_path(manifest: Path, given: str) -> Path:
    """The file that `given`, a value of a manifest's column path, means: as it is spelt on this disk."""
    return path_on_disk(manifest.parent / PurePosixPath(given.replace("\\", "/")))


def unmapped_label(label: str) -> str:
    """Why a line with an unmapped label is left out."""
    return f"label {label!r:.60} has no emotion yet"


def _check_files(source: ManifestSource, utterances: list[Utterance]) -> None:
    # Path.is_file raises for a name that is too long.
    gone = [str(utterance.path) for utterance in utterances if not os.path.isfile(utterance.path)]
    if gone:
        raise UserError(f"{source.file}: {len(gone)} of {len(utterances)} files are missing ({_some(gone)}): a "
                        f"relative path counts from {source.file.parent}")


def _check_once(source: ManifestSource, utterances: list[Utterance]) -> None:
    """Refuse two lines of one name, and two of one part of one file, however its path is written."""
    folder = cache(os.path.realpath)    # far fewer folders than files
    paths = (utterance.path for utterance in utterances)
    files = (os.path.realpath(path) if os.path.islink(path) else os.path.join(folder(path.parent), path.name)
             for path in paths)
    parts = [(file, part_suffix(utterance.start, utterance.end, utterance.channel))
             for file, utterance in zip(files, utterances, strict=True)]
    names = [utterance.utterance for utterance in utterances]
    of_name, of_part = Counter(names), Counter(parts)
    twice = dict.fromkeys(name for name, part in zip(names, parts, strict=True)
                          if of_name[name] > 1 or of_part[part] > 1)
    if twice:
        raise UserError(f"{source.file}: names a recording, or one of that name in another format, more than once "
                        f"({_some(list(twice))}): keep one line of each")


def _oddities(columns: Iterable[str], genders: Iterable[str]) -> list[str]:
    other = [column for column in columns if column not in REQUIRED + OPTIONAL]
    notes = [f"columns not used: {', '.join(other)}"] if other else []
    if choosing := [column for column in other if column in _CHOOSING]:
        notes.append(f"every line counts alike; the values of {', '.join(choosing)} are ignored")
    unknown = sorted(gender for gender in genders if gender.lower() not in _GENDERS)
    return notes + ([f"gender counted as unknown: {_some(unknown)}"] if unknown else [])


def _some(names: list[str], number: int = 5) -> str:
    return ", ".join(names[:number]) + (f" and {len(names) - number} more" if len(names) > number else "")


_LABEL_FORM = "write joy=happy,bored=drop, or give a YAML file of lines such as joy: happy"


def read_labels(given: str) -> dict[str, str]:
    """Labels and what each is mapped to, one of the seven emotions or drop: from the text itself, or a YAML file.

    given: label=emotion, parted by commas, or the path of a .yaml, .yml or .json file.
    Raises UserError in one line that names the label which is mapped to nothing that there is, or to two emotions.

    >>> read_labels("joy=happy, Bored=drop")
    {'joy': 'happy', 'Bored': 'drop'}
    """
    if given.lower().endswith((".yaml", ".yml", ".json")):
        where, pairs = given, _read_label_file(Path(given))
    else:
        where, pairs = "--labels", [_label_and_target(text) for text in given.split(",") if text.strip()]
    targets: dict[str, str] = {}
    for label, target in pairs:
        if target not in (*EMOTIONS, DROP):
            raise UserError(f"{where}: {excerpt(label)!r} is mapped to {excerpt(target)!r}: give one of "
                            f"{', '.join(EMOTIONS)}, or {DROP}")
        if targets.setdefault(normalised_label(label), target) != target:
            raise UserError(f"{where}: {excerpt(label)!r} is mapped twice (capitals do not count): give it one emotion")
    return dict(pairs)


def emotions_by_label(labels: Mapping[str, str]) -> dict[str, str]:
    """From each label, in the form in which it is compared, to an emotion or drop; an emotion is its own label."""
    own = {normalised_label(label): target for label, target in labels.items()}
    return {emotion: emotion for emotion in EMOTIONS} | own


def _label_and_target(text: str) -> tuple[str, str]:
    label, sign, target = text.rpartition("=")
    if not sign or not label.strip():
        raise UserError(f"--labels: {excerpt(text)!r} maps nothing: {_LABEL_FORM}")
    return label.strip(), target.strip().lower()


def _read_label_file(path: Path) -> list[tuple[str, str]]:
    content = read_yaml(path, "name a file that is there", _LABEL_FORM)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no labels: {_LABEL_FORM}")
    if wrong := [label for label in content if not isinstance(label, str)]:
        raise UserError(f"{path}: {excerpt(repr(wrong[0]))} is not text: put that label into quotes")
    return [(label, str(target).strip().lower()) for label, target in content.items()]


# Names of columns that cut a recording or choose its channel, taken word by word. A word of _EDGE_AMONG cuts only where
# all other words of the name are of its kind too: `from` and `first_sample` cut, `first_name` and `segment_id` do not.
_UNIT = r"(?:time|timestamp|s|secs?|seconds?|ms|msecs?|milliseconds?|samples?|frames?|pos|position|point|idx|index)"
_OF_WHAT = r"(?:t|x|time|seg|segment|utt|utterance|word|turn|clip|audio|speech|frame|sample)"
_COUNTER = r"(?:no|nr|num|number|id|idx|index)?\d*"
_EDGE = re.compile(rf"{_OF_WHAT}?(?:start|begin|beginning|end|finish|stop|onset|offset){_UNIT}?|"
                   rf"{_OF_WHAT}(?:min|max)|t[01]")
_EDGE_AMONG = re.compile(
    rf"(?:from|to|in|out|first|last|min|max|seg|segments?|intervals?|span|range|cut|crop|trim){_UNIT}?")
_LASTING = re.compile(rf"{_OF_WHAT}?(?:duration|dur|length|len){_UNIT}?")
_AMONG = re.compile(f"{_OF_WHAT}|{_UNIT}")
_OTHER_EDGES = {"date", "day", "year", "age", "dc"}     # of a session, of an illness, of a level
_CHANNEL = re.compile(rf"(?:channel|chan|chn){_COUNTER}")
_CHANNEL_ALONE = re.compile(rf"ch[\W_]*{_COUNTER}")
_COUNTING = {"n", "count"}


def _refuse_cutting(file: Path, columns: Sequence[str]) -> None:
    """Refuse what would cut a recording, or choose its channel, under a name that is not read.

    Beside `start` and `end`, or `channel`, it may stand: they say it already.
    """
    others = [name for name in columns if name not in REQUIRED + OPTIONAL]
    cutting = [name for name in others if is_cut_column(name, "start" in columns)]
    if cutting and not {"start", "end"} <= set(columns):
        raise UserError(f"{file}: {_named(cutting)} would cut recordings, but only start and end do: give these, in "
                        "seconds, or remove it")
    choosing = [name for name in others if is_channel_column(name)]
    if choosing and "channel" not in columns:
        raise UserError(f"{file}: {_named(choosing)} would choose a channel, but only channel does: name it so, "
                        "counted from 1 on, or remove it")


def _named(columns: Sequence[str]) -> str:
    return f"the column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"


def is_cut_column(column: str, beside_start: bool) -> bool:
    """Whether a column (in small letters) says where a part of a recording lies.

    beside_start: the table has a column `start`, beside which a duration says so too.

    >>> [is_cut_column(name, False) for name in ("tmin", "end (ms)", "from", "first_sample")]
    [True, True, True, True]
    >>> [is_cut_column(name, False) for name in ("sender", "first_name", "start_date", "duration")]
    [False, False, False, False]
    >>> is_cut_column("duration", True)
    True
    """
    words = _words(column)
    if any(_EDGE.fullmatch(word) for word in words):
        return not _OTHER_EDGES & set(words)
    cutting = [word for word in words if _EDGE_AMONG.fullmatch(word) or (beside_start and _LASTING.fullmatch(word))]
    return bool(cutting) and all(word in cutting or _AMONG.fullmatch(word) or _LASTING.fullmatch(word)
                                 for word in words)


def is_channel_column(column: str) -> bool:
    """Whether a column (in small letters) says which channel is meant; how many there are chooses none.

    >>> [is_channel_column(name) for name in ("chan", "channel_no", "ch", "channels", "channel_count")]
    [True, True, True, False, False]
    """
    words = _words(column)
    named = _CHANNEL_ALONE.fullmatch(column) or any(_CHANNEL.fullmatch(word) for word in words)
    return bool(named) and not _COUNTING & set(words)


def _words(column: str) -> list[str]:
    return re.findall(r"[^\W_]+", column)


_NONE = {"", "nat", "nan", "none", "null"}       # as pandas and others write that there is no value
_SECONDS = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+", re.IGNORECASE)
_COMMA = re.compile(r"(\d+),(\d+)")     # as Excel writes 1.5 in many languages
_CLOCK = re.compile(r"(?:(\d+) days? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DAY = 86400.0


def parse_seconds(where: str, column: str, text: str) -> float | None:
    """Seconds that a value of a table says, None for no value: 1.5, or 0 days 00:00:01.500000, or 00:00:01.5.

    where, column: what an error names. Raises UserError for anything else, and for 1,500, which may be two numbers.

    >>> [parse_seconds("a.csv: line 2", "end", text) for text in ("2", "0,25", "1 days 00:00:01.5", "NaT")]
    [2.0, 0.25, 86401.5, None]
    """
    if text.lower() in _NONE:
        return None
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        value = days * _DAY + hours * 3600 + minutes * 60 + seconds
    elif comma := _COMMA.fullmatch(text):
        if len(comma[2]) == 3 and comma[1] != "0" and len(comma[1]) <= 3:
            raise UserError(f"{where} has the {column} {text!r}, which may be thousands or a fraction: write it with a "
                            "point")
        value = float(f"{comma[1]}.{comma[2]}")
    else:
        value = float(text) if _SECONDS.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise UserError(f"{where} has the {column} {text!r:.60}, which is no time: give seconds from 0 on, as 1.5")
    return value


def check_span(where: str, start: float | None, end: float | None) -> None:
    """Raise UserError where `end` (seconds) does not come after `start`."""
    if end is not None and end <= (start or 0.0):
        raise UserError(f"{where} ends at {end:g} s and starts at {start or 0.0:g} s: let it end later")


def parse_channel(where: str, text: str) -> int | None:
    """The number of a channel, from 1 on; None for no value. Raises UserError for anything else.

    >>> parse_channel("a.csv: line 2", "2"), parse_channel("a.csv: line 3", "")
    (2, None)
    """
    if text.lower() in _NONE:
        return None
    if not re.fullmatch(r"0*[1-9]\d{0,2}(\.0)?", text):
        raise UserError(f"{where} has the channel {text!r:.60}: give its number, from 1 on")
    return int(float(text))


def part_suffix(start: float | None, end: float | None, channel: int | None) -> str:
    """What the name of an utterance says of the part; nothing for the whole recording.

    >>> part_suffix(1.5, 3.0, None), part_suffix(None, 2.0, 1), part_suffix(2.0, None, None)
    ('@1.5-3', '@0-2@channel1', '@2-end')
    >>> part_suffix(0.0, None, None)
    ''
    """
    span = f"@{start or 0.0:.12g}-{'end' if end is None else f'{end:.12g}'}" if start or end is not None else ""
    return span + (f"@channel{channel}" if channel else "")

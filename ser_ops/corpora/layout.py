"""What the published corpora share: from the names of files to labelled recordings, each name read or counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ser_ops.audio.admission import FORMATS
from ser_ops.corpora.utterance import Scan, Utterance
from ser_ops.errors import UserError
from ser_ops.folders import HIDDEN, is_hidden, list_contents, same_bytes
from ser_ops.outside_table import read_table

CORPUS_CARD = "corpus.yaml"
DEMOGRAPHICS = "VideoDemographics.csv"
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}


@dataclass(frozen=True)
class ParsedName:
    """What the name of one file says. `name` is the recording's own name, the same however it is spelt."""

    name: str
    home: str
    emotion: str
    speaker: str
    gender: str = ""
    intensity: str = ""
    text: str = ""


@dataclass(frozen=True)
class Skip:
    """A file that is left out, and why; `known`: its name is one that the corpus has."""

    reason: str
    known: bool = True


@dataclass(frozen=True)
class Oddity:
    """Something about published recordings that a reader of their names cannot see; `keep_out`: never to be used."""

    names: tuple[str, ...]
    note: str
    keep_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrangement:
    """Files taken with what their names say, and the others counted by reason."""

    taken: dict[PurePosixPath, ParsedName]
    skipped: dict[str, int]
    oddities: list[str]


@dataclass(frozen=True)
class Layout:
    """One corpus: its naming rules, its oddities and its counts when it is complete.

    parse: what a path (at least the file's name, its folders where there are any) says, suffix left aside.
    counts: utterances of each of the corpus's own emotions (tables II and III of paper 1; RAVDESS calm apart).
    """

    name: str
    title: str
    licence: str
    source: str
    example: str
    speakers: int
    counts: Mapping[str, int]
    parse: Callable[[PurePosixPath], ParsedName | Skip]
    oddities: tuple[Oddity, ...] = ()
    notes: Callable[[Iterable[PurePosixPath]], list[str]] = field(default=lambda paths: [])

    def expected(self, calm: str = "neutral") -> dict[str, int]:
        """Utterances of each emotion in the complete corpus; `calm` is neutral or excluded."""
        counts = Counter({emotion: n for emotion, n in self.counts.items() if emotion != "calm"})
        if calm == "neutral":
            counts["neutral"] += self.counts.get("calm", 0)
        return dict(sorted(counts.items()))

    def known_faults(self) -> dict[str, str]:
        """Reason by file name (without suffix) of the published recordings that must not be used."""
        return {name: oddity.note for oddity in self.oddities for name in oddity.keep_out}

    def arrange(self, paths: Iterable[PurePosixPath], calm: str = "neutral", synthetic: bool = False,
                same: Callable[[PurePosixPath, PurePosixPath], bool] | None = None,
                skipped: Iterable[str] = ()) -> Arrangement:
        """Read the names of files; no file is opened but by `same`, which compares two of one name.

        skipped: reasons why other paths were left out before, which are counted too.
        A recording held more than once counts once: the copy with the fewest folders above it is taken.
        """
        taken: dict[str, tuple[PurePosixPath, ParsedName]] = {}
        left_out = Counter(skipped)
        for path in sorted(paths, key=lambda path: (len(path.parts), path.as_posix())):
            if path.name == CORPUS_CARD or is_demographics(path):
                continue
            parsed = self._parsed(path, calm)
            if isinstance(parsed, Skip):
                left_out[parsed.reason] += 1
            elif parsed.name not in taken:
                taken[parsed.name] = path, parsed
            elif same is None or same(taken[parsed.name][0], path):
                left_out["second copy of a recording"] += 1
            else:
                left_out["second file of the same name with other content, the copy nearest to the top is taken"] += 1
        ordered = dict(sorted(taken.values(), key=lambda pair: pair[0].as_posix()))
        named = [] if synthetic else [
            f"{oddity.note}: {', '.join(name for name in oddity.names if name in taken)}" for oddity in self.oddities
            if any(name in taken for name in oddity.keep_out or oddity.names)]
        return Arrangement(ordered, dict(sorted(left_out.items())), named + self.notes(ordered))

    def _parsed(self, path: PurePosixPath, calm: str) -> ParsedName | Skip:
        if is_hidden(path):
            return Skip(HIDDEN)
        if path.suffix.lower() not in FORMATS:
            return Skip(self._not_audio(path))
        parsed = self.parse(path)
        if isinstance(parsed, ParsedName) and parsed.emotion == "calm":
            if calm == "excluded":
                return Skip("calm, which data.calm keeps out")
            return replace(parsed, emotion="neutral")
        return parsed

    def _not_audio(self, path: PurePosixPath) -> str:
        parsed = self.parse(path)
        if isinstance(parsed, Skip) and parsed.known:
            return parsed.reason
        suffix = path.suffix.lower()
        if suffix in _ARCHIVES:
            return f"an archive inside ({suffix}): extract it and give the folder"
        return f"not an audio file ({suffix or 'no suffix'})"

    def scan(self, folder: Path, name: str, calm: str = "neutral", synthetic: bool = False) -> Scan:
        """Utterances of the corpus `name` in `folder`, at any depth.

        Raises UserError when the folder is missing or holds no recording of this corpus.
        """
        top = PurePosixPath(folder.resolve().name)
        below = list_contents(folder)
        arranged = self.arrange(
            (top / path for path in below.files), calm, synthetic,
            lambda first, second: same_bytes(folder / first.relative_to(top), folder / second.relative_to(top)),
            below.skipped.values())
        if not arranged.taken:
            raise self.nothing(folder, arranged)
        gender = first_genders(folder / path for path in below.files if is_demographics(path))
        utterances = []
        for path, parsed in arranged.taken.items():
            inside = path.relative_to(top)
            utterances.append(Utterance(
                f"{name}/{inside.with_suffix('').as_posix()}", name, self.name, synthetic, folder / inside,
                parsed.emotion, f"{name}/{parsed.speaker}", parsed.gender or gender.get(parsed.speaker, ""), "en",
                parsed.intensity, parsed.text))
        return Scan(utterances, arranged.skipped, arranged.oddities)

    def nothing(self, source: Path, arranged: Arrangement) -> UserError:
        """The error for a folder or zip that holds no recording of this corpus."""
        left = ", ".join(f"{n} {reason}" for reason, n in arranged.skipped.items()) or "it is empty"
        return UserError(f"{source}: no {self.title} recordings with names like {self.example} ({left}): give the "
                         "folder of that corpus, or bring another corpus in by a CSV manifest")


def is_demographics(path: PurePosixPath) -> bool:
    """Whether a file's name is that of the table, capital and small letters and a prefix left aside.

    >>> is_demographics(PurePosixPath("a/crema_d_VideoDemographics.csv"))
    True
    >>> is_demographics(PurePosixPath("__MACOSX/a/._VideoDemographics.csv"))
    False
    """
    return path.name.lower().endswith(DEMOGRAPHICS.lower()) and not is_hidden(path)


def read_genders(path: Path) -> dict[str, str]:
    """Gender (female, male or "") of each speaker by the columns ActorID and Sex.

    Raises UserError when the table lacks one of these columns.
    """
    known = {"female", "male"}
    return {row["ActorID"]: sex if (sex := row["Sex"].lower()) in known else ""
            for _, row in read_table(path, ("ActorID", "Sex"))}


def first_genders(paths: Iterable[Path]) -> dict[str, str]:
    """`read_genders` of the first file that is such a table; nothing where there is no file.

    Raises UserError, of the first file, when there are files and none is one.
    """
    fault: UserError | None = None
    for path in paths:
        try:
            return read_genders(path)
        except UserError as error:
            fault = fault or error
    if fault:
        raise fault
    return {}

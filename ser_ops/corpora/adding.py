"""Bring corpora in, copied or linked, never moved, whole or not at all; list and check those that are there.

A published corpus (RAVDESS, CREMA-D, TESS, SAVEE) goes to data/corpora, a CSV manifest with all that it lists to
data/manifests.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from ser_ops.audio.admission import FORMATS
from ser_ops.audio.reading import probe_recordings
from ser_ops.cards import FOLDER_NAME
from ser_ops.config.data import ManifestSource
from ser_ops.corpora.corpus import (
    LAYOUTS,
    CorpusCard,
    CorpusSummary,
    layout_named,
    summarise_corpus,
    summarise_manifest,
)
from ser_ops.corpora.csv_manifest import (
    ALIASES,
    MANIFEST_FILE,
    REQUIRED,
    first_paths,
    manifest_source,
    read_manifest,
    recording_path,
    scan_manifest,
)
from ser_ops.corpora.layout import DEMOGRAPHICS, Layout, is_demographics, read_genders
from ser_ops.corpora.sources import Source, copy_file, link_file, open_source
from ser_ops.corpora.utterance import Scan
from ser_ops.errors import UserError
from ser_ops.files import one_writer_at_a_time, replacing
from ser_ops.folders import UnusableFolder, is_inside, subfolder_names
from ser_ops.outside_table import read_table
from ser_ops.progress.spreading import progress_bar
from ser_ops.tables import write_csv
from ser_ops.terminal import count_sentences, counts_in_words

_POINTER = b"version https://git-lfs"
_LISTED = 5     # recordings that a note lists


def add_corpus(layout: str, source: Path, corpora_folder: Path, name: str | None = None, link: bool = False,
               lock: Path | None = None) -> CorpusSummary:
    """Bring the corpus of `layout` from a folder or zip into `corpora_folder`/`name` (default: the layout's name).

    Only recordings whose names the layout knows are taken, each once and into the folder where the corpus itself
    has it, and CREMA-D's table of speakers; the rest is counted in the answer. `link` makes symbolic links. All who
    give the same `lock`, a file outside of `corpora_folder`, come one after the other.
    Raises UserError when the source holds no such recordings, or none that is admitted, or must be refused, when a
    corpus of that name is already there, or when the disk has too little space; nothing is left behind then.
    """
    with one_writer_at_a_time(lock, corpora_folder):
        rules = layout_named(layout)
        target = free_folder(corpora_folder, name or rules.name)
        with open_source(source, link) as box:
            arranged = rules.arrange(box.paths, same=box.same, skipped=box.skipped)
            if not arranged.taken:
                raise _nothing(rules, source, box)
            homes = {path: PurePosixPath(parsed.home) / path.name for path, parsed in arranged.taken.items()}
            tables = [path for path in box.paths if is_demographics(path)] if layout == "crema_d" else []
            check_space(sum(box.size(path) for path in (*homes, *tables)), corpora_folder)
            with replacing(target) as folder:
                folder.mkdir()
                for path, home in progress_bar(homes.items(), f"adding {target.name}", len(homes), "file"):
                    (folder / home).parent.mkdir(parents=True, exist_ok=True)
                    box.copy(path, folder / home)
                _refuse_pointers(source, folder, list(homes.values()))
                _bring_table(source, box, tables, folder / DEMOGRAPHICS)
                card = CorpusCard(
                    name=target.name, layout=rules.name, synthetic=False,  # type: ignore[arg-type]
                    licence=rules.licence, source=rules.source,
                    note=f"brought in with {len(homes)} of {sum(rules.counts.values())} recordings")
                card.write(folder)
                scan = replace(rules.scan(folder, target.name), skipped=arranged.skipped, oddities=arranged.oddities)
                refusals = _refusals(scan, target.name)
                _refuse_all_refused(source, refusals, len(scan.utterances))
                summary = summarise_corpus(card, with_refusals(scan, refusals, len(scan.utterances)), "neutral")
                free_folder(corpora_folder, target.name)     # a command without the lock may have made it meanwhile
        return summary


def _nothing(rules: Layout, source: Path, box: Source) -> UserError:
    others = [other.title for other in LAYOUTS.values() if other is not rules and other.arrange(box.paths).taken]
    error = rules.nothing(source, rules.arrange(box.paths, skipped=box.skipped))
    return UserError(f"{error} (these names are those of {', '.join(others)})") if others else error


def _refuse_pointers(source: Path, folder: Path, paths: list[PurePosixPath]) -> None:
    for path in paths:
        file = folder / path
        if file.stat().st_size < 1024 and file.read_bytes().startswith(_POINTER):
            raise UserError(f"{source}: {path} is a Git LFS pointer, not a recording: run `git lfs pull` there first")


def _bring_table(source: Path, box: Source, tables: list[PurePosixPath], target: Path) -> None:
    """The first of the files that are called like CREMA-D's table and are one. Raises UserError when none is one."""
    fault: UserError | None = None
    for path in tables:
        box.copy(path, target)
        try:
            read_genders(target)
            return
        except UserError as error:
            fault = fault or UserError(f"{source}: {path}: {str(error).removeprefix(f'{target}: ')}")
            target.unlink()
    if fault:
        raise fault


def check_corpus(corpora_folder: Path, name: str, calm: str = "neutral") -> CorpusSummary:
    """What the corpus `name` holds now; how many recordings are not admitted, and why, is among its oddities."""
    card, scan = _scanned(corpora_folder, name, calm)
    return summarise_corpus(card, with_refusals(scan, _refusals(scan, name), len(scan.utterances)), calm)


def list_corpora(corpora_folder: Path, calm: str = "neutral") -> Iterator[CorpusSummary | UnusableFolder]:
    """What each folder of corpora holds, by name, or why it is no corpus; no recording is opened.

    Raises UserError when `corpora_folder` itself cannot be listed.
    """
    for name in subfolder_names(corpora_folder):
        try:
            card, scan = _scanned(corpora_folder, name, calm)
            yield summarise_corpus(card, scan, calm)
        except (UserError, OSError) as error:
            yield UnusableFolder(name, str(error))


def _scanned(corpora_folder: Path, name: str, calm: str) -> tuple[CorpusCard, Scan]:
    card = CorpusCard.read(corpora_folder, name)
    return card, LAYOUTS[card.layout].scan(corpora_folder / name, name, calm, card.synthetic)


def _refusals(scan: Scan, name: str) -> dict[str, str]:
    """Utterances whose recordings are not admitted, and why."""
    probed = probe_recordings([utterance.path for utterance in scan.utterances], f"checking {name}")
    return {utterance.utterance: recording.refusal for utterance, recording in zip(scan.utterances, probed, strict=True)
            if recording.refusal}


def add_manifest(file: Path, manifests_folder: Path, name: str, link: bool = False,
                 labels: Mapping[str, str] | None = None, lock: Path | None = None) -> CorpusSummary:
    """Bring a manifest and every recording that it lists into `manifests_folder`/`name`.

    The manifest stands there as manifest.csv, with paths that count from its folder: those that it had, where all
    recordings lie below its own folder, else paths below the folder that all of them share. Lines of any label come
    in; one that is neither an emotion nor in `labels` is counted in the answer. `link` makes symbolic links. All who
    give the same `lock`, a file outside of `manifests_folder`, come one after the other.
    Raises UserError when the manifest cannot be used, for a file that is missing, that is no recording by its suffix,
    or that a link takes out of that folder, when no recording is admitted, when a corpus of that name is already
    there, or when the disk has too little space; nothing is left behind then.
    """
    with one_writer_at_a_time(lock, manifests_folder):
        target = free_folder(manifests_folder, name)
        source = ManifestSource.model_validate({"name": name, "file": file, "labels": labels or {}})
        read_manifest(source, labels_may_lack_emotions=True)
        rows = [row for _, row in read_table(file, REQUIRED, ALIASES)]
        files = [Path(os.path.abspath(recording_path(file, row["path"]))) for row in rows]
        homes = _homes(file, files)
        if not link:
            check_space(sum(recording.stat().st_size for recording in homes), manifests_folder)
        with replacing(target) as folder:
            folder.mkdir()
            for recording, home in progress_bar(homes.items(), f"adding {name}", len(homes), "file"):
                (folder / home).parent.mkdir(parents=True, exist_ok=True)
                (link_file if link else copy_file)(recording, folder / home)
            write_csv(folder / MANIFEST_FILE, [row | {"path": homes[recording].as_posix()}
                                               for row, recording in zip(rows, files, strict=True)], list(rows[0]))
            refusals = _manifest_refusals(name, [folder / home for home in homes.values()], folder)
            _refuse_all_refused(file, refusals, len(homes))
            source = manifest_source(folder.parent, name, labels or {})
            scan = read_manifest(source, labels_may_lack_emotions=True)
            summary = summarise_manifest(source, with_refusals(scan, refusals, len(homes)))
            free_folder(manifests_folder, name)     # a command without the lock may have made it meanwhile
    return summary


def _homes(manifest: Path, files: Sequence[Path]) -> dict[Path, PurePosixPath]:
    """Each recording (absolute paths) once, and where it comes to lie below the manifest's new folder.

    Raises UserError for what is no recording, or not there, or lies elsewhere than its path says.
    """
    wanted = list(dict.fromkeys(files))
    if gone := [path for path in wanted if not os.path.isfile(path)]:
        raise UserError(f"{manifest}: {len(gone)} of {len(wanted)} files are missing ({first_paths(gone)}): a relative "
                        f"path counts from {manifest.parent}")
    if others := [path for path in wanted if path.suffix.lower() not in FORMATS]:
        raise UserError(f"{manifest}: lists files whose suffix is not a recording's ({first_paths(others)}): remove "
                        "those lines")
    own = Path(os.path.abspath(manifest.parent))
    top = own if all(path.is_relative_to(own) for path in wanted) else Path(
        os.path.commonpath([path.parent for path in wanted]))
    if leading_out := [path for path in wanted if not is_inside(os.path.realpath(top), path)]:
        raise UserError(f"{manifest}: refused: a link leads out of {top} ({first_paths(leading_out)}): list the files "
                        "themselves (cp -rL copies what links point to)")
    return {path: PurePosixPath(path.relative_to(top).as_posix()) for path in wanted}


def check_manifest(manifests_folder: Path, name: str, labels: Mapping[str, str]) -> CorpusSummary:
    """What the manifest `name` holds now; how many recordings are not admitted, and why, is among its oddities."""
    source, scan = scan_manifest(manifests_folder, name, labels, True)
    files = list(dict.fromkeys(utterance.path for utterance in scan.utterances))
    refusals = _manifest_refusals(name, files, source.file.parent)
    return summarise_manifest(source, with_refusals(scan, refusals, len(files)))


def list_manifests(manifests_folder: Path,
                   labels: Mapping[str, Mapping[str, str]]) -> Iterator[CorpusSummary | UnusableFolder]:
    """What each folder of manifests holds, by name, or why it cannot be used; no recording is opened.

    labels: of those that params.yaml lists. Raises UserError when `manifests_folder` itself cannot be listed.
    """
    for name in subfolder_names(manifests_folder):
        try:
            yield summarise_manifest(*scan_manifest(manifests_folder, name, labels.get(name, {}), True))
        except (UserError, OSError) as error:
            yield UnusableFolder(name, str(error))


def _manifest_refusals(name: str, files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Recordings (paths below `folder`) that are not admitted, and why."""
    probed = zip(files, probe_recordings(files, f"checking {name}"), strict=True)
    return {file.relative_to(folder).as_posix(): recording.refusal for file, recording in probed if recording.refusal}


def free_folder(corpora_folder: Path, name: str) -> Path:
    """The folder for a new corpus of that name. `corpora_folder` is data/corpora, or data/manifests for a manifest.

    Raises UserError when either of the two holds that name already, and for a name that no corpus may have.
    """
    if not FOLDER_NAME.fullmatch(name):
        raise UserError(f"{name!r}: is not a valid name for a corpus: use letters, digits, point, dash and underscore")
    both = (corpora_folder.with_name(kind) / name for kind in ("corpora", "manifests"))
    for folder in (corpora_folder / name, *both):
        if os.path.lexists(folder):
            raise UserError(f"{folder}: is already there: remove it first, or bring the corpus in under another name")
    return corpora_folder / name


def check_space(needed: int, folder: Path) -> None:
    """Raise UserError where the disk of `folder` has less room than `needed` bytes."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free: free space, or "
                        "give a folder and link its files instead of copying")


def _refuse_all_refused(source: Path, refusals: Mapping[str, str], recordings: int) -> None:
    if len(refusals) == recordings:
        raise UserError(f"{source}: none of its {recordings} recordings is admitted: {_reasons(refusals)}: give the "
                        "original recordings")


def _reasons(refusals: Mapping[str, str]) -> str:
    return counts_in_words(count_sentences(refusals.values()))


def with_refusals(scan: Scan, refusals: Mapping[str, str], recordings: int) -> Scan:
    """The scan, with a note on those of its recordings that are not admitted: names, and why."""
    if not refusals:
        return scan
    note = (f"{len(refusals)} of {recordings} recordings are not admitted: {_reasons(refusals)}: "
            f"{', '.join(islice(refusals, _LISTED))}")
    return replace(scan, oddities=[*scan.oddities, note + (" ..." if len(refusals) > _LISTED else "")])

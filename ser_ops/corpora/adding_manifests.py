"""A CSV manifest brought into data/manifests with all that it lists; what lies there, listed and checked."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ser_ops.audio.admission import FORMATS
from ser_ops.audio.hearing import hear_all
from ser_ops.config.sections import ManifestSource
from ser_ops.corpora.adding import check_space, free_place, noted
from ser_ops.corpora.csv_manifest import ALIASES, REQUIRED, read_manifest, recording_of
from ser_ops.corpora.manifests import MANIFEST, scan, some, source_of
from ser_ops.corpora.sources import copy_file, link_file
from ser_ops.corpora.summary import Found, summarise_manifest
from ser_ops.corpora.table import write_csv
from ser_ops.errors import UserError
from ser_ops.files import in_turn, replacing
from ser_ops.folders import Unusable, folders_in, lies_in
from ser_ops.outside_table import read_table
from ser_ops.progress.bar import progress
from ser_ops.reasons import grouped, in_words


def add(file: Path, manifests_folder: Path, name: str, link: bool = False, labels: Mapping[str, str] | None = None,
        lock: Path | None = None) -> Found:
    """Bring a manifest and every recording that it lists into `manifests_folder`/`name`.

    The manifest stands there as manifest.csv, with paths that count from its folder: those that it had, where all
    recordings lie below its own folder, else paths below the folder that all of them share. Lines of any label come
    in; one that is neither an emotion nor in `labels` is counted in the answer. `link` makes symbolic links. All who
    give the same `lock`, a file outside of `manifests_folder`, come one after the other.
    Raises UserError when the manifest cannot be used, for a file that is missing, that is no recording by its suffix,
    or that a link takes out of that folder, when no recording is admitted, when a corpus of that name is already
    there, or when the disk has too little space; nothing is left behind then.
    """
    with in_turn(lock, manifests_folder):
        target = free_place(manifests_folder, name)
        source = ManifestSource.model_validate({"name": name, "file": file, "labels": labels or {}})
        read_manifest(source, labels_may_lack_emotions=True)
        rows = [row for _, row in read_table(file, REQUIRED, ALIASES)]
        files = [Path(os.path.abspath(recording_of(file, row["path"]))) for row in rows]
        homes = _homes(file, files)
        if not link:
            check_space(sum(recording.stat().st_size for recording in homes), manifests_folder)
        with replacing(target) as folder:
            folder.mkdir()
            for recording, home in progress(homes.items(), f"adding {name}", len(homes), "file"):
                (folder / home).parent.mkdir(parents=True, exist_ok=True)
                (link_file if link else copy_file)(recording, folder / home)
            write_csv(folder / MANIFEST, [row | {"path": homes[recording].as_posix()}
                                          for row, recording in zip(rows, files, strict=True)], list(rows[0]))
            refusals = _refusals(name, [folder / home for home in homes.values()], folder)
            if len(refusals) == len(homes):
                raise UserError(f"{file}: none of its {len(refusals)} recordings is admitted: "
                                f"{in_words(grouped(refusals.values()))}: give the original recordings")
            source = source_of(folder.parent, name, labels or {})
            answer = summarise_manifest(source, noted(read_manifest(source, labels_may_lack_emotions=True), refusals,
                                                      len(homes)))
            free_place(manifests_folder, name)      # whoever gave no lock may have come first
    return answer


def check(manifests_folder: Path, name: str, labels: Mapping[str, str]) -> Found:
    """What the manifest `name` holds now; how many recordings are not admitted, and why, is among its oddities."""
    source, found = scan(manifests_folder, name, labels, True)
    files = list(dict.fromkeys(utterance.path for utterance in found.utterances))
    return summarise_manifest(source, noted(found, _refusals(name, files, source.file.parent), len(files)))


def list_all(manifests_folder: Path, labels: Mapping[str, Mapping[str, str]]) -> Iterator[Found | Unusable]:
    """What each folder of manifests holds, by name, or why it cannot be used; no recording is opened.

    labels: of those that params.yaml lists. Raises UserError when `manifests_folder` itself cannot be listed.
    """
    for name in folders_in(manifests_folder):
        try:
            yield summarise_manifest(*scan(manifests_folder, name, labels.get(name, {}), True))
        except (UserError, OSError) as error:
            yield Unusable(name, str(error))


def _homes(manifest: Path, files: Sequence[Path]) -> dict[Path, PurePosixPath]:
    """Each recording (absolute paths) once, and where it comes to lie below the manifest's new folder.

    Raises UserError for what is no recording, or not there, or lies elsewhere than its path says.
    """
    wanted = list(dict.fromkeys(files))
    if gone := [path for path in wanted if not os.path.isfile(path)]:
        raise UserError(f"{manifest}: {len(gone)} of {len(wanted)} files are missing ({some(gone)}): a relative path "
                        f"counts from {manifest.parent}")
    if others := [path for path in wanted if path.suffix.lower() not in FORMATS]:
        raise UserError(f"{manifest}: lists what is no recording by its suffix ({some(others)}): take those lines out")
    own = Path(os.path.abspath(manifest.parent))
    top = own if all(path.is_relative_to(own) for path in wanted) else Path(
        os.path.commonpath([path.parent for path in wanted]))
    if leading_out := [path for path in wanted if not lies_in(os.path.realpath(top), path)]:
        raise UserError(f"{manifest}: refused: a link leads out of {top} ({some(leading_out)}): list the files "
                        "themselves (cp -rL copies what links point to)")
    return {path: PurePosixPath(path.relative_to(top).as_posix()) for path in wanted}


def _refusals(name: str, files: Sequence[Path], folder: Path) -> dict[str, str]:
    """Recordings (paths below `folder`) that the door does not admit, and why."""
    heard = hear_all(files, f"checking {name}")
    return {file.relative_to(folder).as_posix(): answer.refusal for file, answer in zip(files, heard, strict=True)
            if answer.refusal}

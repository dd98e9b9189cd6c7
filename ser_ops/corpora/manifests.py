"""CSV manifests with all that they list in data/manifests, where DVC sees them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser_ops.config.sections import ManifestSource
from ser_ops.corpora.csv_manifest import read_manifest
from ser_ops.corpora.utterance import Scan
from ser_ops.errors import UserError
from ser_ops.folders import folders_in

LAYOUT = "manifest"     # as a corpus of its kind is called where the others name their layout
MANIFEST = "manifest.csv"
_LISTED = 5             # recordings that an error lists


def scan(manifests_folder: Path, name: str, labels: Mapping[str, str],
         labels_may_lack_emotions: bool = False) -> tuple[ManifestSource, Scan]:
    """The manifest `name` and its utterances; labels may lack emotions where it need not be in use yet.

    Raises UserError when it is not there or cannot be used, and for a recording outside of its folder.
    """
    source = source_of(manifests_folder, name, labels)
    if not os.path.isdir(source.file.parent):
        raise UserError(f"{source.file.parent}: no such manifest (there are: "
                        f"{', '.join(folders_in(manifests_folder)) or 'none'}): bring it in with `ser-ops corpora add "
                        f"manifest FILE --name {name}` or take it out of data.manifests in params.yaml")
    found = read_manifest(source, labels_may_lack_emotions=labels_may_lack_emotions)
    _refuse_outside(source, found)
    return source, found


def source_of(manifests_folder: Path, name: str, labels: Mapping[str, str]) -> ManifestSource:
    """The manifest `name`, there or not."""
    return ManifestSource.model_validate({"name": name, "file": manifests_folder / name / MANIFEST, "labels": labels})


def _refuse_outside(source: ManifestSource, found: Scan) -> None:
    folder = os.path.abspath(source.file.parent)
    if outside := [utterance.path for utterance in found.utterances
                   if not Path(os.path.abspath(utterance.path)).is_relative_to(folder)]:
        raise UserError(f"{source.file}: lists {len(outside)} recordings outside of its folder ({some(outside)}), in "
                        "which DVC would not see a change: bring the manifest in anew with `ser-ops corpora add "
                        "manifest`")


def some(paths: Sequence[Path]) -> str:
    """The first of many paths, in words."""
    return ", ".join(map(str, paths[:_LISTED])) + (" ..." if len(paths) > _LISTED else "")

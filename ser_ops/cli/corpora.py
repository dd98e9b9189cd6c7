"""ser-ops corpora: bring a corpus in, see what is there, check it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.config.params import Params, load_params
from ser_ops.errors import UserError

if TYPE_CHECKING:
    from ser_ops.corpora.corpus import CorpusSummary

app = typer.Typer(no_args_is_help=True, help="Corpora: add, list, check.", rich_markup_mode=None)
Layout = Annotated[str, typer.Argument(help="ravdess, crema_d, tess or savee: whose file names it has; manifest: a "
                                             "CSV file that lists it.")]


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    """A corpus summary in words."""
    kind = ("synthetic" if summary["synthetic"] else "manifest" if summary["layout"] == "manifest" else
            "full corpus" if summary["complete"] else "PARTIAL corpus")
    of = f" of {summary['expected']}" if summary.get("expected") and not summary["complete"] else ""
    lines = [f"{summary['name']}: {kind}, {summary['found']}{of} utterances, {summary['speakers']} speakers",
             "  " + ", ".join(f"{emotion} {count}" for emotion, count in summary["emotions"].items())]
    lines += [f"  skipped {count}: {reason}" for reason, count in summary["skipped"].items()]
    lines += [f"  note: {oddity}" for oddity in summary["oddities"]]
    return lines


@app.command()
def add(layout: Layout, source: Annotated[str, typer.Argument(help="Folder, zip, or s3:// address; CSV file.")],
        name: Annotated[str | None, typer.Option(help="Its name here; default: the layout, or that of the CSV file.")] =
        None, link: Annotated[bool, typer.Option("--link", help="Symbolic links instead of copies.")] = False,
        json: Json = False) -> None:
    """Bring a corpus in: copy it (or link to it), never move it; check it and print a summary."""
    from ser_ops.corpora.csv_manifest import MANIFEST_LAYOUT

    params = load_params()
    summary = _add_manifest(params, source, name, link) if layout == MANIFEST_LAYOUT else \
        _add_published(params, layout, source, name, link)
    record = summary.record()
    entry = f"{{name: {record['name']}}}" if layout == MANIFEST_LAYOUT else record["name"]
    lacking = any(reason.endswith("has no emotion yet") for reason in record["skipped"])
    labels = " with an emotion or drop for each label that has none yet," if lacking else ""
    print_answer(record, json, *_summary_lines(record), f"to use it: list {entry} under data.{_data_section(layout)} "
                 f"in params.yaml,{labels} then dvc add data && dvc repro")


def _add_published(params: Params, layout: str, source: str, name: str | None, link: bool) -> "CorpusSummary":
    from ser_ops.corpora import adding
    from ser_ops.corpora.corpus import layout_named
    from ser_ops.storage.client import is_remote
    from ser_ops.storage.s3 import downloaded

    target = params.paths.data / "corpora"
    if not is_remote(source):
        return adding.add_corpus(layout, path_argument(source), target, name, link=link, lock=params.paths.adding_lock)
    if link:
        raise UserError(f"{source}: what lies in a bucket cannot be linked: leave --link out")
    adding.free_folder(target, name or layout_named(layout).name)
    with downloaded(source, params.paths.state / "downloads", params.storage) as local:
        return adding.add_corpus(layout, local, target, name, lock=params.paths.adding_lock)


def _add_manifest(params: Params, source: str, name: str | None, link: bool) -> "CorpusSummary":
    from ser_ops.corpora import adding
    from ser_ops.storage.client import is_remote

    if is_remote(source):
        raise UserError(f"{source}: a manifest comes in from this machine: fetch the CSV file and what it lists first")
    file = path_argument(source)
    name = name or file.stem
    return adding.add_manifest(file, params.paths.data / "manifests", name, link,
                               params.data.labels_of(name), params.paths.adding_lock)


@app.command("list")
def list_(json: Json = False) -> None:
    """What lies in data/corpora and data/manifests; exit code 1 when one of them cannot be used."""
    from ser_ops.corpora import adding
    from ser_ops.folders import UnusableFolder

    params = load_params()
    bad = False
    labels = {manifest.name: manifest.labels for manifest in params.data.manifests}
    for summary in (*adding.list_corpora(params.paths.data / "corpora", params.data.calm),
                  *adding.list_manifests(params.paths.data / "manifests", labels)):
        record = summary.record()
        if isinstance(summary, UnusableFolder):
            bad = True
            print_answer(record, json, *summary.lines())
            continue
        used = record["name"] in params.data.names
        unused = f"  not used: not under data.{_data_section(record['layout'])}"
        print_answer(record | {"used": used}, json, *_summary_lines(record), *([] if used else [unused]))
    if bad:
        raise typer.Exit(1)


@app.command()
def check(name: Annotated[str, typer.Argument(help="A folder of data/corpora or data/manifests.")],
          checksums: Annotated[Path | None, typer.Option(help="TSV of published files: path, size, sha256.")] = None,
          json: Json = False) -> None:
    """Check a corpus: its names, counts and speakers; with --checksums, which files are the published ones."""
    from ser_ops.corpora import adding
    from ser_ops.corpora.checksums import compare_checksums

    params = load_params()
    folder = params.paths.data / "manifests"
    if os.path.isdir(folder / name):
        summary = adding.check_manifest(folder, name, params.data.labels_of(name))
    else:
        folder = params.paths.data / "corpora"
        summary = adding.check_corpus(folder, name, params.data.calm)
    record = summary.record()
    print_answer(record, json, *_summary_lines(record))
    if checksums:
        compared = compare_checksums(folder / name, checksums).record()
        files = [f"  {kind}: {', '.join(paths[:5])}{' ...' if len(paths) > 5 else ''}"
                 for kind, paths in compared["files"].items() if paths]
        counts = ", ".join(f"{count} {kind}" for kind, count in compared["counts"].items())
        print_answer(compared, json, counts, *files)


def _data_section(layout: str) -> str:
    """Where params.yaml lists a corpus of that layout, and where it lies in data/."""
    return "manifests" if layout == "manifest" else "corpora"

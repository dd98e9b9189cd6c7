"""ser-ops corpora: bring a corpus in, see what is there, check it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ser_ops import config
from ser_ops.cli.answers import Json, named, say
from ser_ops.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Corpora: add, list, check.", rich_markup_mode=None)
Layout = Annotated[str, typer.Argument(help="ravdess, crema_d, tess or savee: whose file names it has.")]


def _words(found: dict[str, Any]) -> list[str]:
    kind = "synthetic" if found["synthetic"] else "full corpus" if found["complete"] else "PARTIAL corpus"
    of = f" of {found['expected']}" if found.get("expected") and not found["complete"] else ""
    lines = [f"{found['name']}: {kind}, {found['found']}{of} utterances, {found['speakers']} speakers",
             "  " + ", ".join(f"{emotion} {count}" for emotion, count in found["emotions"].items())]
    lines += [f"  skipped {count}: {reason}" for reason, count in found["skipped"].items()]
    lines += [f"  note: {oddity}" for oddity in found["oddities"]]
    return lines


@app.command()
def add(layout: Layout, source: Annotated[str, typer.Argument(help="Folder, zip, or s3:// address.")],
        name: Annotated[str | None, typer.Option(help="Folder in data/corpora; default: the layout.")] = None,
        link: Annotated[bool, typer.Option("--link", help="Symbolic links instead of copies.")] = False,
        json: Json = False) -> None:
    """Bring a corpus in: copies (or links), never moves; checks it and says what it found."""
    from ser_ops.corpora import adding
    from ser_ops.storage.address import is_remote
    from ser_ops.storage.s3 import brought

    params = config.load()
    target = params.paths.data / "corpora"
    if is_remote(source):
        if link:
            raise UserError(f"{source}: what lies in a bucket cannot be linked: leave --link out")
        adding.free_place(layout, target, name)
        with brought(source, params.paths.state / "downloads", params.storage) as local:
            found = adding.add(layout, local, target, name, lock=params.paths.adding_lock)
    else:
        found = adding.add(layout, named(source), target, name, link=link, lock=params.paths.adding_lock)
    record = found.record()
    say(record, json, *_words(record), f"to use it: list {record['name']} under data.corpora in params.yaml, then "
        "dvc add data && dvc repro")


@app.command("list")
def list_(json: Json = False) -> None:
    """What lies in data/corpora; exit code 1 when one of them cannot be used."""
    from ser_ops.corpora import adding
    from ser_ops.folders import Unusable

    params = config.load()
    bad = False
    for found in adding.list_all(params.paths.data / "corpora", params.data.calm):
        record = found.record()
        if isinstance(found, Unusable):
            bad = True
            say(record, json, *found.lines())
            continue
        used = record["name"] in params.data.corpora
        say(record | {"used": used}, json, *_words(record), *([] if used else ["  not used: not under data.corpora"]))
    if bad:
        raise typer.Exit(1)


@app.command()
def check(name: Annotated[str, typer.Argument(help="A folder of data/corpora.")],
          checksums: Annotated[Path | None, typer.Option(help="TSV of published files: path, size, sha256.")] = None,
          json: Json = False) -> None:
    """Check a corpus: its names, counts and speakers; with --checksums, which files are the published ones."""
    from ser_ops.corpora import adding
    from ser_ops.corpora.checksums import compare_checksums

    params = config.load()
    record = adding.check(params.paths.data / "corpora", name, params.data.calm).record()
    say(record, json, *_words(record))
    if checksums:
        compared = compare_checksums(params.paths.data / "corpora" / name, checksums).record()
        named = [f"  {kind}: {', '.join(files[:5])}{' ...' if len(files) > 5 else ''}"
                 for kind, files in compared["files"].items() if files]
        counts = ", ".join(f"{count} {kind}" for kind, count in compared["counts"].items())
        say(compared, json, counts, *named)

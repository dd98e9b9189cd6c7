"""The DVC remote that is a folder of the repository: small, whole, and enough for a clone with no network."""

import configparser
import hashlib
import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
REMOTE = ROOT / "infra" / "dvc-remote"


def test_default_remote_is_a_folder_of_the_repository() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert config["core"]["remote"] == "embedded"
    assert config["core"]["analytics"] == config["core"]["autostage"] == "false"
    url = config["'remote \"embedded\"'"]["url"]
    assert (ROOT / ".dvc" / url).resolve() == REMOTE.resolve()


def test_data_dvc_is_the_one_listing_of_the_remote() -> None:
    (out,) = yaml.safe_load((ROOT / "data.dvc").read_text(encoding="utf-8"))["outs"]
    assert [_object(out["md5"])] == list(REMOTE.rglob("*.dir")), "data.dvc is another: dvc push, remove the old"
    assert out["path"] == "data" and out["nfiles"] == len(_listing())


def test_every_object_is_there_and_unaltered_and_none_is_left_over() -> None:
    wanted = {entry["md5"] for entry in _listing()}
    held = {path.parent.name + path.name: path for path in (REMOTE / "files").rglob("*") if path.is_file()}
    assert {md5 for md5 in held if not md5.endswith(".dir")} == wanted
    for md5 in wanted:
        assert hashlib.md5(held[md5].read_bytes()).hexdigest() == md5


def test_size() -> None:
    assert sum(path.stat().st_size for path in REMOTE.rglob("*") if path.is_file()) <= 28_000_000


def _listing() -> list[dict[str, str]]:
    (path,) = REMOTE.rglob("*.dir")
    listing: list[dict[str, str]] = json.loads(path.read_bytes())
    return listing


def _object(md5: str) -> Path:
    return REMOTE / "files" / "md5" / md5[:2] / md5[2:]

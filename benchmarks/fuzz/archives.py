"""Zips, folders of recordings, model folders and packaged models whose parts lie, are missing, or are another's."""

import io
import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.fuzz.containers import extreme
from benchmarks.fuzz.damage import damaged, nothing, special
from benchmarks.fuzz.texts import changed, json_of, yaml_of

Generator = np.random.Generator
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_NAMES = ("../a01.wav", "/DC/a01.wav", "DC/../a01.wav", "C:\\DC\\a01.wav", "DC\\a02.wav", "DC/a01.wav", "DC/A01.WAV",
          "__MACOSX/DC/._a01.wav", "DC/._a01.wav", "Thumbs.db", "DC/", "", "DC/a03.wav/x", "DC/" + "a" * 300 + ".wav",
          "x/" * 200 + "DC/a03.wav", "DC/a0\x004.wav", "DC/\udcff.wav", "two\nlines.wav", "\x1b[31m.wav", "a03.csv")
_LEFT = ("DC/._a01.wav", "__MACOSX/DC/._a01.wav", "Thumbs.db", ".DS_Store", "desktop.ini", "DC/a04.wav", "DC/A01.WAV",
         "DC/a01.flac", "KL/a01.wav", "copy/DC/a01.wav", "VideoDemographics.csv", "corpus.yaml", "noise.yaml",
         "DC/b.wav", "DC/\x1b[31m.wav", "DC/a05.wav/a05.wav",
         "DC/" + "n" * 251 + ".wav", ".hidden/DC/a06.wav", "DC/\udcff.wav")
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
# Offset and bytes of fields in an entry of the central directory: flags, method, CRC, sizes, lengths, mode, offset.
_FIELDS = ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (38, 4), (42, 4))
_END = b"PK\x05\x06"


def zip_of(sounds: list[bytes], generator: Generator) -> bytes:
    """A zip of SAVEE's names with entries and sizes that lie, or damaged bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", _METHODS[generator.integers(len(_METHODS))]) as archive:
        for number, sound in enumerate(sounds, 1):
            archive.writestr(zipfile.ZipInfo(f"DC/a{number:02d}.wav"), sound, archive.compression)  # no time of writing
        for _ in range(int(generator.integers(3))):
            entry = zipfile.ZipInfo(_NAMES[generator.integers(len(_NAMES))].encode("utf-8", "replace").decode())
            if generator.integers(6) == 0:
                entry.external_attr = int(generator.choice([stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])) << 16
            archive.writestr(entry, bytes(int(generator.choice([0, 10, 3_000_000]))), zipfile.ZIP_DEFLATED)
    data = file.getvalue()
    for _ in range(int(generator.integers(3))):
        data = _lying(data, generator) if generator.integers(2) else damaged(data, generator)
    return data


def _lying(data: bytes, generator: Generator) -> bytes:
    """One field of an entry, or of the end of the directory, that is another."""
    magic = (_CENTRAL, _CENTRAL, _LOCAL, _END)[generator.integers(4)]
    starts = [at for at in range(len(data)) if data.startswith(magic, at)]
    if not starts:
        return data
    at = starts[generator.integers(len(starts))]
    offset, size = _FIELDS[generator.integers(len(_FIELDS))]
    if magic == _END:
        offset, size = 8 + 2 * int(generator.integers(6)), 2
    value = extreme(8 * size, generator).to_bytes(size, "little")
    return data[:at + offset] + value + data[at + offset + size:]


def folder_of(sound: bytes, folder: Path, generator: Generator) -> Path:
    """A folder of SAVEE's names with what computers leave in folders, links, pipes, and names in each other's way."""
    for number in range(1, 4):
        _put(folder / f"DC/a{number:02d}.wav", sound)
    for _ in range(int(generator.integers(1, 5))):
        strange = folder / _LEFT[generator.integers(len(_LEFT))]
        if strange.exists() or strange.is_symlink():
            continue
        if generator.integers(3) == 0:
            strange.parent.mkdir(parents=True, exist_ok=True)
            special(strange, generator)
        else:
            _put(strange, (sound, sound[:60], nothing(generator))[generator.integers(3)])
    if generator.integers(4) == 0:
        links = (folder, folder.parent, Path("/dev"), folder / "DC", Path("."))
        (folder / "link").symlink_to(links[generator.integers(len(links))])
    return folder


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def model_of(whole: Path, folder: Path, generator: Generator) -> Path:
    """A copy of a model folder with model.json or weights.safetensors changed, swapped, empty or gone."""
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    weights, card = folder / "weights.safetensors", folder / "model.json"
    match generator.integers(10):
        case 0:
            weights.write_bytes(damaged(weights.read_bytes(), generator))
        case 1 | 2:
            weights.write_bytes(_tensors(weights.read_bytes(), generator))
        case 3:
            (card if generator.integers(2) else weights).write_bytes(nothing(generator))
        case 4:
            (card if generator.integers(2) else weights).unlink()
        case _:
            said = json.loads(card.read_text(encoding="utf-8"))
            if generator.integers(2):   # the weights are not asked for, the sizes are
                said.pop("weights_sha256", None)
                part = ("preset_settings", "backbone_config")[generator.integers(2)]
                said[part] = changed(said[part], generator)
            card.write_bytes(json_of(said, generator) if generator.integers(2) else json.dumps(said).encode())
    return folder


def _tensors(data: bytes, generator: Generator) -> bytes:
    """A safetensors file with a header, or a length of it, that lies."""
    size = int.from_bytes(data[:8], "little")
    if generator.integers(4) == 0:
        return extreme(64, generator).to_bytes(8, "little") + data[8:]
    header = json_of(json.loads(data[8:8 + size]), generator)
    return len(header).to_bytes(8, "little") + header + data[8 + size:]


def package_of(whole: Path, folder: Path, generator: Generator) -> Path:
    """A model as MLflow packages it, with MLmodel or the model folder inside changed."""
    inside = folder / "artifacts" / "model"
    said = ("artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    "
            "model_code_path: served_model.py\n    artifacts:\n      model: {path: artifacts/model, uri: model}\n"
            "model_uuid: 0\nsignature: {inputs: '[]', outputs: '[]'}\n")
    shutil.copytree(whole, inside)
    if generator.integers(4) == 0:
        model_of(whole, inside, generator)
    (folder / "MLmodel").write_bytes(yaml_of(said, generator))
    return folder

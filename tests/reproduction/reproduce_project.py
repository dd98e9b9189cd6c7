"""A made-up project after reproduction's stages variants and features: two corpora with a pattern per class."""

from pathlib import Path

import numpy as np
import yaml
from project_copy import write_settings

from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_json
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow, write_rows
from ser_ops.shards import write_index, write_shard

PROJECT = Path(__file__).resolve().parents[2]
TINY = {"features": {"seconds": 0.25, "frame": 512, "hop": 512, "mfcc": 4},
        "spectral": {"channels": [4, 8], "pools": [[4, 2], [4, 1]], "maps": 8, "embedding": 16},
        "head": {"hidden": 16, "dropout": 0.2}}
FRAMES, SPEAKERS = 8, 5


def project(folder: Path, same_content: bool = False) -> Path:
    """The project's folder; with `same_content` two speakers share a recording, which only some protocols admit."""
    random = np.random.default_rng(1)
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values |= {"preset": "tiny"} | {section: values[section] | changes for section, changes in TINY.items()}
    values["data"] = {**values["data"], "corpora": ["one", "two"], "manifests": []}
    values["compute"]["workers"] = 1
    values["train"]["epochs"] = 2
    values["evaluate"].update(resamples=100)
    settings = yaml.safe_load((PROJECT / "reproduction/params.yaml").read_text())
    settings["folds"].update(
        count=3, train={"patience": 3, "batch_size": 16}, explained="spectral",
        models={"spectral": {"epochs": 3, "learning_rate": 0.01}})
    settings["splits"] = {"models": ["spectral"], "variants": "all", "train": {"batch_size": 16}}
    settings["corpora"] = {"models": ["spectral"], "variants": "original", "train": {"batch_size": 16}}
    work = folder / "work"
    (folder / "reproduction").mkdir(parents=True)
    write_settings(folder, values)
    (folder / "reproduction/params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    spoken, rows = [], []
    stores: dict[str, list] = {"ingest/waveforms": []} | {
        f"papers/{variants}/{store}": [] for variants in ("original", "all")
        for store in ("augmented/waveforms", "features/features")}
    for corpus in ("one", "two"):
        for number in range(SPEAKERS * 3 * len(EMOTIONS)):
            speaker, label = number % SPEAKERS, number // SPEAKERS % len(EMOTIONS)
            if corpus == "two" and EMOTIONS[label] == "surprise":
                continue
            name = f"{corpus}/{number:03d}"
            content = "same" if same_content and number in (0, 1) and corpus == "one" else name
            who = f"{corpus}/{speaker}"
            spoken.append(UtteranceRow(name, corpus, "manifest", emotion=EMOTIONS[label], speaker=who,
                                       text=f"word {number}", content=content, partition="train"))
            stores["ingest/waveforms"].append((name, random.normal(0, 0.1, 5000).astype(np.float32)))
            for variant in ("original", "noisy"):
                row = f"{name}#{variant}"
                noise = ("noise/a", "street", 0.5, 3.0) if variant == "noisy" else ()
                rows.append(VariantRow(row, name, variant, "train", EMOTIONS[label], who, corpus, False,
                                       content if variant == "original" else row, 0.3, *noise))
                pattern = np.random.default_rng(label).normal(size=(6, 1))
                features = (pattern + random.normal(size=(6, FRAMES))).astype(np.float32)
                stores["papers/all/features/features"].append((row, features))
                if variant == "original":
                    stores["papers/original/features/features"].append((row, features))
                else:
                    stores["papers/all/augmented/waveforms"].append(
                        (row, random.normal(0, 0.1, 5000).astype(np.float32)))
    for name, arrays in stores.items():
        (work / name).mkdir(parents=True)
        write_index(work / name, write_shard(work / name, 0, arrays))
    write_rows(work / "validated" / "manifest.csv", spoken, UtteranceRow)
    for variants in ("original", "all"):
        write_rows(work / "papers" / variants / "augmented" / "variants.csv",
                   [row for row in rows if variants == "all" or row.variant == "original"], VariantRow)
        write_json(work / "papers" / variants / "features" / "features" / "standardisation.json",
                   {"mean": [0.0] * 6, "std": [1.0] * 6})
    write_rows(work / "validated" / "noise.csv", [
        NoiseRow("noise/a", source="a", content="a", partition="train"),
        NoiseRow("noise/b", source="b", content="b", partition="test")], NoiseRow)
    write_json(work / "ingest" / "corpora.json", {
        "one": {"synthetic": True, "complete": True, "expected": None, "layout": "manifest"},
        "two": {"synthetic": False, "complete": False, "expected": 9, "layout": "savee"}})
    return folder

"""What every table of a paper's page stands on, in words: corpora, partitions, backbones, seeds, runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from ser_ops.pages.words import DASH

LEAKS: dict[str, str] = {
    "speaker": "no speaker is both trained on and tested on",
    "random": "by utterance: speakers are in training and test alike",
    "paper": "by row after augmentation: variants of one utterance are in training and test alike",
}
TITLES: dict[str, str] = {"ravdess": "RAVDESS", "crema_d": "CREMA-D", "tess": "TESS", "savee": "SAVEE"}


def warnings(provenance: Mapping[str, Any], backbones: Iterable[str | None] = ()) -> tuple[str, ...]:
    """What must stand on top of the page, each with its name in capitals and what it means after a colon.

    provenance: {"corpora", "synthetic", "partial": lists of names}, as runs.json and splits.json hold it.
    backbones: how the models' cards describe theirs; those that begin with "random" were not pretrained.
    """
    found = []
    if synthetic := provenance.get("synthetic"):
        every = set(synthetic) >= set(provenance.get("corpora") or synthetic)
        found.append(f"SYNTHETIC SPEECH: {'all' if every else 'part of the'} speech here was spoken by a synthesiser "
                     f"({', '.join(synthetic)}). Our figures say that the pipeline works; of people they say nothing.")
    if partial := provenance.get("partial"):
        found.append(f"PARTIAL CORPUS: {', '.join(partial)} {'is' if len(partial) == 1 else 'are'} not the full "
                     "published corpus. Our figures cannot be set beside results on the whole.")
    if random := sorted({one for one in backbones if one and one.startswith("random")}):
        found.append(f"RANDOM-WEIGHT BACKBONE: not pretrained ({'; '.join(random)}). Such models are much weaker than "
                     "ones that start from a large pretrained checkpoint.")
    return tuple(found)


def facts(provenance: Mapping[str, Any], protocols: Iterable[str] = (),
          backbones: Mapping[str, str | None] | None = None,
          runs: Mapping[str, str | None] | None = None) -> tuple[tuple[str, str], ...]:
    """(name, what) in the order in which a page shows them.

    protocols: those whose figures the page shows; each is explained, with the leaks that it declares.
    backbones: by model, as the models' cards say. runs: MLflow run ids, by what was run.
    """
    declared = provenance.get("declared") or {}
    found = [(f"Partition protocol {name}", "; ".join([LEAKS.get(name, "as its own stage says"),
                                                      *(one for one in declared.get(name) or [] if one)]))
             for name in protocols]
    found += [("Corpora", _names(provenance.get("corpora")) if provenance.get("corpora") else "none"),
              ("Missing", "none of the papers' four" if not provenance.get("missing") else
               ", ".join(title(name) for name in provenance["missing"])),
              ("Synthetic", _names(provenance.get("synthetic"))), ("Partial", _names(provenance.get("partial")))]
    kinds: dict[str, list[str]] = {}
    for model, backbone in (backbones or {}).items():
        kinds.setdefault(backbone or "not said", []).append(model)
    if kinds:
        found.append(("Backbone", "; ".join(f"{', '.join(models)}: {kind}" for kind, models in kinds.items())))
    found += [("Preset", _known(provenance.get("preset"))), ("Variants", _names(provenance.get("variants")))]
    if provenance.get("count"):
        found.append(("Folds", str(provenance["count"])))
    seeds = provenance.get("seeds") or ([provenance["seed"]] if provenance.get("seed") is not None else [])
    found.append(("Seeds" if len(seeds) > 1 else "Seed", _names([str(one) for one in seeds])))
    if runs:
        found.append(("MLflow runs", "; ".join(f"{name}: {run or DASH}" for name, run in runs.items())))
    changed = {"true": " with changes", "false": ""}.get(str(provenance.get("dirty")).lower(), "")
    found += [("Commit", _known(provenance.get("commit")) + changed),
              ("Data (DVC)", _known(provenance.get("data_md5")))]
    return tuple(found)


def how_to_get(corpus: str) -> str:
    """How a corpus is brought in, in one line.

    >>> how_to_get("tess").split(":")[0]
    'TESS is not here'
    """
    return (f"{title(corpus)} is not here: run `ser-ops corpora add {corpus} FOLDER-OR-ZIP`, list {corpus} under "
            "data.corpora in params.yaml, then `dvc add data`; where to obtain it: docs/corpora.md")


def standing(provenance: Mapping[str, Any], corpus: str) -> str:
    """"here", "synthetic" (only synthesised speech in that corpus's layout) or "missing".

    >>> standing({"corpora": ["synthetic_tess"], "synthetic": ["synthetic_tess"], "missing": []}, "tess")
    'synthetic'
    """
    if corpus in (provenance.get("missing") or []):
        return "missing"
    present, synthetic = provenance.get("corpora") or [], set(provenance.get("synthetic") or [])
    named = [name for name in present if corpus in name] or list(present)
    if not named:
        return "missing"
    return "synthetic" if all(name in synthetic for name in named) else "here"


def title(corpus: str) -> str:
    """A corpus as its publishers write it.

    >>> title("crema_d"), title("mine")
    ('CREMA-D', 'mine')
    """
    return TITLES.get(corpus, corpus)


def _names(values: Iterable[str] | None) -> str:
    return ", ".join(values or []) or "none"


def _known(value: Any) -> str:
    return DASH if value in (None, "") else str(value)

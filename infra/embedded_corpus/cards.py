"""corpus.yaml and noise.yaml: what a folder is, in words that no later table may leave out."""

import yaml

_MADE = "made by infra/embedded_corpus/generate.py with the speech synthesiser espeak-ng; no human voice in it"


def corpus_card(name: str, layout: str) -> str:
    """Text of corpus.yaml of a synthetic corpus."""
    return _text({"name": name, "layout": layout, "synthetic": True, "licence": "CC0-1.0", "source": _MADE,
                  "note": f"Synthetic speech under the file names of the {layout} layout. Fit to run and test the "
                          "pipeline; says nothing about human emotion."})


def noise_card(name: str) -> str:
    """Text of noise.yaml of the synthetic collection."""
    return _text({"name": name, "synthetic": True, "licence": "CC0-1.0", "source": _MADE})


def _text(card: dict[str, object]) -> str:
    return yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120)

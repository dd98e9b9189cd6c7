"""Extract, train, answer, and print the table: python -m benchmarks.unseen_speakers [--only NAME ...]

Run in a workspace (a folder with params.yaml) whose pipeline has run up to `validate`: `dvc repro validate`.
Everything made is kept under work/benchmarks; killed and started again, it goes on where it was.
"""

import argparse
import sys

from benchmarks.unseen_speakers import baselines, candidates, choices, folds, ours
from benchmarks.unseen_speakers.ablations import ablations
from benchmarks.unseen_speakers.smile import Functionals
from benchmarks.unseen_speakers.sound import Sound
from benchmarks.unseen_speakers.table import REFERENCE, table
from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.tables import write_csv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="feature sets to run; none: the table of what is there")
    parser.add_argument("--models", nargs="*", default=[], help="our models to train by params.yaml, such as spectral")
    parser.add_argument("--folds", nargs="*", type=int, help="folds of our models and of the table; all by default")
    parser.add_argument("--ablations", nargs="*", help="rows of ablations.yaml to train; all without a name")
    parser.add_argument("--choose", action="store_true", help="let each fold choose among candidates.yaml, and train")
    parser.add_argument("--against", default=REFERENCE, help="the system that others are set against in the table")
    parser.add_argument("--name", default="", help="what to call our model in the table, if not by its name")
    parser.add_argument("--unchecked", action="store_true", help="leave the validation speakers unasked")
    asked = parser.parse_args()
    params, chosen = load_params(), choices.load()
    sound, folder = Sound(params), params.paths.work / "benchmarks"
    parts = folds.of_rows(sound.rows, chosen.folds, chosen.validation_speakers)
    number = {speaker: fold.number for fold in parts for speaker in fold.test}
    write_csv(folder / "folds.csv", [{"utterance": row.utterance, "speaker": row.speaker, "gender": row.gender,
                                      "truth": row.emotion, "fold": number[row.speaker]} for row in sound.rows],
              ("utterance", "speaker", "gender", "truth", "fold"))
    for name in chosen.feature_sets if asked.only is None else asked.only:
        baselines.run(Functionals(name, sound, folder / "functionals"), chosen, parts, folder / "predictions")
    some = [fold for fold in parts if asked.folds is None or fold.number in asked.folds]
    for model in asked.models:
        ours.run(model, sound, chosen, some, folder, params.train.training(), asked.name, not asked.unchecked)
    for fold in some if asked.choose else ():
        candidates.run(params, chosen, fold, folder, asked.name or "spectral_chosen")
    for name, other in ablations(params, asked.ablations) if asked.ablations is not None else ():
        ours.run(other.train.model, Sound(other), chosen, some, folder, other.train.training(), name, checked=False)
    print(table(folder / "predictions", chosen, some, asked.against))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))

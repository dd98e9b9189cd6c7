"""explain: the trained model in, explanations.json and its figures out, attached to the model's run."""

from ser_ops import config
from ser_ops.config import READS
from ser_ops.dataset import Examples
from ser_ops.explain import Subject, explain
from ser_ops.files import replacing, write_json
from ser_ops.inference import choose_device
from ser_ops.models import load
from ser_ops.stages import run
from ser_ops.tracking import reopen
from ser_ops.tracking.server import connect

FIGURES = "figures/explanations"


def main() -> None:
    """Explain a few test utterances of each class."""
    params = config.load()
    connect(params)  # a server that is down is better known before the work than after it
    folder, reports = params.paths.work / "models" / params.train.model, params.paths.reports
    model, card = load(folder)
    subject = Subject.of(model, card, choose_device(params.compute.device))
    test, train = (Examples.open(params.paths.work, partition, READS[params.train.model], subject.features.seconds,
                                       subject.sample_rate)
                   for partition in ("test", "train"))
    with replacing(reports / FIGURES) as figures:
        figures.mkdir()
        found = explain(subject, test, train, params.explain, figures, f"{FIGURES}/")
    write_json(reports / "explanations.json", {"model": params.train.model} | found)
    with reopen(params, folder / "run.json") as record:
        record.artifact(reports / "explanations.json", "explanations")
        record.artifact(reports / FIGURES, "explanations/figures")
    print(f"explained {len(found['clips'])} utterances by {' and '.join(found['methods'])}")


if __name__ == "__main__":
    run(main)

"""splits: every model under the protocols speaker, random and paper on the same data, into reports/splits.json.

All else is the same: corpora, augmentation, settings, shares. What a model scores beyond its speaker figure is what
the split lets through.
"""

from typing import Any

from ser_ops import config
from ser_ops.config import Params
from ser_ops.corpora.table import read_csv
from ser_ops.documents import read_json
from ser_ops.files import write_json
from ser_ops.model_table import MODELS
from ser_ops.papers import page, splits
from ser_ops.stages import run
from ser_ops.stages.reproduce.experiment import Experiment, results, scores, settings_of
from ser_ops.stages.reproduce.record import provenance, with_intervals
from ser_ops.stages.training_run import Job, backbone_of, tags_of

PROTOCOLS = ("speaker", "random", "paper")


def experiments(params: Params) -> list[Experiment]:
    """A training for each model and protocol."""
    wanted = params.reproduce.splits
    return [Experiment(f"{model} by split", f"{model} {protocol} split", model,
                       settings_of(params, wanted.train, "splits", model), params.data.names, protocol,
                       params.augment.variants) for model in wanted.models for protocol in PROTOCOLS]


def main() -> None:
    """Train them; killed and started again, go on with those that are missing. Then the page."""
    params = config.load()
    wanted = experiments(params)
    tags = {one.group: tags_of(params, Job(one.group, one.model, one.settings), "splits")
            | {"partition": "+".join(PROTOCOLS)} for one in wanted}
    models: dict[str, dict[str, Any]] = {}
    declared = {}
    with results(params, "splits", wanted, tags) as (folders, runs):
        for one, source in zip(wanted, folders, strict=True):
            result, tests = read_json(source / "result.json"), read_csv(source / "test.csv")
            declared[one.protocol] = result["declared"]
            unaltered = [row for row in tests if row["variant"] == "original"]
            figures = with_intervals(params, unaltered) | {
                name: result[name] for name in ("validation_uar", "best_epoch", "seconds", "run_id")}
            # Without intervals: copies of one utterance are no utterances of their own.
            figures["all_rows"] = scores(tests) | {"n": len(tests)} if len(tests) > len(unaltered) else None
            entry = models.setdefault(one.model, {
                "model": one.model, "family": "paper 1" if MODELS[one.model].reads == "features" else "paper 2",
                "backbone": backbone_of(params, one.model), "run_id": runs[one.group].id, "protocols": {}})
            entry["protocols"][one.protocol] = figures
        for one in wanted:
            runs[one.group].metrics({f"{protocol}/clean/uar": figures["uar"]
                                     for protocol, figures in models[one.model]["protocols"].items()})
        content = {"provenance": provenance(params, params.augment.variants, declared), "models": list(models.values())}
        write_json(params.paths.reports / "splits.json", content)
        page.build(splits.page(content), params.paths.reports)
    for model in models.values():
        print(f"{model['model']}: " + ", ".join(f"{name} {model['protocols'][name]['uar']:.3f}" for name in PROTOCOLS))


if __name__ == "__main__":
    run(main)

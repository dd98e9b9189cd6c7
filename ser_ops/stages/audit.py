"""audit: what is in two partitions at once; a leak that the protocol does not declare stops the run."""

from ser_ops.config.params import load_params
from ser_ops.corpora import leaks
from ser_ops.errors import UserError
from ser_ops.files import write_json
from ser_ops.manifest import VariantRow, read_rows, validated_noise, validated_utterances
from ser_ops.stages import run
from ser_ops.terminal import print_line


def main() -> None:
    """Write reports/leak_audit.json; raise UserError that names the leak when one is not declared."""
    params = load_params()
    work = params.paths.work
    target = params.paths.reports / "leak_audit.json"
    report = leaks.audit_leaks(validated_utterances(work), validated_noise(work), params.partitions.protocol,
                               read_rows(work / "augmented" / "variants.csv", VariantRow))
    write_json(target, report)
    for leak in report["declared"]:
        print_line(f"declared leak: {leak}")
    stopping = leaks.undeclared_leaks(report)
    if stopping:
        more = f" and {len(stopping) - 1} more" if len(stopping) > 1 else ""
        raise UserError(f"leak audit: {stopping[0]}{more}: see {target}, take the recording out or mend its labels, "
                        "and run again")
    print(f"leak audit: {report['checked']['rows']} rows, {report['checked']['speakers']} speakers, "
          f"{report['checked']['noise_sources']} noise sources "
          f"({report['checked']['noise_sources_in_validation']} mixed into validation), nothing undeclared in two "
          "partitions")


if __name__ == "__main__":
    run(main)

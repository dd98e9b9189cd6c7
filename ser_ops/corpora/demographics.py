"""CREMA-D's own table of its speakers, VideoDemographics.csv."""

from pathlib import Path

from ser_ops.corpora.table import read_csv
from ser_ops.errors import UserError

DEMOGRAPHICS = "VideoDemographics.csv"


def is_demographics(name: str) -> bool:
    """Whether a file's name is that of the table, capital and small letters and a prefix left aside.

    >>> is_demographics("crema_d_VideoDemographics.csv")
    True
    """
    return name.lower().endswith(DEMOGRAPHICS.lower())


def genders(path: Path) -> dict[str, str]:
    """Gender (female, male or "") of each speaker by the columns ActorID and Sex.

    Raises UserError when the table lacks one of these columns.
    """
    rows = read_csv(path)
    if rows and not {"ActorID", "Sex"} <= set(rows[0]):
        raise UserError(f"{path}: lacks the column ActorID or Sex: take the table from the corpus's official source")
    known = {"female", "male"}
    return {row["ActorID"].strip(): sex if (sex := row["Sex"].strip().lower()) in known else "" for row in rows}

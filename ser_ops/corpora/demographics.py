"""CREMA-D's own table of its speakers, VideoDemographics.csv."""

from pathlib import Path

from ser_ops.outside_table import read_table

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
    known = {"female", "male"}
    return {row["ActorID"]: sex if (sex := row["Sex"].lower()) in known else ""
            for _, row in read_table(path, ("ActorID", "Sex"))}

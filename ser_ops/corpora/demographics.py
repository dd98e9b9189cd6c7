"""CREMA-D's own table of its speakers, VideoDemographics.csv."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ser_ops.errors import UserError
from ser_ops.folders import is_leftover
from ser_ops.outside_table import read_table

DEMOGRAPHICS = "VideoDemographics.csv"


def is_demographics(path: PurePosixPath) -> bool:
    """Whether a file's name is that of the table, capital and small letters and a prefix left aside.

    >>> is_demographics(PurePosixPath("a/crema_d_VideoDemographics.csv"))
    True
    >>> is_demographics(PurePosixPath("__MACOSX/a/._VideoDemographics.csv"))
    False
    """
    return path.name.lower().endswith(DEMOGRAPHICS.lower()) and not is_leftover(path)


def genders(path: Path) -> dict[str, str]:
    """Gender (female, male or "") of each speaker by the columns ActorID and Sex.

    Raises UserError when the table lacks one of these columns.
    """
    known = {"female", "male"}
    return {row["ActorID"]: sex if (sex := row["Sex"].lower()) in known else ""
            for _, row in read_table(path, ("ActorID", "Sex"))}


def first_genders(paths: Iterable[Path]) -> dict[str, str]:
    """`genders` of the first file that is such a table; nothing where there is no file.

    Raises UserError, of the first file, when there are files and none is one.
    """
    fault: UserError | None = None
    for path in paths:
        try:
            return genders(path)
        except UserError as error:
            fault = fault or error
    if fault:
        raise fault
    return {}

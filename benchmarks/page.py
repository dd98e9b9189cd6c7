"""Parts of a page that commands write: python -m benchmarks.page PAGE NAME FILE puts a file's text there.

A part stands between the lines `<!-- NAME: ... -->` and `<!-- end of NAME -->`; what is around it is written by hand.
"""

import re
import sys
from pathlib import Path

from ser_ops.errors import UserError
from ser_ops.files import write_text


def around(page: Path, name: str) -> tuple[str, str]:
    """What stands before the part `name` of a page, and behind it, markers included.

    Raises UserError when the page cannot be read, has no such part, or more than one.
    """
    try:
        whole = page.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{page}: cannot be read ({error.strerror}): name a page that is there") from error
    mark = re.escape(name)
    parts = list(re.finditer(rf"(<!-- {mark}: [^\n]* -->\n).*?(<!-- end of {mark} -->)", whole, re.S))
    if len(parts) != 1:
        raise UserError(f"{page}: has {len(parts)} parts <!-- {name}: ... --> to <!-- end of {name} -->: it needs one")
    return whole[:parts[0].end(1)], whole[parts[0].start(2):]


def put(page: Path, name: str, text: str) -> None:
    """Replace the part `name` of a page. Raises UserError as `around` does."""
    before, behind = around(page, name)
    write_text(page, f"{before}{text.strip()}\n{behind}")


if __name__ == "__main__":
    try:
        put(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8"))
    except (UserError, IndexError, OSError) as error:
        sys.exit(f"{error}\n\n{__doc__}")

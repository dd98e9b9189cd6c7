"""Parts of a page that commands write: python -m benchmarks.page PAGE NAME FILE puts a file's text there.

A part stands between the lines `<!-- NAME: ... -->` and `<!-- end of NAME -->`; what is around it is written by hand.
"""

import re
import sys
from pathlib import Path

from ser_ops.errors import UserError
from ser_ops.files import write_text


def put(page: Path, name: str, text: str) -> None:
    """Replace the part `name` of a page. Raises UserError when the page has no such part, or more than one."""
    part = re.compile(rf"(<!-- {re.escape(name)}: [^\n]* -->\n).*?(<!-- end of {re.escape(name)} -->)", re.S)
    before = page.read_text(encoding="utf-8")
    after, number = part.subn(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", before)
    if number != 1:
        raise UserError(f"{page}: has {number} parts <!-- {name}: ... --> to <!-- end of {name} -->: it needs one")
    write_text(page, after)


if __name__ == "__main__":
    try:
        put(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8"))
    except (UserError, IndexError, OSError) as error:
        sys.exit(f"{error}\n\n{__doc__}")

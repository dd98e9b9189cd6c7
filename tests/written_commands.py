"""The shell commands of README and the tutorials, and the one table of those that do not run just as they are written.

tests/end_to_end/test_written_commands.py runs them in a project whose pipeline has run, and
tests/stack/test_written_on_servers.py those that need the team's servers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

PROJECT = Path(__file__).resolve().parents[1]
_TUTORIALS = sorted(page.relative_to(PROJECT).as_posix() for page in PROJECT.glob("docs/tutorials/*.md"))
_FIRST = "docs/tutorials/ship-a-model.md"      # its model stands in the registry when the other pages ask for one
PAGES = (_FIRST, *(page for page in ("README.md", *_TUTORIALS) if page != _FIRST))
Room = Literal["end_to_end", "stack"]


@dataclass(frozen=True)
class Way:
    """How a command runs that does not run as it is written, in the room of its page.

    command   as it is written; with `*` at its end, how it begins
    why       what keeps it from running as it is written
    instead   words of it, and what stands in their place; the variables are those that the room sets
    room      where it runs; None: nothing runs it here
    by        a test that runs it elsewhere
    """

    command: str
    why: str
    instead: tuple[tuple[str, str], ...] = ()
    room: Room | None = "end_to_end"
    by: str = ""

    def is_of(self, command: str) -> bool:
        """Whether a command is the one that this entry names."""
        return command == self.command or (self.command[-1] == "*" and command.startswith(self.command[:-1]))


def replaced(command: str, why: str, *instead: tuple[str, str]) -> Way:
    """It runs in the finished project, with other words."""
    return Way(command, why, instead)


def on_servers(command: str, why: str, *instead: tuple[str, str]) -> Way:
    """It runs beside the team's servers, with other words where these have other addresses."""
    return Way(command, why, instead, "stack")


def run_by(test: str, command: str, why: str) -> Way:
    """Another test runs it."""
    return Way(command, why, room=None, by=test)


def not_run(command: str, why: str) -> Way:
    """Nothing runs it."""
    return Way(command, why, room=None)


_SERVERS = "the servers of the tests have other ports, and passwords of their own"
_THERE = "the tutorial has the same commands"
_BLOCKED = "the gate may block a model of two epochs"
_REASON = '--override "two epochs, to try the command"'
# In the place of all stages, the first one, which need not run; and a command that reads and checks every setting.
_SETTINGS = "ingest && ser-ops params > /dev/null && git checkout -q params.yaml"
_PASSWORD, _PORT = ("PGPASSWORD=...", 'PGPASSWORD="$POSTGRES_PASSWORD"'), ("--port 55432", '--port "$PGPORT"')
_FOLDER, _CLONE = ' --folder "$STACK"', (" ser-ops", ' "$HOME/ser-ops"')
_ROLE = ("PGPASSWORD=...", 'PGPASSWORD="$MLFLOW_PGPASSWORD"')
_SERVED = "tests/end_to_end/test_written_commands.py"

PAGE_ROOMS: dict[str, Room] = {"docs/tutorials/run-the-team.md": "stack"}     # all others: the finished project
WAYS = (
    # README
    replaced("git clone <this repository>*", "the repository is this one", ("<this repository>", "-q ."), _CLONE),
    replaced("make demo", "its stages have run in this project, and its model is staging", ("make", "make --dry-run")),
    run_by(_FIRST, "ser-ops corpora add ravdess ~/Downloads/Audio_Speech_Actors_01-24.zip", _THERE),
    run_by(_FIRST, 'ser-ops noise add fish_market ~/noise/market --licence "CC BY-NC 4.0"', _THERE),
    run_by(_FIRST, "dvc add data && dvc repro", _THERE),
    run_by(_FIRST, "ser-ops register && ser-ops promote", _THERE),
    run_by(_FIRST, "ser-ops evaluate --manifest clips.csv --noise ~/noise", _THERE),
    # README, Compare on your corpus
    run_by("tests/end_to_end/test_reproduce.py", "ser-ops reproduce *", "each trains for a minute"),
    # Ship a model
    replaced("ser-ops promote", _BLOCKED, ("promote", f"promote || ser-ops promote {_REASON}")),
    replaced("ser-ops promote --to production", _BLOCKED, ("production", f"production {_REASON}")),
    run_by(_SERVED, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false mlflow models serve*",
           "it does not end by itself, and the Python of the page asks it"),
    run_by("tests/serving/test_serving_life.py", "ser-ops serve *", "it does not end by itself"),
    run_by("tests/watch/test_watch_command.py", "ser-ops watch *", "it needs a week of records"),
    run_by("tests/serving/test_serving_requests.py", "curl --form *", "it needs a service that runs"),
    replaced("dvc exp run -S preset=paper", "a GPU trains it for hours", ("=paper", f"=paper {_SETTINGS}")),
    replaced("dvc exp run -S preset=small*", "it downloads a checkpoint", ("COMMIT", "0" * 40),
             ("states=weighted", f"states=weighted {_SETTINGS}")),
    # Compare on your corpus
    not_run("pip install -e '.[benchmarks]'", "it downloads openSMILE, whose licence forbids commercial use"),
    replaced("python -m benchmarks.unseen_speakers*", "it needs openSMILE, and hours", ("--choose", "--choose --help")),
    # Extend
    replaced("dvc exp run -S train.model=means", "tests/explain/test_explain_adding.py trains it",
             ("=means", f"=means {_SETTINGS}")),
    # Run the team's servers
    not_run("apt-get install*", "the tests do not change the machine"),
    on_servers("make stack", _SERVERS, ("make stack", f"python -m infra.stack up postgres s3 mlflow prefect{_FOLDER}")),
    on_servers("set -a; eval*", _SERVERS, ("stack env", f"stack env{_FOLDER}")),
    on_servers("ser-ops doctor", "it looks at the servers"),
    run_by("tests/end_to_end/test_prefect.py", "prefect deployment run train-fusion/local --watch",
           "it runs the whole pipeline"),
    on_servers("python -c*", _SERVERS, ("http://127.0.0.1:5000", "$MLFLOW_TRACKING_URI")),
    on_servers("git clone URL*", "the repository is the author's, the packages are those of the tests",
               ("URL", '-q "$ORIGIN"'), _CLONE, ("make ", "make --dry-run ")),
    run_by("tests/stack/machines.py", "CUDA_VISIBLE_DEVICES=0 .venv/bin/prefect worker start*",
           "a worker does not end by itself"),
    on_servers("prefect deployment run train-fusion/gpu --watch",
               "no worker of this test would end it; tests/stack/test_workers.py has two", (" --watch", "")),
    on_servers("prefect flow-run logs ID", "each run has an id of its own", ("ID", '"$(asked_id)"')),
    on_servers("prefect flow-run cancel ID", "each run has an id of its own", ("ID", '"$(asked_id)"')),
    run_by("tests/stack/test_workers.py", "dvc repro --pull", "a worker must have run the pipeline before"),
    not_run("docker compose*", "no Docker in CI; tests/infra/test_compose.py holds the file to its schema"),
    not_run("kubectl*", "no cluster in CI; tests/infra/test_kubernetes.py holds the manifests to their schemas"),
    on_servers("PGPASSWORD=... pg_dumpall*", _SERVERS, _PASSWORD, _PORT),
    on_servers("python -m infra.stack up postgres", _SERVERS, ("postgres", f"postgres{_FOLDER}")),
    on_servers("gunzip --stdout*", "the dump goes into a second, empty PostgreSQL",
               _PASSWORD, ("--port 55432", '--port "$SECOND_PORT"')),
    on_servers("PGUSER=mlflow PGPASSWORD=...*", _SERVERS, _ROLE),
)


@dataclass(frozen=True)
class Written:
    """A command of a page as it is written there, and what the page shows as its output."""

    page: str
    command: str
    shown: str

    @cached_property
    def way(self) -> Way | None:
        """Its entry in the table, if it has one."""
        return next((way for way in WAYS if way.is_of(self.command)), None)

    @property
    def room(self) -> Room | None:
        """Where it runs."""
        return self.way.room if self.way else PAGE_ROOMS.get(self.page, "end_to_end")

    @property
    def runs(self) -> str:
        """What runs. Raises AssertionError where words that are to be replaced are no longer there."""
        words = self.command
        for old, new in self.way.instead if self.way else ():
            assert old in words, f"{self.page}: {self.command}: the table of commands replaces '{old}'"
            words = words.replace(old, new)
        return words


def shell_blocks(text: str) -> Iterator[tuple[str, str]]:
    """The indented and the unmarked blocks of a page, and with each the `text` that is the next block after it."""
    text = re.sub(r"^\[\^\w+\]:.*\n(?: {4}.*\n)*", "", text, flags=re.MULTILINE)     # footnotes
    other = r"^```(?P<kind>\w+)\n(?P<other>.*?)^```"
    shell = r"^```\n(?P<fenced>.*?)^```|(?P<indented>(?:^ {4}\S[^\n]*\n(?:^ {5}[^\n]*\n)*)+)"
    block, shown, open_to_text = "", "", False
    for match in re.finditer(f"{other}|{shell}", text, re.MULTILINE | re.DOTALL):
        if not match["kind"]:
            if block:
                yield block, shown
            block, shown, open_to_text = match["fenced"] or match["indented"], "", True
        elif open_to_text:
            shown, open_to_text = match["other"] if match["kind"] == "text" else "", False
    if block:
        yield block, shown


def commands_of(page: str) -> list[Written]:
    """The commands of a page in their order, each on one line. What is shown after a block is its last command's."""
    written = []
    for block, shown in shell_blocks((PROJECT / page).read_text(encoding="utf-8")):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        commands = [line.strip() for line in lines if line.strip()]
        written += [Written(page, command, shown if command is commands[-1] else "") for command in commands]
    return written


EVERY = [written for page in PAGES for written in commands_of(page)]


@dataclass(frozen=True)
class Answer:
    """What a command printed, on both streams, and its exit code."""

    printed: str
    code: int


def run_page(page: str, room: Room, folder: Path, run: Callable[[str], object]) -> dict[Written, Answer]:
    """Run the commands of a page that belong to a room, in one shell, each in the project's folder.

    Args:
        folder: where what they print is kept, not there yet.
        run: runs a script of bash in the project's folder.
    """
    folder.mkdir(parents=True)
    commands = [written for written in commands_of(page) if written.room == room]
    script = [f"asked_id() {{ grep -hoP 'UUID: \\K[0-9a-f-]+' {folder}/*.out | tail -1; }}",    # of the page's own runs
              "project=$PWD"]
    for number, written in enumerate(commands):
        script += [f"{{ {written.runs}", f"}} > {folder}/{number:02d}.out 2>&1 < /dev/null",
                   f"echo $? > {folder}/{number:02d}.code; cd \"$project\""]
    run("\n".join(script))
    return {written: Answer((folder / f"{number:02d}.out").read_text(encoding="utf-8", errors="replace"),
                            int((folder / f"{number:02d}.code").read_text()))
            for number, written in enumerate(commands)}


def shape(shown: str) -> str:
    """A pattern of what a page shows: other figures, emotions and kinds of noise fit it too, and `...` is anything."""
    number, emotion = r"-?\d+(?:\.\d+)?", r"\b(?:neutral|happy|sad|angry|fear|disgust|surprise)\b"
    others = {r"\.\.\.": ".*", rf"\w+ at {number}": rf"[\w ]+ at {number}", number: number, emotion: emotion}

    def pattern(piece: str) -> str:
        return next((fits for written, fits in others.items() if re.fullmatch(written, piece)), re.escape(piece))

    return "".join(map(pattern, re.split(f"({'|'.join(others)})", shown.strip())))


def check_answer(written: Written, answer: Answer) -> None:
    """A documented command ended with 0 and printed no traceback."""
    assert answer.code == 0, f"{written.page}: {written.runs}\n{answer.printed}"
    assert "Traceback" not in answer.printed, answer.printed

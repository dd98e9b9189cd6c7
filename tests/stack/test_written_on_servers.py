"""The commands of README and the tutorials that need the team's servers, in the order in which they are written."""

import re
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from machines import author, commit
from written_commands import EVERY, PAGES, Answer, Written, check_answer, run_page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
HERE = [written for written in EVERY if written.room == "stack"]


@pytest.fixture(scope="module")
def second(stack, make_stack):
    """Another PostgreSQL, empty and with the passwords of the first, as a backup is restored into."""
    servers = make_stack("postgres")
    with psycopg2.connect(host="127.0.0.1", port=servers.services["postgres"].ports["POSTGRES_PORT"], dbname="postgres",
                          user="postgres", password=servers.settings["POSTGRES_PASSWORD"]) as connection:
        connection.cursor().execute("alter role postgres password %s", (stack.settings["POSTGRES_PASSWORD"],))
    return servers


@pytest.fixture(scope="module")
def answers(stack, second, tmp_path_factory) -> dict[Written, Answer]:
    """What each command of each page has answered, on the machine of an author: a repository, and no servers."""
    folder = tmp_path_factory.mktemp("documented")
    machine, origin = author(folder / "author", {}), folder / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    machine.run("git", "remote", "add", "origin", str(origin))
    commit(machine, "the project")
    machine.run("git", "branch", "--set-upstream-to", "origin/main", "-q")
    (machine.clone / ".venv").mkdir()
    (machine.clone / ".venv/bin").symlink_to(Path(sys.executable).parent)
    variables = {"STACK": str(stack.folder), "ORIGIN": str(origin), "PREFECT_HOME": str(machine.home / "prefect"),
                 "POSTGRES_PASSWORD": stack.settings["POSTGRES_PASSWORD"],
                 "MLFLOW_PGPASSWORD": stack.settings["MLFLOW_PGPASSWORD"],
                 "SECOND_PORT": str(second.services["postgres"].ports["POSTGRES_PORT"])}

    def run(script: str) -> None:
        subprocess.run(["bash", "-c", script], cwd=machine.clone, env=machine.environment | variables, timeout=500)

    answered: dict[Written, Answer] = {}
    for page in PAGES:
        answered |= run_page(page, "stack", folder / "said" / Path(page).stem, run)
    return answered


@pytest.mark.parametrize("written", HERE, ids=lambda written: f"{Path(written.page).stem}: {written.command[:60]}")
def test_a_command_does_what_its_page_says(answers, written):
    check_answer(written, answers[written])


def test_the_run_that_was_asked_for_is_cancelled(answers):
    printed = [answers[written].printed for written in HERE if written.command.startswith("prefect ")]
    asked, listed, cancelled = printed[1], printed[2], printed[-1]
    (name,) = set(re.findall(r"Created flow run '([\w-]+)'", asked))
    assert name in listed and "cancel" in cancelled.lower()


def test_the_backup_holds_what_the_servers_had(answers, stack, second):
    tables = {}
    for servers in (stack, second):
        port, password = servers.services["postgres"].ports["POSTGRES_PORT"], stack.settings["POSTGRES_PASSWORD"]
        with psycopg2.connect(host="127.0.0.1", port=port, dbname="mlflow", user="postgres",
                              password=password) as connection:
            cursor = connection.cursor()
            cursor.execute("select count(*) from experiments")
            tables[servers.folder] = cursor.fetchone()
    assert tables[second.folder] == tables[stack.folder]

"""A service may be slow as long as it gives signs of progress; one that is silent is named with what it last said."""

import sys
import time
from pathlib import Path

import pytest
import yaml

from infra.stack import compose, stack
from infra.stack.progress import BUSY, Progress
from infra.stack.stack import COMPOSE, Stack
from ser_ops.errors import UserError

SILENCE = 2.0
SAYS = """
import pathlib, time
for part in range(8):
    print(f"part {part} of 8", flush=True)
    time.sleep(0.6)
pathlib.Path("DONE").touch()
time.sleep(600)
"""
WORKS = """
import pathlib, time
end = time.monotonic() + 5
while time.monotonic() < end:
    pass
pathlib.Path("DONE").touch()
time.sleep(600)
"""
SILENT = """
import time
print("waiting for a lock that nobody gives back", flush=True)
time.sleep(600)
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Make a stack of planted services, by name and Python program. A service answers when its file is there."""
    made: list[Stack] = []

    def make(needs: dict[str, str] | None = None, **programs: str) -> Stack:
        services = {}
        for name, program in programs.items():
            done = tmp_path / f"{name} is there"
            services[name] = {"command": [sys.executable, "-S", "-c", program.replace("DONE", str(done))],
                              "healthcheck": {"test": ["CMD", "test", "-e", str(done)], "interval": "1s",
                                              "timeout": "5s", "retries": 1}}
        for name, needed in (needs or {}).items():
            services[name]["depends_on"] = {needed: {"condition": "service_completed_successfully"}}
            del services[needed]["healthcheck"]
        file = tmp_path / "compose.yaml"
        file.write_text(yaml.safe_dump({"x-silence-seconds": f"${{STACK_SILENCE_SECONDS:-{SILENCE}}}",
                                        "services": services}))
        monkeypatch.setattr(stack, "COMPOSE", file)
        made.append(Stack(tmp_path / "stack", list(services)))
        return made[-1]

    yield make
    for process in made:
        process.kill()


def test_a_service_that_says_something_now_and_then_is_waited_for(planted):
    lines: list[str] = []
    slow = planted(slow=SAYS)
    began = time.monotonic()
    assert slow.start(say=lines.append) == ["slow"]
    assert time.monotonic() - began > 2 * SILENCE, "longer than it may be silent"
    assert slow.pid("slow") and lines[0].startswith("slow: up, ")


def test_a_service_that_uses_the_processor_without_a_word_is_waited_for(planted):
    busy = planted(busy=WORKS)
    began = time.monotonic()
    assert busy.start() == ["busy"]
    assert time.monotonic() - began > 2 * SILENCE


@pytest.mark.parametrize("one_shot", [False, True])
def test_a_silent_service_is_named_with_its_last_words_and_its_log(planted, one_shot):
    still = planted({"later": "still"}, still=SILENT, later=SAYS) if one_shot else planted(still=SILENT)
    with pytest.raises(UserError) as failure:
        still.start()
    line, = str(failure.value).splitlines()
    assert line == (f"still: silent for 2 s, and not {'done' if one_shot else 'answering'}: waiting for a lock that "
                    f"nobody gives back (all of it: {still.log('still')}); to wait longer, set STACK_SILENCE_SECONDS "
                    f"in {still.env_file}")
    assert not still.running() and not still.pids("still")


def test_another_service_that_came_up_is_a_sign_of_progress(planted, tmp_path):
    """The silent one is given up not before it was silent for that long after the slow one came up."""
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / ".env").write_text("STACK_SILENCE_SECONDS=5\n")      # time to start, on a busy machine too
    both = planted(still=SILENT, slow=SAYS.replace("range(8)", "range(2)"))
    began = time.monotonic()
    with pytest.raises(UserError, match=r"^still: silent for 5 s"):
        both.start()
    assert (tmp_path / "slow is there").exists()
    assert time.monotonic() - began > 1.2 + 5
    assert not both.running(), "and takes the other one with it"


def test_the_time_is_set_in_the_env_file(planted, tmp_path):
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / ".env").write_text("STACK_SILENCE_SECONDS=0.5\n")
    with pytest.raises(UserError, match=r"^still: silent for 0\.5 s"):
        planted(still=SILENT).start()
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(UserError, match=f"STACK_SILENCE_SECONDS: '{wrong}' is no number of seconds above 0"):
            compose.silence(COMPOSE, {"STACK_SILENCE_SECONDS": wrong})


def test_a_server_that_only_waits_is_silent(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("infra.stack.progress.time", type("Clock", (), {"monotonic": lambda: now[0]}))
    idle, working = Progress(100), Progress(100)
    for now[0] in range(0, 101, 10):
        assert not idle.is_silent(5, now[0] * BUSY / 2)
        assert not working.is_silent(5, now[0] * BUSY * 2)
    now[0] = 111
    assert idle.is_silent(5, now[0] * BUSY / 2) and not working.is_silent(5, now[0] * BUSY * 2)


def test_one_time_for_every_wait_of_the_stack():
    given = dict.fromkeys(compose.required(COMPOSE), "x") | {"STACK_SILENCE_SECONDS": "77"}
    assert compose.silence(COMPOSE, given) == 77
    assert "--uvicorn-opts=--timeout-worker-healthcheck=77" in compose.read(COMPOSE, given)["mlflow"].command
    assert "STACK_SILENCE_SECONDS" in (Path(COMPOSE).parent / ".env.example").read_text()

"""README, CONTRIBUTING and docs/ say what the code does: links, paths, settings, commands, pictures, answers."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import typer
import yaml
from project_copy import write_settings
from written_commands import shell_blocks

from infra import house
from ser_ops import cli, methods, model_table
from ser_ops.config.params import load_params, load_preset
from ser_ops.documents import read_yaml
from ser_ops.explain.trace import blur_seconds
from ser_ops.imports import file_of
from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + [
    *sorted((PROJECT / "docs").rglob("*.md")), *sorted((PROJECT / "benchmarks" / "records").glob("*.md"))]
NAMES = [page.relative_to(PROJECT).as_posix() for page in PAGES]
TEXT = {name: page.read_text(encoding="utf-8") for name, page in zip(NAMES, PAGES, strict=True)}
SHOWN = ("README.md", "CONTRIBUTING.md", *(name for name in NAMES if name.startswith("docs/tutorials/")))
# Folders that only a run makes.
MADE = ("docs/api", "infra/.", "reproduction/.dvcignore")


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """Each command of the indented and the unmarked blocks, as its words, without assignments before it."""
    for block, _ in shell_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            quoted = "'" in line or '"' in line
            for part in [line] if quoted else re.split(r"&&|;(?=\s)|\|", line):
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:
                    continue
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words:
                    yield [words[0].removeprefix(".venv/bin/").removeprefix("../ser-ops/"), *words[1:]]


def inline(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def every_command(name: str) -> list[list[str]]:
    named = [shlex.split(part) for code in inline(TEXT[name]) for part in code.split(" && ")
             if re.match(r"(ser-ops|make|dvc|prefect|python -m) ", part) and "'" not in part]
    return [*commands(TEXT[name]), *named]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", TEXT[name])
    for link in (first or second for first, second in links):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        file = (PROJECT / name).parent / path if path else PROJECT / name
        assert file.exists(), f"{name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, f"{name}: {link}: {sorted(slugs)}"


def test_every_page_is_reached_from_the_index_or_the_readme():
    reached = "".join(TEXT[name] for name in ("README.md", "docs/index.md", "docs/results/performance.md",
                                              "docs/results/comparison.md"))
    for name in NAMES:
        assert name.rsplit("/", 1)[-1] in reached or name in ("README.md", "CHANGELOG.md"), name


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_paths_and_modules_that_are_named_are_there(name):
    tops = "ser_ops|pipelines|reproduction|infra|benchmarks|tests|docs|presets"
    for path in re.findall(rf"(?<![\w/.])((?:{tops})/[\w./-]*\w)", TEXT[name]):
        if not path.startswith(MADE) and "NAME" not in path:
            there = PROJECT / path
            new = there.stem in ("means", "gradient")       # what the guide writes
            assert there.exists() or new or list(PROJECT.glob(f"{path}*")), f"{name}: {path}"
    for module in re.findall(r"(?<![\w/.])((?:ser_ops|reproduction)(?:\.\w+)+)", TEXT[name]):
        assert file_of(module) or file_of(module.rsplit(".", 1)[0]) or module.endswith((".css", ".j2", ".py")), module


def test_pages_that_code_names_are_there():
    for folder in ("ser_ops", "pipelines", "reproduction", "infra", "benchmarks"):
        for file in (PROJECT / folder).rglob("*.py"):
            for page in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", file.read_text(encoding="utf-8")):
                assert (PROJECT / page).is_file() or page == "docs/method-tests.md", (file, page)


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_are_named_are_there(name):
    params = load_params().model_dump()
    for code in inline(TEXT[name]):
        match = re.fullmatch(r"([a-z_]+)\.([a-z_.]+)(?:: .*)?", code)
        if match and match[1] in params and not code.endswith((".yaml", ".py", ".lock")):
            value = params[match[1]]
            for key in match[2].split("."):
                assert isinstance(value, dict) and key in value, f"{name}: {code}"
                value = value[key]


def option_names(command) -> set[str]:
    return {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in command.params))


@pytest.mark.parametrize("name", NAMES)
def test_ser_ops_commands_have_these_names_and_options(name):
    top = typer.main.get_command(cli.app)
    for words in every_command(name):
        if words[0] != "ser-ops" or words[1:2] in ([], ["COMMAND"], ["--help"]):
            continue
        command, rest = top, words[1:]
        while hasattr(command, "commands"):
            assert rest and rest[0] in command.commands, f"{name}: {shlex.join(words)}"
            command, rest = command.commands[rest[0]], rest[1:]
        for word in rest:
            if word.startswith("--"):
                assert word.partition("=")[0] in option_names(command), f"{name}: {shlex.join(words)}: {word}"
        if name in SHOWN and words in list(commands(TEXT[name])):
            command.make_context(command.name, list(rest))        # raises for arguments that it does not take


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_and_python_modules_are_there(name):
    targets = set(re.findall(r"^([\w./-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in every_command(name):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, f"{name}: {shlex.join(words)}"
        if words[:2] == ["python", "-m"] and (PROJECT / words[2].split(".")[0]).is_dir():
            path = PROJECT / words[2].replace(".", "/")
            files = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.glob("*.py"))
            assert files, f"{name}: {shlex.join(words)}"
            source = "".join(file.read_text(encoding="utf-8") for file in files)
            for word in words[3:]:
                if word.startswith("--"):
                    option = word.partition("=")[0].removeprefix("--")
                    assert f"--{option}" in source or option.replace("-", "_") in source, f"{name}: {shlex.join(words)}"
        if words[0] == "python" and words[1:] and words[1].endswith(".py"):
            assert (PROJECT / words[1]).is_file(), f"{name}: {shlex.join(words)}"


@pytest.mark.parametrize("name", NAMES)
def test_dvc_takes_these_commands(name):
    from dvc.cli.parser import get_main_parser

    parser = get_main_parser()
    for words in commands(TEXT[name]):
        if words[0] == "dvc":
            parser.parse_args(words[1:])


@pytest.mark.parametrize("name", NAMES)
def test_deployments_pools_and_dvc_stages_are_there(name):
    prefect = read_yaml(PROJECT / "prefect.yaml", "deployments")
    deployments = {f"{deployment['entrypoint'].partition(':')[2].replace('_', '-')}/{deployment['name']}"
                   for deployment in prefect["deployments"]}
    pools = {deployment["work_pool"]["name"] for deployment in prefect["deployments"]}
    stages = set(read_yaml(PROJECT / "dvc.yaml", "the graph")["stages"])
    for words in every_command(name):
        if words[:3] == ["prefect", "deployment", "run"]:
            assert words[3] in deployments, f"{name}: {shlex.join(words)}"
        if "--pool" in words:
            assert words[words.index("--pool") + 1] in pools, f"{name}: {shlex.join(words)}"
        if words[:2] == ["dvc", "repro"]:
            assert {word for word in words[2:] if word.islower() and word[0].isalpha()} <= stages, shlex.join(words)


def test_pictures_and_rooms_are_drawn_from_the_code_of_today():
    for name, text in house.drawn().items():
        assert (PROJECT / name).read_text(encoding="utf-8") == text, f"{name}: run make graph"


def test_the_python_of_the_readme_answers_as_it_shows(tmp_path, monkeypatch, capsys):
    """With random weights in the place of the demo's: the form of the answer and its caveats, not its figures."""
    (program,) = blocks(TEXT["README.md"], "python")
    printed = blocks(TEXT["README.md"], "text")[1].splitlines()
    params = load_params()
    data = {"corpora": params.data.corpora, "synthetic": params.data.corpora, "protocol": "speaker",
            "licences": dict.fromkeys(params.data.corpora, "CC0-1.0")}
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "work/models/fusion", build("fusion", params.chosen, seed=1), {"data": data})
    clip = Path(re.search(r'"(data/\S+)"', program)[1])
    assert str(clip) in TEXT["README.md"].split("```python")[0], "predict and Python ask for the same clip"
    clip.parent.mkdir(parents=True)
    time = [0.2 * ((n * 200 / 16000) % 1 - 0.5) for n in range(32000)]
    soundfile.write(clip, time, 16000)
    exec(compile(program, "README.md", "exec"), {})
    answer, caveats = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[a-z]+ \d\.\d\d 2\.0 s", answer) and re.fullmatch(r"[a-z]+ \d\.\d\d 2\.0 s", printed[0])
    assert caveats == printed[1] and f"[{caveats}]" in blocks(TEXT["README.md"], "text")[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("docs/tutorials")])
def test_python_of_the_tutorials_compiles(name):
    for program in blocks(TEXT[name], "python"):
        if not re.match(r'"|Method\(', program) or program.startswith('"""'):
            compile(program, name, "exec")


@pytest.mark.slow
def test_the_api_page_builds(tmp_path):
    """As make api builds it."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^api:.*\n\t@\$\(BIN\)/(pdoc .*)$", makefile, re.MULTILINE)
    words = shlex.split(recipe.replace("docs/api", str(tmp_path)))
    program = str(Path(sys.executable).with_name(words[0]))
    subprocess.run([program, *words[1:]], cwd=PROJECT, check=True, capture_output=True)
    page = (tmp_path / "ser_ops" / "inference" / "recogniser.html").read_text(encoding="utf-8")
    assert "answer_file" in page and (tmp_path / "index.html").is_file()


def test_the_settings_of_shipping_a_model_are_taken(tmp_path):
    """Its commands run in tests/end_to_end/test_written_commands.py."""
    settings = read_yaml(PROJECT / "params.yaml", "settings")
    (chosen,) = blocks(TEXT["docs/tutorials/ship-a-model.md"], "yaml")
    for section, values in yaml.safe_load(chosen).items():
        settings[section] = settings[section] | values if isinstance(values, dict) else values
    write_settings(tmp_path, settings)
    params = load_params(tmp_path / "params.yaml")
    assert [manifest.name for manifest in params.data.manifests] == ["mine"] and params.preset == "pretrained"


def test_the_reference_names_all_that_there_is():
    commands_page, rules_page = TEXT["docs/reference/commands.md"], TEXT["docs/reference/gate-rules.md"]
    top = typer.main.get_command(cli.app)
    for name, command in top.commands.items():
        for path in [f"{name} {inner}" for inner in getattr(command, "commands", ())] or [name]:
            assert f"`ser-ops {path}" in commands_page, path
    for deployment in read_yaml(PROJECT / "prefect.yaml", "deployments")["deployments"]:
        assert deployment["entrypoint"].partition(":")[2].replace("_", "-") in commands_page, deployment
    params = load_params()
    for rule in type(params.gate).model_fields:
        assert rule in rules_page, rule
    for section in read_yaml(PROJECT / "params.yaml", "settings"):
        assert f"`{section}`" in TEXT["docs/reference/settings.md"], section
    for preset in (PROJECT / "presets").glob("*.yaml"):
        assert f"| `{preset.stem}` |" in TEXT["docs/reference/settings.md"], preset


@pytest.mark.parametrize(("preset", "written"), [
    ("small", "has seen 34 frames, 0.69 s"), ("demo", "has seen 34 frames, 0.69 s"),
    ("paper", "`paper`: 33 frames, 0.84 s")])
def test_what_a_step_of_score_cam_has_seen_is_that_of_the_code(preset, written):
    chosen = load_preset(preset)
    frames = build("spectral", chosen).spectral.receptive_field
    seconds = blur_seconds(frames, chosen.features)
    words = re.search(r"(\d+) frames, ([\d.]+) s", written)
    assert (int(words[1]), float(words[2])) == (frames, round(seconds, 2))
    assert written in " ".join(TEXT["docs/reference/methods.md"].split())


def test_the_methods_of_each_model_are_those_of_the_catalogue():
    rows = re.findall(r"^\| ([\w, ]+) \| ([\w, -]+) \|$", TEXT["docs/reference/methods.md"], re.MULTILINE)
    listed = {model: titles.split(", ") for models, titles in rows for model in models.split(", ")}
    for name, model in model_table.MODELS.items():
        admitted = methods.admitted(model.streams, model.has_cam_layer, model.attends)
        titles = [methods.METHODS[method].title for method in admitted]
        assert listed[name] == titles, name

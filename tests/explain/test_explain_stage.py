"""The stage explain: what it attaches to the run, and which recordings stay here."""

from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from project_copy import write_settings

from ser_ops.files import write_json
from ser_ops.manifest import VariantRow, write_rows
from ser_ops.stages import explain

PROJECT = Path(__file__).resolve().parents[2]
FREE = {"made": "CC0 1.0", "rain": "CC BY 4.0"}


def attached(folder: Path, monkeypatch: pytest.MonkeyPatch, licences: dict[str, str], wanted: bool = True) -> set[str]:
    """What the stage attaches to the run of a model trained on corpus `made`, by its folder of artifacts."""
    values = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    values["tracking"]["recordings"] = wanted
    write_settings(folder, values)
    monkeypatch.chdir(folder)
    write_json(folder / "work/models/fusion/model.json", {
        "model": "fusion", "data": {"corpora": ["made"], "licences": licences}})
    row = VariantRow("a#original", "a", "original", "test", "sad", "anna", "made")
    write_rows(folder / "work/augmented/variants.csv", [row], VariantRow)
    folders = set()

    class Run:
        def metrics(self, values): ...

        def artifact(self, path, folder=""):
            assert path.exists()
            folders.add(folder)

    @contextmanager
    def reopen(params, run_json):
        yield Run()

    def explain_all(job, test, workers):
        (job.output.files / "heard.wav").write_bytes(b"sound")
        return {"clips": [], "methods": [], "heard": [], "faithfulness": None, "planted": None,
                "across_noise": {"shift": {}}}

    monkeypatch.setattr(explain, "connect", lambda params: None)
    monkeypatch.setattr(explain, "reopen", reopen)
    monkeypatch.setattr(explain, "explain_all", explain_all)
    monkeypatch.setattr(explain.listening, "build", lambda reports: reports / "explanations" / "index.html")
    explain.main()
    assert (folder / "reports/explanations/heard.wav").exists(), "it stays in reports/ in any case"
    return folders


def test_recordings_are_attached_where_every_licence_allows_it(tmp_path, monkeypatch):
    assert attached(tmp_path, monkeypatch, FREE) == {"explanations", "explanations/figures", "explanations/heard"}


@pytest.mark.parametrize(("licences", "wanted", "said"), [
    (FREE, False, "tracking.recordings is false"),
    (FREE | {"made": "CC BY-NC-SA 4.0"}, True, "made (CC BY-NC-SA 4.0)"),
    (FREE | {"rain": "CC BY-NC 3.0"}, True, "rain (CC BY-NC 3.0)"),
    ({"rain": "CC0 1.0"}, True, "made (not stated)"),
    (FREE | {"made": "free for research after registration, not to be passed on"}, True, "not to be passed on"),
])
def test_recordings_stay_here_where_a_licence_forbids_or_is_unknown(tmp_path, monkeypatch, capsys, licences, wanted,
                                                                    said):
    assert attached(tmp_path, monkeypatch, licences, wanted) == {"explanations", "explanations/figures"}
    assert said in capsys.readouterr().out

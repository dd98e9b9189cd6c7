"""The .env file: made once, random, for its owner's eyes."""

from infra.stack import settings


def test_made_once_and_kept(tmp_path):
    file = tmp_path / "new" / ".env"
    first = settings.complete(file, ["A_PASSWORD", "X_AUTH_STRING"], ["A_PORT"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert settings.read(file) == first == settings.complete(file, ["A_PASSWORD", "X_AUTH_STRING"], ["A_PORT"])
    assert len(first["A_PASSWORD"]) >= 40 and first["X_AUTH_STRING"].startswith("admin:")
    assert settings.is_free(int(first["A_PORT"]))


def test_what_somebody_wrote_stays(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# mine\nA_PASSWORD=chosen=by hand\nB_PASSWORD=\n")
    file.chmod(0o644)
    made = settings.complete(file, ["A_PASSWORD", "B_PASSWORD"])
    assert made["A_PASSWORD"] == "chosen=by hand" and made["B_PASSWORD"]
    assert "# mine" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_stacks_share_no_password(tmp_path):
    first, second = (settings.complete(tmp_path / name, ["A_PASSWORD"]) for name in ("a", "b"))
    assert first["A_PASSWORD"] != second["A_PASSWORD"]

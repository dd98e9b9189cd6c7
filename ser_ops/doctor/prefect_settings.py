"""Prefect's settings in force, without importing Prefect (which takes seconds)."""

import os
import tomllib
from pathlib import Path


def prefect_settings() -> dict[str, str]:
    """The active profile of PREFECT_HOME/profiles.toml with the environment over it; empty where there is neither."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    file = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    profile: dict[str, str] = {}
    if file.is_file():
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            active = os.environ.get("PREFECT_PROFILE") or content.get("active", "")
            profile = {name: str(value) for name, value in content.get("profiles", {}).get(active, {}).items()}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            profile = {}
    return profile | {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}

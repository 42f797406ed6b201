"""run.py before there is an environment."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("karibu_run", ROOT / "run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command_line(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("serve", [])),
        (["--port", "9000"], ("serve", ["--port", "9000"])),
        (["serve", "--no-demo"], ("serve", ["--no-demo"])),
        (["--state", "test", "manage", "migrate"], ("manage", ["--state", "test", "migrate"])),
        (["manage", "check", "--state", "s"], ("manage", ["check", "--state", "s"])),
        (["test", "-k", "check"], ("test", ["-k", "check"])),
    ],
)
def test_split_command_finds_the_command_behind_options(
    run: ModuleType, arguments: list[str], expected: tuple[str, list[str]]
) -> None:
    assert run.split_command(arguments) == expected


def test_run_refuses_an_unknown_command_in_one_sentence() -> None:
    done = command_line("tset")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "run.py: there is no command 'tset'; there are serve, manage, test, check, lock.\n"


def test_run_names_the_package_when_python_has_no_venv(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError\n")

    done = command_line("manage", "version", PYTHONPATH=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr == "run.py: this Python has no venv and pip (on Debian: apt install python3-venv).\n"


def test_environment_is_used_only_with_a_stamp_of_these_lock_files(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.lock").write_text("one==1\n")
    monkeypatch.setattr(run, "ROOT", str(tmp_path))
    stamp = run.wanted(["runtime"])

    assert stamp["runtime"] == hashlib.sha256(b"one==1\n").hexdigest()
    assert run.satisfies(stamp, run.wanted(["runtime"]))
    assert not run.satisfies({}, run.wanted(["runtime"]))
    (tmp_path / "requirements.lock").write_text("one==2\n")
    assert not run.satisfies(stamp, run.wanted(["runtime"]))


def test_installed_does_not_trust_an_interrupted_install(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "VENV", str(tmp_path))
    monkeypatch.setattr(run, "STAMP", str(tmp_path / "karibu.json"))
    monkeypatch.setattr(run, "INSTALLING", str(tmp_path / "karibu.installing"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "karibu.json").write_text('{"python": "3.11"}')

    assert run.installed() == {"python": "3.11"}
    run.mark_installing()
    assert run.installed() == {}


@pytest.mark.parametrize("is_linked", [False, True])
def test_environment_of_another_checkout_is_refused_and_left_alone(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_linked: bool
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "requirements.lock").write_text("one==1\n")
    real = there / ".venv" if is_linked else here / ".venv"
    real.mkdir(parents=True)
    if is_linked:
        (here / ".venv").symlink_to(real)
    (real / "karibu.json").write_text(json.dumps({"path": str(there / ".venv")}))
    (real / "kept").touch()
    for name, path in (("ROOT", here), ("VENV", here / ".venv"), ("STAMP", here / ".venv" / "karibu.json")):
        monkeypatch.setattr(run, name, str(path))

    with pytest.raises(SystemExit) as refused:
        run.ensure_environment(["runtime"])

    assert refused.value.code == (
        f"run.py: {here}/.venv was made for the checkout {there}; take it (or the link to it) away, and run this again."
    )
    assert sorted(each.name for each in real.iterdir()) == ["karibu.json", "kept"]
    assert (here / ".venv").is_symlink() == is_linked


def test_checkout_may_be_called_by_several_names(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, name = tmp_path / "real", tmp_path / "name"
    (real / ".venv").mkdir(parents=True)
    name.symlink_to(real)
    monkeypatch.setattr(run, "ROOT", str(name))
    monkeypatch.setattr(run, "STAMP", str(name / ".venv" / "karibu.json"))

    (real / ".venv" / "karibu.json").write_text(json.dumps({"path": str(real / ".venv")}))
    assert run.made_for_another() == ""
    (real / ".venv" / "karibu.json").write_text("cut off")
    assert run.made_for_another() == ""


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_have_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert "://" not in text
    assert "index-url" not in text
    assert text.count("==") <= text.count("--hash=sha256:")

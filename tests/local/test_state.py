"""The state directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.local.cli import take_state
from backend.local.errors import LocalError
from backend.local.servers import environment
from backend.local.state import ROOT, State, open_state
from backend.local.supervisor import shorten
from backend.local.world import migrations_fingerprint


def test_open_state_makes_secrets_once_and_private(tmp_path: Path) -> None:
    first = open_state(tmp_path / "new" / "world")

    again = open_state(tmp_path / "new" / "world")

    assert again == first
    assert len(first.secret_key) >= 50
    assert (first.path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert first.path.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    assert first.secret_key not in repr(first)


def test_open_state_refuses_a_folder_of_other_things_and_leaves_it_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(LocalError, match=r"thesis\.txt"):
        open_state(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_state_made_anew_at_the_same_place_is_another_world(tmp_path: Path) -> None:
    first = open_state(tmp_path / "world")
    first.path.rename(tmp_path / "moved")

    second = open_state(tmp_path / "world")

    assert second.id != first.id
    assert second.marker != first.marker
    assert open_state(tmp_path / "moved").marker != first.marker


def test_lock_is_held_once_and_freed_by_the_death_of_its_holder(state: State) -> None:
    holder = (
        "import sys, pathlib\nfrom backend.local.state import open_state\n"
        "with open_state(pathlib.Path(sys.argv[1])).lock('servers', who='a test') as ours:\n"
        "    print(ours, flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(state.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"True\n"
        with state.lock("servers") as ours:
            assert ours is False
        assert state.lock_owner("servers") == "a test"

        child.kill()
        child.wait()

    with state.lock("servers", wait_s=1) as ours:
        assert ours is True


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["migrate"], (ROOT / "var", ["migrate"])),
        (["--state", "s", "migrate", "--plan"], (Path("s"), ["migrate", "--plan"])),
        (["migrate", "--plan", "--state=s"], (Path("s"), ["migrate", "--plan"])),
        (["run", "--", "--state", "s"], (ROOT / "var", ["run", "--", "--state", "s"])),
    ],
)
def test_take_state_stands_before_or_after_the_command(
    arguments: list[str], expected: tuple[Path, list[str]]
) -> None:
    assert take_state(arguments) == expected


def test_environment_lets_the_person_win_except_over_the_state(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "theirs")
    monkeypatch.setenv("STATE_DIR", "/elsewhere")
    monkeypatch.setenv("ALLOWED_HOSTS", "")
    monkeypatch.setenv("REDIS_URL", "redis://theirs")

    env = environment(state, {"REDIS_URL": "redis://ours"}, public_url="http://127.0.0.1:9")

    assert env["SECRET_KEY"] == "theirs"
    assert env["REDIS_URL"] == "redis://theirs"
    assert env["STATE_DIR"] == str(state.path)
    assert env["ALLOWED_HOSTS"] == "127.0.0.1,localhost,[::1]"
    assert env["PUBLIC_URL"] == "http://127.0.0.1:9"


def test_shorten_moves_a_long_log_aside_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with open(log, "ab", buffering=0) as writer:
        writer.write(b"x" * 101)

        shorten(log, limit=100)
        writer.write(b"y")

    assert log.read_bytes() == b"y"
    assert (tmp_path / "web.log.1").read_bytes() == b"x" * 101


def test_migrations_fingerprint_changes_with_a_migration_and_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("a")
    (tmp_path / "backend" / "x" / "migrations").mkdir(parents=True)
    seen = {migrations_fingerprint(tmp_path)}

    (tmp_path / "backend" / "x" / "migrations" / "0001_initial.py").write_text("1")
    seen.add(migrations_fingerprint(tmp_path))
    (tmp_path / "requirements.lock").write_text("b")
    seen.add(migrations_fingerprint(tmp_path))

    assert len(seen) == 3


def test_write_world_adds_to_what_is_known(state: State) -> None:
    state.write_world(demo="done")
    state.write_world(migrated=["f", 1, 2])

    assert json.loads((state.path / "world.json").read_text()) == {"demo": "done", "migrated": ["f", 1, 2]}

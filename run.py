#!/usr/bin/env python3
"""Karibu's one command: makes the environment beside itself, then does what was asked inside it.

    python3 run.py                 everything on this machine, with demo data, at http://127.0.0.1:8000
    python3 run.py serve --port N --state DIR --no-demo --host ADDRESS --workers N
    python3 run.py manage [--state DIR] COMMAND …
    python3 run.py test [pytest's arguments]
    python3 run.py check           linters, types, import rules, migrations, deployment
    python3 run.py lock            resolve the requirements again

This file uses the standard library only and must stay readable by old Pythons far enough to say that they are
too old. The work itself is in ``backend/local``.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "karibu.json")
INSTALLING = os.path.join(VENV, "karibu.installing")
UV_VERSION = "0.13.8"
UV_HOME = os.path.join(VENV, "karibu-uv")
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
COMMANDS = ("serve", "manage", "test", "check", "lock")
NEEDS_DEV = ("test", "check", "lock")
VALUED_OPTIONS = ("--state", "--port", "--host", "--workers")


def fail(sentence):
    """End with one sentence for the person at the terminal."""
    sys.exit("run.py: " + sentence)


def say(sentence):
    """Tell the person at the terminal what is going on, without touching what a command prints."""
    print(sentence, file=sys.stderr, flush=True)


def version():
    """The running Python's version, as people say it."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def check_machine():
    """Refuse early what could only fail later: an old Python, Windows, a Python without venv."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the person's Python, not ours, stands here
        fail(
            f"Python 3.11 or newer is needed, this is {version()} (on Debian 12 and later: apt install python3)."
        )
    if os.name != "posix":
        fail("Linux or macOS is needed; on Windows use WSL, or compose.yaml with Docker.")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail("this Python has no venv and pip (on Debian: apt install python3-venv).")


def digest(name):
    """The SHA-256 of a lock file, as the stamp of an installed environment records it."""
    try:
        with open(os.path.join(ROOT, name), "rb") as lock:
            return hashlib.sha256(lock.read()).hexdigest()
    except FileNotFoundError:
        fail(f"{name} is missing; restore it from the repository.")


def wanted(groups):
    """What the stamp must say for the environment to be usable as it is."""
    stamp = {"python": version(), "path": VENV}
    stamp.update({group: digest(LOCKS[group]) for group in groups})
    return stamp


def installed():
    """The stamp of the environment, empty when there is none or an install was interrupted."""
    if os.path.exists(INSTALLING) or not os.path.exists(python()):
        return {}
    try:
        with open(STAMP, encoding="utf-8") as stamp:
            return json.load(stamp)
    except (OSError, ValueError):
        return {}


def made_for_another():
    """The checkout that .venv was made for, where that is another one; empty where it is this one, or nobody knows.

    By where the folders really are: one checkout may be called by several names, and a link to the environment of
    another one leads to what that one uses.
    """
    try:
        with open(STAMP, encoding="utf-8") as stamp:
            root = os.path.dirname(json.load(stamp)["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return "" if os.path.realpath(root) == os.path.realpath(ROOT) else root


def satisfies(stamp, wish):
    """Whether the environment with this stamp can be used for this wish."""
    return all(stamp.get(key) == value for key, value in wish.items())


def python():
    """The environment's interpreter."""
    return os.path.join(VENV, "bin", "python")


def run(*command, **kwargs):
    """Run a step of the set-up quietly; its output is shown only when it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kwargs
    )
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, output=done.stdout)
    return done.stdout


def healthy():
    """Whether .venv is an environment of this very place and Python that pip works in."""
    if os.path.exists(INSTALLING):
        return False
    try:
        out = run(python(), "-c", "import sys, pip; print(*sys.version_info[:2], sys.prefix, sep='|')")
    except (OSError, subprocess.CalledProcessError):
        return False
    major, minor, prefix = out.strip().split("|", 2)
    same_python = (int(major), int(minor)) == sys.version_info[:2]
    # The shebangs of an environment made at another path point there; one that was copied is made again.
    return same_python and os.path.realpath(prefix) == os.path.realpath(VENV)


def tool_environment():
    """The environment for uv and pip: uv does not read pip's configuration, so its main index is handed over."""
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")
    }
    env.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", UV_NO_PROGRESS="1", UV_LINK_MODE="copy")
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & set(env):
        try:
            index = run(python(), "-m", "pip", "config", "get", "global.index-url", env=env).strip()
        except subprocess.CalledProcessError:
            index = env.get("PIP_INDEX_URL", "")
        if index:
            env["UV_DEFAULT_INDEX"] = index
    return env


def uv(env):
    """The pinned uv, fetched by pip into a folder of the environment that syncing leaves alone.

    Returns its path, or None where no build of it exists for this machine.
    """
    binary = os.path.join(UV_HOME, "bin", "uv")
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if run(binary, "--version").split()[1] == UV_VERSION:
            return binary
    shutil.rmtree(UV_HOME, ignore_errors=True)
    pip = [python(), "-m", "pip", "install", "--quiet", "--no-deps", "--target", UV_HOME, "uv==" + UV_VERSION]
    try:
        run(*pip, env=env)
    except subprocess.CalledProcessError as error:
        say(f"  uv could not be fetched, pip is used instead (slower): {last_line(error.output)}")
        return None
    return binary


def last_line(output):
    """The last line of a failed step's output, which is where the tools name the reason."""
    lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def install(groups):
    """Bring .venv to exactly what the lock files of these groups say."""
    started = time.monotonic()
    if os.path.lexists(VENV) and not healthy():
        say("Removing an unfinished or foreign .venv …")
        if os.path.islink(VENV):
            os.unlink(VENV)
        else:
            shutil.rmtree(VENV)
    if not os.path.exists(python()):
        say(f"Making the environment .venv (Python {version()}) …")
        os.makedirs(VENV, exist_ok=True)
        mark_installing()
        run(getattr(sys, "_base_executable", None) or sys.executable, "-m", "venv", VENV)
    mark_installing()
    env = tool_environment()
    locks = [os.path.join(ROOT, LOCKS[group]) for group in groups]
    say(f"Installing {' and '.join(LOCKS[group] for group in groups)} …")
    tool = uv(env)
    if tool is None or not sync_with_uv(tool, locks, env):
        files = [part for lock in locks for part in ("-r", lock)]
        run(python(), "-m", "pip", "install", "--quiet", "--require-hashes", *files, env=env)
    with open(STAMP, "w", encoding="utf-8") as stamp:
        json.dump(wanted(groups), stamp)
    os.unlink(INSTALLING)
    say(f"The environment is ready ({time.monotonic() - started:.0f} s).")


def mark_installing():
    """Leave a mark that only a finished install takes away: a killed one is not trusted again."""
    with open(INSTALLING, "w", encoding="utf-8") as mark:
        mark.write(str(os.getpid()))


def sync_with_uv(tool, locks, env):
    """Install with uv; False when it failed and pip should try."""
    try:
        run(tool, "pip", "sync", "--python", python(), "--require-hashes", *locks, env=env)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"  uv failed, pip tries instead (slower): {last_line(getattr(error, 'output', str(error)))}")
        return False
    return True


def ensure_environment(groups):
    """Make sure that .venv holds what the lock files say; instant when the stamp says so."""
    if satisfies(installed(), wanted(groups)):
        return
    if other := made_for_another():
        fail(
            f"{VENV} was made for the checkout {other}; take it (or the link to it) away, and run this again."
        )
    import fcntl

    try:
        guard = open(os.path.join(ROOT, ".venv.lock"), "w")  # noqa: SIM115
    except OSError as error:
        fail(f"the environment cannot be made in {ROOT}: {error.strerror}.")
    with guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another run.py is making the environment; waiting for it …")
            fcntl.flock(guard, fcntl.LOCK_EX)
        stamp = installed()
        if satisfies(stamp, wanted(groups)):
            return
        # Once installed, the tools of the developer stay: a plain start must not take them away again.
        if "dev" in stamp and "dev" not in groups:
            groups = [*groups, "dev"]
        try:
            install(groups)
        except subprocess.CalledProcessError as error:
            say((error.output or "").rstrip())
            fail(f"the environment could not be made: {last_line(error.output)}")
        except OSError as error:
            fail(f"the environment could not be made: {error}")


def split_command(arguments):
    """The command and what belongs to it; options before the command count as if they stood behind it."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        sys.exit()
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in VALUED_OPTIONS else 1
    if index >= len(arguments):
        return "serve", arguments
    command = arguments[index]
    if command not in COMMANDS:
        fail(f"there is no command {command!r}; there are {', '.join(COMMANDS)}.")
    return command, arguments[:index] + arguments[index + 1 :]


def main():
    """Make the environment, move into it, and hand the arguments to backend.local."""
    check_machine()
    command, rest = split_command(sys.argv[1:])
    ensure_environment(["runtime", "dev"] if command in NEEDS_DEV else ["runtime"])
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        sys.stdout.flush()
        os.execv(python(), [python(), os.path.abspath(__file__), *sys.argv[1:]])  # noqa: S606
    from backend.local.cli import main as local_main

    return local_main(command, rest, uv=os.path.join(UV_HOME, "bin", "uv"))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

"""The browser for the tests of pages: found, or installed where that is one command."""

from __future__ import annotations

import os
import shutil
import subprocess

from backend.local.state import say

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find() -> str | None:
    """The path of a Chromium on this machine; CHROMIUM says which one to take."""
    if "CHROMIUM" in os.environ:
        return os.environ["CHROMIUM"] or None
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def find_or_install() -> str | None:
    """The path of a Chromium, installed by apt-get when there is none and we may; None with a sentence why not."""
    if (path := find()) or "CHROMIUM" in os.environ:
        return path
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        say(
            "No Chromium here: the browser's tests will fail (on Debian: apt install chromium, or set CHROMIUM)."
        )
        return None
    say("Installing Debian's chromium for the browser's tests …")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        [apt, "-qq", "update"],
        [apt, "-qq", "-y", "--no-install-recommends", "install", "chromium"],
    ):
        done = subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            reason = (done.stdout.strip().splitlines() or ["no output"])[-1]
            say(f"Chromium could not be installed, the browser's tests will fail: {reason}")
    return find()

"""Installs what requirements.txt names into `.dploy/python` of the working directory.

Run in the sandbox as a program of its own, by the Python that the app is built for; so it rests on the standard library alone.
What it installs runs anywhere, below any path: the first lines of scripts name no place of the builder.
"""

import pathlib
import subprocess
import sys

TARGET = ".dploy/python"
ENV = b"#!/usr/bin/env python3"

# a path that is long, or has a space, does not fit into a first line: pip writes a script for sh instead, of three lines
SHELL = b"#!/bin/sh\n'''exec'"


def main() -> int:
    # -I: a file of the app such as types.py would stand in for a module of pip
    pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]
    install = ["install", "--no-compile", "--no-warn-script-location", "--progress-bar", "off", "--target", TARGET]
    code = subprocess.call([*pip, *install, "-r", "requirements.txt"])
    for script in pathlib.Path(TARGET, "bin").glob("*") if code == 0 else ():
        if script.is_file() and not script.is_symlink():
            data = script.read_bytes()
            if data.startswith(SHELL):
                script.write_bytes(b"\n".join([ENV, *data.split(b"\n")[3:]]))
            elif data.startswith(b"#!" + sys.executable.encode()):
                script.write_bytes(b"\n".join([ENV, *data.split(b"\n")[1:]]))
    return code


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom, and what a library must not call: layers.py ROOT. The rules of docs/architecture.md."""
import pathlib
import re
import sys

# A layer may include itself, the public headers, and what stands here. Nothing below knows anything above.
LAYERS = {
    "base": set(),
    "kernels": {"base"},
    "topology": {"base"},
    "plan": {"base"},
    "bootstrap": {"base"},
    "shm": {"base"},
    "tcp": {"base"},
    "fabric": {"base"},
    "algorithms": {"base", "plan"},
    "select": {"base", "kernels", "topology", "plan", "algorithms"},
    "profile": {"base", "kernels", "topology", "plan", "algorithms", "select"},
    "engine": {"base", "kernels", "topology", "plan", "algorithms", "select"},
    "comm": {"base", "kernels", "topology", "plan", "algorithms", "bootstrap", "select", "profile", "engine", "shm", "tcp"},
}
LAYERS["cli"] = set(LAYERS)

# Pure functions: no I/O and no clock.
PURE = {"plan", "algorithms", "select"}
IMPURE_HEADERS = re.compile(r"^(sys/|unistd\.h|fcntl\.h|time\.h|poll\.h|signal\.h|pthread\.h|base/(clock|net|wait|process)\.h)")

# What no file of the library may call: it prints nothing, ends nothing, and installs no signal handlers.
FORBIDDEN = re.compile(r"\b(printf|puts|putchar|fputs|exit|_exit|abort|signal|sigaction|popen|system)\s*\(")
# One file gives back the handlers that a plug-in's libraries took.
MAY_SIGACTION = {"src/base/plugin.c"}
# The environment is read in one place per purpose.
MAY_GETENV = {"src/base/settings.c", "src/bootstrap/identity.c", "src/kernels/dispatch.c", "src/cli/relaunch.c"}


def strip(text):
    """The code without comments and texts, line by line."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if match:
            yield number, match.group(1)


def check_file(root, path, layer):
    name = path.relative_to(root).as_posix()
    text = path.read_text()
    if "SPDX-License-Identifier: Apache-2.0" not in text.split("\n", 1)[0]:
        yield f"{name}:1: the first line must name the licence"
    for number, header in includes(text):
        other = header.split("/")[0] if "/" in header else None
        if other in LAYERS and other != layer and other not in LAYERS[layer]:
            yield f"{name}:{number}: {layer} must not include {header}"
        if layer in PURE and IMPURE_HEADERS.match(header):
            yield f"{name}:{number}: {layer} does no I/O and reads no clock, but includes <{header}>"
    for number, line in enumerate(strip(text).splitlines(), 1):
        forbidden = FORBIDDEN.search(line)
        if layer != "cli" and forbidden and not (forbidden.group(1) == "sigaction" and name in MAY_SIGACTION):
            yield f"{name}:{number}: the library must not call {forbidden.group(1)}()"
        if re.search(r"\bgetenv\s*\(", line) and name not in MAY_GETENV:
            yield f"{name}:{number}: settings are read in src/base/settings.c"
        if re.search(r"\bvolatile\b", line) and "__asm__" not in line and "__volatile__" not in line:
            yield f"{name}:{number}: shared words are atomics, not volatile"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    complaints, files = [], 0
    for folder in ("src", "transports"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            layer = path.relative_to(root).parts[1]
            if layer not in LAYERS:
                continue
            files += 1
            complaints += check_file(root, path, layer)
    for complaint in complaints:
        print(complaint)
    print(f"{files} files, {len(complaints)} against the rules")
    return 1 if complaints or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

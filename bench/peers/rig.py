#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several hosts that are all this machine (tests/job/hosts.sh), and a way to start programs on them.

	rig.py agent FOLDER              on each host: runs what it is asked to, through the socket FOLDER/HOST
	rig.py at FOLDER HOST COMMAND    runs a command there, with these descriptors and this environment
	rig.py ranks FOLDER HxR COMMAND  R ranks on each of H hosts, told who they are as a launcher by hand would
	rig.py [-x] NAME COMMAND         as ssh would be called: MPI's launchers believe that it is

Hosts have nothing in common but the network and files; a socket that is a file passes from one to another. Who hangs
up ends what it has started.
"""
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 29500
KEPT = ("HOSTS_HOST", "TUTTI_SECRET_FILE")  # of the host's own environment
LONGEST = 1 << 20


class Rig:
    """The hosts, for as long as a with statement lasts; `folder` is where they can be called."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.folder = tempfile.mkdtemp(prefix="tutti-rig-")
        self.process = None

    def __enter__(self):
        script = os.path.join(HERE, "..", "..", "tests", "job", "hosts.sh")
        self.process = subprocess.Popen(["bash", script, "-p", "-n", str(self.hosts), "--", sys.executable,
                                         os.path.abspath(__file__), "agent", self.folder])
        for host in range(self.hosts):
            while not os.path.exists(os.path.join(self.folder, "%d.ready" % host)):
                if self.process.poll() is not None:
                    raise RuntimeError("the hosts did not start")
                time.sleep(0.05)
        # A launcher takes one word for ssh.
        with open(os.path.join(self.folder, "ssh"), "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexec '%s' '%s' \"$@\"\n" % (sys.executable, os.path.abspath(__file__)))
        os.chmod(script.name, 0o755)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        os.rmdir(self.folder)


def serve_one(call):
    with call:
        text, descriptors, _, _ = socket.recv_fds(call, LONGEST, 3)
        asked = json.loads(text)
        environment = {**asked["environment"], **{name: os.environ[name] for name in KEPT}}
        program = subprocess.Popen(asked["command"], cwd=asked["folder"], env=environment, stdin=descriptors[0],
                                   stdout=descriptors[1], stderr=descriptors[2], start_new_session=True)
        for descriptor in descriptors:
            os.close(descriptor)
        over = os.pidfd_open(program.pid)
        if over not in select.select([call, over], [], [])[0]:
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        os.close(over)
        try:
            call.sendall(b"%d" % (program.returncode & 255))
        except OSError:
            pass


def agent(folder):
    host = os.environ["HOSTS_HOST"]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(folder, host))
    listener.listen(64)
    open(os.path.join(folder, host + ".ready"), "w", encoding="ascii").close()
    while True:
        threading.Thread(target=serve_one, args=(listener.accept()[0],), daemon=True).start()


def begin(folder, host, command, environment):
    """A program on that host; the answer on the socket is its status."""
    call = socket.socket(socket.AF_UNIX)
    call.connect(os.path.join(folder, str(host)))
    text = json.dumps({"command": command, "folder": os.getcwd(), "environment": environment}).encode()
    if len(text) > LONGEST // 4:
        sys.exit("rig.py: the environment is too large")
    call.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    socket.send_fds(call, [text], [0, 1, 2])
    return call


def status_of(call):
    return int(call.recv(16) or b"1")


def ranks(folder, shape, command):
    hosts, each = (int(n) for n in shape.split("x"))
    calls = []
    for rank in range(hosts * each):
        place = {"TUTTI_RANK": rank, "TUTTI_SIZE": hosts * each, "TUTTI_LOCAL_RANK": rank % each,
                 "TUTTI_LOCAL_SIZE": each, "TUTTI_ROOT": "10.213.0.1:%d" % PORT}
        calls.append(begin(folder, rank // each, command,
                           {**os.environ, **{name: str(value) for name, value in place.items()}}))
    return max(status_of(call) for call in calls)


def as_ssh(words):
    """The folder is where the caller's own host was told of it."""
    while words[0].startswith("-"):
        words = words[1:]
    number = re.fullmatch(r"host(\d+)", words[0])
    host = int(number.group(1)) if number else int(words[0].split(".")[3]) - 1
    return status_of(begin(os.environ["MEASURE_RIG"], host, ["sh", "-c", " ".join(words[1:])], dict(os.environ)))


def main():
    what, words = sys.argv[1], sys.argv[2:]
    if what == "agent":
        agent(words[0])
    elif what == "at":
        sys.exit(status_of(begin(words[0], int(words[1]), words[2:], {**os.environ, "MEASURE_RIG": words[0]})))
    elif what == "ranks":
        sys.exit(ranks(words[0], words[1], words[2:]))
    else:
        sys.exit(as_ssh(sys.argv[1:]))


if __name__ == "__main__":
    main()

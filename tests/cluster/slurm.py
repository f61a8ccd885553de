"""A SLURM of three nodes on this machine, for as long as a block runs: Debian's daemons on loopback.

Each node is a slurmd in PID, UTS and mount namespaces of its own. So it has a hostname, process numbers and a
/var/tmp of its own, and shares the other folders, as the nodes of a cluster share a disk. It has two GPUs,
which are files like /dev/null. There is no accounting database: jobs are looked up with squeue.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("node1", "node2", "node3")
GPUS, CPUS, MEMORY = 2, 2, 32000  # of each node; memory in MB, which SLURM counts and does not limit
PORT = 27817
NAMESPACES = ("--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "unshare")
# Snakemake's plugin removes SLURM_CONF from the environment of srun, which then reads this file
CONFIGURED = Path("/etc/slurm/slurm.conf")


def missing() -> str:
    """Return why SLURM cannot be started here, "" if it can."""
    if os.geteuid():
        return "SLURM's nodes need root, for their namespaces"
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"{', '.join(absent)} not installed; to run: tests/cluster/install.sh"
    if CONFIGURED.exists():
        return f"{CONFIGURED} exists: this machine belongs to a SLURM"
    made = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True)
    return "" if made.returncode == 0 else "namespaces cannot be made here (unshare)"


@dataclass
class Slurm:
    """A running SLURM. folder: its state and logs; daemons: name -> process, in the order of their start."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        """Run a command of SLURM and return its stdout."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def jobs(self, state: str = "RUNNING") -> dict[str, tuple[str, str]]:
        """Return the jobs in a state: ID -> name of the rule (its comment), node."""
        lines = self.run("squeue", "--noheader", "--states", state, "--format=%i %k %N").splitlines()
        return {words[0]: (words[1], words[-1]) for words in map(str.split, lines)}

    def start_node(self, name: str) -> None:
        """Start a node and wait until it takes jobs."""
        tmp = self.folder / "tmp" / name
        tmp.mkdir(parents=True, exist_ok=True)
        script = f"hostname {name}; mount --bind {tmp} /var/tmp; exec slurmd -D -N {name}"
        self._start(name, "unshare", *NAMESPACES, "sh", "-c", script)
        wait(lambda: f"{name} idle" in self.run("sinfo", "-hN", "-o", "%N %T"), name)

    def kill_node(self, name: str) -> None:
        """Send SIGKILL to a node's slurmd and to everything that runs on the node."""
        process = self.daemons.pop(name)
        process.kill()  # the kernel kills its namespace
        process.wait()

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def start(self) -> None:
        socket = self.folder / "munge.socket"
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = [f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("key", "pid", "seed", "log")]
        self._start("munged", "munged", "--foreground", "--force", f"--socket={socket}", *files)
        wait(socket.exists, "munged")
        (self.folder / "slurm.conf").write_text(configuration(self.folder))
        devices = [self.folder / f"nvidia{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o20666, os.makedev(1, 3))
        listed = f"{self.folder}/nvidia[0-{GPUS - 1}]"
        lines = [f"NodeName={name} Name=gpu File={listed}\n" for name in NODES]
        (self.folder / "gres.conf").write_text("".join(lines))
        CONFIGURED.parent.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            CONFIGURED.with_name(name).symlink_to(self.folder / name)
        self._start("slurmctld", "slurmctld", "-D", "-c")
        wait(lambda: "UP" in self.run("scontrol", "ping"), "slurmctld")
        for name in NODES:
            self.start_node(name)

    def stop(self) -> None:
        """End all daemons, and the jobs with their nodes."""
        for name in ("slurm.conf", "gres.conf"):
            CONFIGURED.with_name(name).unlink(missing_ok=True)
        for process in reversed(self.daemons.values()):
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Run SLURM within the block."""
    slurm = Slurm(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


def wait(condition: Callable[[], object], name: str, seconds: float = 120) -> None:
    """Wait until `condition()` is true. name: what the error names; a command that fails is tried again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(subprocess.CalledProcessError):
            if condition():
                return
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s for {name}")


def configuration(folder: Path, nodes: Sequence[str] = NODES) -> str:
    """Return the text of slurm.conf."""
    lines = f"""\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
SlurmctldPort={PORT}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,sched_min_interval=200000,bf_interval=2,batch_sched_delay=0
ReturnToService=2
GresTypes=gpu
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdTimeout=30
InactiveLimit=0
MinJobAge=600
KillWait=5
OverTimeLimit=0
SlurmdParameters=config_overrides
""".splitlines()
    lines += [
        f"NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={PORT + 1 + number} CPUs={CPUS}"
        f" RealMemory={MEMORY} Gres=gpu:{GPUS} State=UNKNOWN"
        for number, name in enumerate(nodes)
    ]
    lines.append(
        "PartitionName=gpu Nodes=ALL Default=YES MaxTime=1-00:00:00 DefMemPerCPU=500 LLN=YES State=UP"
    )
    return "\n".join(lines) + "\n"

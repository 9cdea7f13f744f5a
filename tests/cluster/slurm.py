"""A Slurm of one node, with a GPU that is none: started, asked, and ended by process id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

PREFIX = "slurm-"  # of the folder that a test makes for its daemons
SETTINGS = Path("/etc/slurm")  # the plugin's jobs drop SLURM_CONF from their environment
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")

# The node claims more cores and memory than there are: a job that sleeps should not keep others
# waiting, and memory is not enforced without control groups. /dev/null stands for the GPU.
SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=3600
KillWait=5
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 NodeHostname={host} CPUs=4 RealMemory=64000 Gres=gpu:1
PartitionName=batch Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=accelerated Nodes={host} MaxTime=INFINITE State=UP
"""
GRES_CONF = "NodeName={host} Name=gpu File=/dev/null\n"


def why_not() -> str | None:
    """What keeps a Slurm from being started here, or None."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm, munge)"
    if os.geteuid() != 0:
        return "only root can start Slurm's daemons"
    settings = SETTINGS / "slurm.conf"
    if settings.exists() and not is_left_behind(settings):
        return f"{SETTINGS} has a cluster's own settings"
    return None


def is_left_behind(settings: Path) -> bool:
    """Whether these are the settings of a test that was killed: its controller is gone."""
    folder = settings.resolve().parent
    if not settings.is_symlink() or not folder.name.startswith(PREFIX):
        return False
    controller = folder / "slurmctld.pid"
    return not (controller.exists() and psutil.pid_exists(int(controller.read_text())))


class Slurm:
    """Controller, node and munge, which vouches for messages between them, on 127.0.0.1 alone."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)  # munge wants its socket in reach of everybody
        self.host = socket.gethostname().split(".")[0]
        self.daemons: list[subprocess.Popen] = []

    def start(self, seconds: float = 30) -> None:
        """Return when the node is idle.

        Raises:
            RuntimeError: with the daemons' logs, if it does not come up in time.
        """
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        filled = {"folder": self.folder, "host": self.host}
        filled |= dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
        for name, text in (("slurm.conf", SLURM_CONF), ("gres.conf", GRES_CONF)):
            (self.folder / name).write_text(text.format(**filled), encoding="utf-8")
            (SETTINGS / name).unlink(missing_ok=True)
            (SETTINGS / name).symlink_to(self.folder / name)
        named = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={self.folder}/munge.{name}" for option, name in named.items()]
        self._run("munged", "--foreground", f"--key-file={key}", *munge)
        self._wait_for(lambda: (self.folder / "munge.socket").exists(), seconds)
        self._run("slurmctld", "-D")
        self._run("slurmd", "-D", "-N", self.host)
        self._wait_for(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T"), seconds)

    def _run(self, *command: str) -> None:
        output = (self.folder / f"{command[0]}.out").open("w")
        program = shutil.which(command[0])
        self.daemons.append(
            subprocess.Popen([program, *command[1:]], stdout=output, stderr=subprocess.STDOUT)
        )

    def _wait_for(self, ready, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline or any(d.poll() is not None for d in self.daemons):
                logs = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
                said = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)
                raise RuntimeError(f"Slurm did not start\n{said}")
            time.sleep(0.2)

    def jobs(self) -> list[dict[str, str]]:
        """Every job since the start, the finished ones too, as `scontrol` shows them."""
        lines = ask("scontrol", "--oneliner", "show", "jobs").splitlines()
        lines = [line for line in lines if line.startswith("JobId=")]
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def stop(self) -> None:
        """Cancel what runs, end the daemons in the reverse of their order, leave nothing behind."""
        ask("scancel", "--user=root", "--signal=KILL")
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            if (SETTINGS / name).is_symlink():
                (SETTINGS / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def ask(*command: str) -> str:
    """What a program of Slurm says; nothing where it fails, such as before the controller is up."""
    return subprocess.run(command, text=True, capture_output=True, timeout=60).stdout


def listeners() -> set[str]:
    """Addresses at which any of Slurm's programs listens at this moment."""
    addresses = set()
    for process in psutil.process_iter(["name"]):
        if process.info["name"] not in (*PROGRAMS, "slurmstepd"):
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            addresses |= {
                connection.laddr.ip
                for connection in process.net_connections(kind="inet")
                if connection.status == psutil.CONN_LISTEN
            }
    return addresses


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports

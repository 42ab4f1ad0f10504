#!/bin/bash
# Run a command beside a Slurm of one node: node.sh SLURM_FOLDER SCRATCH COMMAND...
# It listens without authentication, so it lives in a network namespace of its own, in which only the command is too;
# it ends with that namespace's first process. Needs root.
set -euo pipefail
if [ "${INSIDE_NAMESPACE:-}" != 1 ]; then
  INSIDE_NAMESPACE=1 exec unshare --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi
slurm=$1 scratch=$2
shift 2
ip link set lo up
ip address add 10.99.0.1/24 dev lo
libraries=$slurm/usr/lib/x86_64-linux-gnu
export SLURM_CONF=$scratch/slurm.conf LD_LIBRARY_PATH=$libraries:$libraries/slurm-wlm
export PATH=$slurm/usr/bin:$slurm/usr/sbin:$PATH
# A job that is put back into the queue waits until its credential has expired: 10 s here, 120 usually.
mkdir -p "$scratch/state" "$scratch/spool"
cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)(10.99.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AuthInfo=cred_expire=10
JobRequeue=1
ReturnToService=2
MailProg=/bin/true
MinJobAge=600
PluginDir=$libraries/slurm-wlm
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd.pid
SlurmctldLogFile=$scratch/slurmctld.log
SlurmdLogFile=$scratch/slurmd.log
NodeName=$(hostname) NodeAddr=10.99.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld-wlm -D &
slurmd-wlm -D -d "$slurm/usr/sbin/slurmstepd-wlm" &
"$@"

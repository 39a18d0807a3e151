#!/usr/bin/env bash
# Makes a SLURM cluster of two machines out of this one, to try what `--engine slurm --print` prints. For a machine that holds nothing else:
# needs root, Linux, and `apt-get install slurmctld slurmd slurm-client munge iproute2`. Each of n1 and n2 has a network, processes, /tmp and
# /dev/shm of its own; the files are shared.
#
#     bash examples/scale/slurm_here.sh && sinfo
#     expandr encode --corpus scifact --engine slurm --workers 2 --gpus-per-worker 0 --output "$PWD/index" --print | bash
set -euo pipefail
mkdir -p /etc/slurm /var/spool/slurmctld /var/log/slurm /run/munge
[ -f /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge:munge /run/munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
pgrep munged >/dev/null || munged --force

ip link add slurm0 type bridge
ip addr add 10.9.0.1/24 dev slurm0
ip link set slurm0 up
cat >/etc/slurm/slurm.conf <<END
ClusterName=here
SlurmctldHost=$(hostname)(10.9.0.1)
SlurmUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd.%n
SlurmdPidFile=/run/slurmd.%n.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.%n.log
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=n1 NodeAddr=10.9.0.11 NodeHostname=n1 CPUs=1 RealMemory=4000
NodeName=n2 NodeAddr=10.9.0.12 NodeHostname=n2 CPUs=1 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES State=UP
END
slurmctld
for n in 1 2; do
    grep -q " n$n\$" /etc/hosts || echo "10.9.0.1$n n$n" >>/etc/hosts
    ip netns add "n$n"
    ip link add "slurm$n" type veth peer name eth0 netns "n$n"
    ip link set "slurm$n" master slurm0 up
    ip -n "n$n" addr add "10.9.0.1$n/24" dev eth0
    ip -n "n$n" link set eth0 up
    ip -n "n$n" link set lo up
    ip -n "n$n" route add default via 10.9.0.1
    mkdir -p "/var/spool/slurmd.n$n" "/var/tmp/n$n"
    setsid nsenter --net="/run/netns/n$n" unshare --uts --pid --fork --mount --mount-proc bash -c "
        hostname n$n; mount -t tmpfs none /dev/shm; mount --bind /var/tmp/n$n /tmp; exec slurmd -D -N n$n" >/dev/null 2>&1 </dev/null &
done

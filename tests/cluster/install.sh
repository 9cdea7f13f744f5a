#!/bin/sh
# Slurm and munge from Debian, where they are missing and may be installed. No service is started.
command -v slurmctld slurmd munged > /dev/null && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    echo "no Slurm here, and no right to install it: the tests of the cluster will skip" >&2
    exit 0
fi
# Debian starts a service when it is installed, unless this file says no
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends slurm-wlm munge

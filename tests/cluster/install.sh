#!/usr/bin/env bash
# Install SLURM's daemons from Debian's packages for the tests of this folder. It starts none of them.
set -euo pipefail
as_root=$([ "$(id -u)" = 0 ] || echo sudo)
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then  # else the packages would start munge
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  $as_root chmod +x $policy
  trap '$as_root rm -f $policy' EXIT
fi
get() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@"; }  # sudo drops variables
get install -y --no-install-recommends slurm-wlm munge || {  # without lists of packages, or with old ones
  get update
  get install -y --no-install-recommends slurm-wlm munge
}

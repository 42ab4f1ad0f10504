#!/bin/bash
# Unpack Slurm from Debian's packages into a folder, without installing it: unpack.sh FOLDER
set -euo pipefail
folder=$1
test ! -e "$folder/unpacked" || exit 0
mkdir -p "$folder/packages"
cd "$folder/packages"
# The libraries are what the programs need beyond a small system.
apt-get download -qq slurmctld slurmd slurm-client slurm-wlm-basic-plugins \
  libhwloc15 libjson-c5 liblua5.1-0 libmunge2 libnuma1
for package in *.deb; do dpkg -x "$package" "$folder"; done
touch "$folder/unpacked"

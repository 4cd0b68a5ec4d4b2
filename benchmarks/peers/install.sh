#!/bin/sh
# install.sh FOLDER - installs the other systems: the distribution's packages, and BullMQ into FOLDER
#
# What cannot be had is no error: run.py names it as skipped, with the reason.  A distribution may
# start a server that it installs; none of those is used, and they can be stopped or removed again.
set -u
root=$(dirname "$0")/../..
folder=$1
here=$(cd "$(dirname "$0")" && pwd)

# One by one, so that a package that is not there costs only its own system.
for package in gearman-job-server libgearman-dev beanstalkd nats-server libnats-dev \
        coop-computing-tools coop-computing-tools-dev zlib1g-dev python3-redis python3-celery python3-rq; do
        "$root/scripts/install-packages.sh" "$package" || echo "Not installed: $package" >&2
done

# Node.js may have come from elsewhere, with its own npm.
command -v node >/dev/null || "$root/scripts/install-packages.sh" nodejs
command -v npm >/dev/null || "$root/scripts/install-packages.sh" npm
mkdir -p "$folder"
cmp -s "$here/package.json" "$folder/package.json" && [ -d "$folder/node_modules/bullmq" ] ||
        { cp "$here/package.json" "$folder/" && (cd "$folder" && npm install --no-audit --no-fund); } ||
        echo "Not installed: bullmq" >&2
exit 0

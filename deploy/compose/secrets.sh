#!/bin/sh
# Makes the secrets of milvus-compose.yml, each a file in deploy/compose/secrets, and what is made of
# them: settings of servers that read no file of a password. A secret that is there stays; to change
# one, delete its file or move another to its place, and run this again.
#
# Others of this machine cannot enter the folder. The files themselves can be read by anybody, since
# a container sees the file with this machine's rights and runs as another user.
set -eu
umask 077
folder=$(cd "$(dirname "$0")" && pwd)/secrets
mkdir -p "$folder"
cd "$folder"

write() { # NAME: what stands in standard input
	cat >".$1"
	chmod 0444 ".$1"
	mv -f ".$1" "$1"
}

for name in grafana_password jwt_secret minio_password nats_password postgres_password redis_password; do
	[ -s "$name" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | write "$name"
	chmod 0444 "$name" # also one that came from elsewhere
done

write redis.conf <<END
requirepass "$(cat redis_password)"
END
write nats.conf <<END
authorization { user: upnext, password: "$(cat nats_password)" }
END
write aws_credentials <<END
[default]
aws_access_key_id = upnext
aws_secret_access_key = $(cat minio_password)
END
write milvus.env <<END
MINIO_ACCESS_KEY_ID=upnext
MINIO_SECRET_ACCESS_KEY=$(cat minio_password)
END
echo "The secrets are in $folder."

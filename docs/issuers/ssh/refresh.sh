#!/bin/sh
# Fetches what sshd needs to know of a Stint target: whom it believes (ca.pub) and what it must refuse (krl).
#
#   refresh.sh https://stint.example.com/targets/web /etc/ssh/stint
#
# Each file is checked before it takes the place of the last one, at once, so that sshd never reads half of it. What cannot be
# fetched or read changes nothing and ends with 1: an empty or missing list would make sshd refuse every key there is.
# STINT_CA_FILE names the authority of the broker's TLS certificate, where it is not one that the system knows.
set -u
from=${1:?the target: https://BROKER/targets/NAME}
to=${2:?the folder of the files}

fetch() {
  curl --fail --silent --show-error --max-time 20 --max-filesize 67108864 \
    ${STINT_CA_FILE:+--cacert "$STINT_CA_FILE"} --output "$2" "$from/$1"
}

# 0: not revoked, 1: revoked; either way it is a list. Anything else is none.
is_list() {
  ssh-keygen -Q -f "$1" "$to/ca.pub" >/dev/null 2>&1
  [ $? -le 1 ]
}

is_keys() {
  [ -s "$1" ] && ssh-keygen -l -f "$1" >/dev/null 2>&1
}

renew() {
  new=$(mktemp "$to/.$1.XXXXXX") || return 1
  if fetch "$1" "$new" && "$2" "$new" && chmod 644 "$new" && mv -f "$new" "$to/$1"; then return 0; fi
  rm -f "$new"
  echo "$to/$1 stays as it was: nothing fit came from $from/$1" >&2
  return 1
}

failed=0
renew ca.pub is_keys || failed=1
renew krl is_list || failed=1
exit $failed

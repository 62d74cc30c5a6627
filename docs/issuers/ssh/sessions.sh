#!/bin/sh
# Ends the SSH sessions of certificates that are over or revoked: sshd looks at a certificate when somebody logs in, and never again.
#
#   sessions.sh /etc/ssh/stint/krl
#
# Needs `ExposeAuthInfo yes` in sshd_config, by which a session's processes know the certificate that opened it, and root, to see them.
# A session that only forwards ports runs no process and is not seen.
set -u
krl=${1:?the list of revoked certificates}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
now=$(date +%Y-%m-%dT%H:%M:%S)

is_over() {
  sed -n 's/^publickey \([^ ]*-cert-v01@openssh\.com .*\)/\1/p' "$1" | head -n 1 >"$work/cert.pub"
  [ -s "$work/cert.pub" ] || return 1
  ssh-keygen -Q -f "$krl" "$work/cert.pub" >/dev/null 2>&1
  [ $? -eq 1 ] && return 0
  until=$(ssh-keygen -L -f "$work/cert.pub" 2>/dev/null | sed -n 's/^ *Valid: from .* to \([0-9T:-]*\)$/\1/p')
  [ -n "$until" ] && [ "$(printf '%s\n%s\n' "$until" "$now" | sort | head -n 1)" = "$until" ]
}

parent_of() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null; }
name_of() { cat "/proc/$1/comm" 2>/dev/null; }

# The process of sshd that holds the connection, above this one.
holder_of() {
  process=$1
  while [ "${process:-0}" -gt 1 ]; do
    case $(name_of "$process") in sshd | sshd-session) echo "$process" && return ;; esac
    process=$(parent_of "$process")
  done
}

for environment in /proc/[0-9]*/environ; do
  info=$(tr '\0' '\n' 2>/dev/null <"$environment" | sed -n 's/^SSH_USER_AUTH=//p' | head -n 1) 2>/dev/null
  [ -n "$info" ] && [ -f "$info" ] && is_over "$info" || continue
  id=${environment#/proc/}
  id=${id%/environ}
  holder=$(holder_of "$id")
  echo "ending process $id, whose certificate is over"
  kill -HUP $holder "$id" 2>/dev/null
done
exit 0

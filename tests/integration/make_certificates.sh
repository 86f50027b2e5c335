#!/bin/sh
# Makes the certificates that security_test needs, in the folder $1: of an authority, of a server and a client that it
# has signed, and of a stranger who has signed their own.
set -eu
mkdir -p "$1"
cd "$1"
new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
for name in authority stranger; do
  openssl req -x509 -days 2 -subj "/CN=$name" $new_key -keyout $name.key -out $name.pem 2>/dev/null
done
echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >names
for name in server client; do
  openssl req -subj "/CN=$name" $new_key -keyout $name.key -out $name.csr 2>/dev/null
  openssl x509 -req -in $name.csr -CA authority.pem -CAkey authority.key -days 2 -extfile names -out $name.pem 2>/dev/null
done

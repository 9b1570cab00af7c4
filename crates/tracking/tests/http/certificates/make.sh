#!/bin/sh
# Makes the certificates beside it, for a hundred years (and one that has long expired). Their keys protect nothing.
set -eu
cd "$(dirname "$0")"
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }

key authority
openssl req -x509 -new -key authority.key -days 36500 -subj "/CN=anmok test authority" -addext basicConstraints=critical,CA:TRUE -out authority.pem
sign() { # name, extensions, dates
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out request.tmp
    printf '%s\n' "$2" > extensions.tmp
    # shellcheck disable=SC2086
    openssl x509 -req -in request.tmp -CA authority.pem -CAkey authority.key -extfile extensions.tmp -set_serial "$4" $3 -out "$1.pem"
}
names="subjectAltName=DNS:localhost,IP:127.0.0.1"
sign server "$names" "-days 36500" 1
sign elsewhere "subjectAltName=DNS:elsewhere.example" "-days 36500" 2
sign client "extendedKeyUsage=clientAuth" "-days 36500" 3
# x509 sets no dates in the past; ca does.
key expired
openssl req -new -key expired.key -subj "/CN=expired" -out request.tmp
: > index.tmp
cat > ca.tmp <<END
[ca]
default_ca = test
[test]
database = index.tmp
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
$names
END
openssl ca -batch -config ca.tmp -cert authority.pem -keyfile authority.key -in request.tmp -notext -out expired.pem \
    -startdate 20200101000000Z -enddate 20200201000000Z
cat client.key >> client.pem
rm -f authority.key client.key ./*.tmp ./*.tmp.attr ./*.tmp.old [0-9A-F]*.pem

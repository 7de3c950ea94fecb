#!/bin/sh
# The whole job of envlock on a small environment: demo.sh DIRECTORY
# Needs `envlock` and `python` on PATH. All that it makes lies in DIRECTORY and in envlock's store.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
directory=$(pwd)
begun=$(date +%s)

bold= dim= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); fi

say() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '%s$ %s%s\n' "$dim" "$*" "$plain"; "$@"; }

# Expect an exit status: 1 is compare's answer "different", not a failure.
show_exit() {
    expected=$1
    shift
    status=0
    show "$@" || status=$?
    if [ "$status" -ne "$expected" ]; then
        echo "demo: this should have ended with exit status $expected, not $status" >&2
        exit 1
    fi
}

rm -rf first second other first.json second.json other.json
cp "$here/train.py" "$here/run.yaml" .
if [ ! -e env/.ready ]; then
    say "0  A demo environment: numpy and scikit-learn in $directory/env"
    rm -rf env
    python -m venv --without-pip env
    show python -m pip --python env/bin/python install -qq --disable-pip-version-check -r "$here/requirements.txt"
    touch env/.ready
fi

say "1  Capture: the environment as it is, every wheel by hash, into one lockfile"
show envlock capture --python env/bin/python

say "2  Build: the lockfile becomes an OCI image, without Docker"
show envlock build

say "3  Run train.py, which seeds nothing, three times: seed 42 twice, then seed 43"
show envlock run run.yaml --engine embedded --seed 42 --out first --record first.json
show envlock run run.yaml --engine embedded --seed 42 --out second --record second.json
show envlock run run.yaml --engine embedded --seed 43 --out other --record other.json

say "4  Compare: the same seed gives the same bits"
show_exit 0 envlock compare first.json second.json

say "5  Compare: another seed does not (exit status 1 is the answer \"different\")"
show_exit 1 envlock compare first.json other.json

say "Done in $(($(date +%s) - begun)) s. What there is now"
cat <<SUMMARY
  lockfile   $directory/pylock.envlock.toml   (pip and uv install from it)
  image      $directory/.envlock/image        (OCI layout)
  records    $directory/{first,second,other}.json

Type next
  cd $directory && . $(dirname "$(command -v envlock)")/activate
  envlock seeds run.yaml --seed 42                         every seed that the run hands out
  envlock replay first.json --engine embedded              run it again and verify it
  envlock build -o docker-archive:demo.tar                 then: docker load -i demo.tar
  envlock capture --help                                   your own environment
SUMMARY

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Records the samples of traces/samples again: all, or those named. traces/samples/README.md describes
# them. Needs what tools/run needs, and the programs that are recorded (Debian packages: gcc git python3
# sqlite3 xz-utils).
#
# usage: tools/lib/record_samples.sh [NAME...]
#   GNOMON_BIN=FILE           the gnomon program (build/release/tools/gnomon)
#   GNOMON_SAMPLES_OUT=DIR    where the samples go (traces/samples)
#
# Inputs are made here from nothing, the same each time. Names of files end up in the traces, so the
# work is done in a directory of a fixed name, with an environment that holds nothing of the user's.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
gnomon=${GNOMON_BIN:-$repo/build/release/tools/gnomon}
out=${GNOMON_SAMPLES_OUT:-$repo/traces/samples}
work=/tmp/gnomon-samples
names=(sort gcc sqlite lookup python grep shell git xz)

die() {
  echo "record_samples: $*" >&2
  exit 2
}

[ -x "$gnomon" ] || die "no program $gnomon (tools/run builds it; GNOMON_BIN names another)"
gnomon=$(realpath -- "$gnomon")
mkdir -p "$out"
out=$(realpath -- "$out")
mkdir "$work" 2>/dev/null || die "$work is there already; remove it first"
trap 'rm -rf "$work"' EXIT
cd "$work"

# The tool that valgrind runs is mapped, too, and so named: under this directory for everybody.
cp -a "${GNOMON_VALGRIND_LIB:-$(dirname -- "$gnomon")/../traces/valgrind/lib}" tool ||
  die "no valgrind tool next to $gnomon (GNOMON_VALGRIND_LIB names its directory)"

clean=(env -i GNOMON_VALGRIND_LIB="$work/tool" PATH=/usr/bin:/bin HOME="$work" TMPDIR="$work" LC_ALL=C PYTHONHASHSEED=0
  GIT_CONFIG_NOSYSTEM=1)

# record NAME NOTE PROGRAM...: what the program prints is not kept.
record() {
  local name=$1 note=$2
  shift 2
  echo "== $name: $*" >&2
  # 1 is the status of a program that said no, which is none of ours.
  local status=0
  "${clean[@]}" "$gnomon" record -q --level 19 -o "$out/$name.gtrace" --note "$note" -- "$@" \
    </dev/null >printed || status=$?
  [ "$status" -lt 2 ] || die "recording $name failed (status $status)"
}

# numbers COUNT SEED: pairs of a pseudo-random number and a count, by a linear congruential generator
# in integers that awk holds exactly.
numbers() {
  awk -v count="$1" -v seed="$2" 'BEGIN {
    x = seed
    for (i = 0; i < count; ++i) {
      x = (x * 16807) % 2147483647
      print x, i
    }
  }'
}

sample_sort() {
  numbers 12000 1 >lines
  record sort "sort of 12,000 shuffled lines" sort --parallel=1 -S 4M lines
}

sample_gcc() {
  cat >nodes.c <<'C'
struct node { struct node *next; unsigned long key; double weight[4]; };

double total(const struct node *n) {
  double sum = 0;
  for (; n; n = n->next)
    for (int i = 0; i < 4; ++i) sum += n->weight[i] * (double)(n->key % 7);
  return sum;
}

int parse(const char *s) {
  int state = 0;
  for (; *s; ++s) switch (*s) {
      case 'a': state = state * 3 + 1; break;
      case 'b': state ^= 5; break;
      default: return -1;
    }
  return state;
}
C
  record gcc "gcc compiles a C file: the driver, cc1 and as" gcc -c nodes.c
}

sample_sqlite() {
  cat >report.sql <<'SQL'
PRAGMA page_size = 4096;
CREATE TABLE customer(id INTEGER PRIMARY KEY, region INTEGER, name TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, day INTEGER);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 150)
  INSERT INTO customer SELECT i, i * 7919 % 12, printf('customer %d', i * 31 % 150) FROM n;
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
  INSERT INTO orders SELECT i, i * 7919 % 150 + 1, i * 104729 % 1000, i * 31 % 365 FROM n;
CREATE INDEX by_customer ON orders(customer);
CREATE INDEX by_day ON orders(day, amount);
SELECT region, count(*), sum(amount) FROM customer JOIN orders ON orders.customer = customer.id
  GROUP BY region ORDER BY 3 DESC;
SELECT name, (SELECT max(amount) FROM orders WHERE customer = customer.id) AS best
  FROM customer WHERE region < 4 ORDER BY best, name LIMIT 20;
SELECT day, total(amount) FROM orders WHERE day BETWEEN 100 AND 200 GROUP BY day;
DELETE FROM orders WHERE amount < 100;
SQL
  record sqlite "sqlite3 fills two tables, builds indices and joins" sqlite3 :memory: '.read report.sql'
}

sample_lookup() {
  # 400,000 rows of 200 bytes: a file of 86 MB, which the program maps.
  sqlite3 rows.db <<'SQL'
CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
  INSERT INTO rows SELECT i, zeroblob(200) FROM n;
SQL
  cat >lookup.sql <<'SQL'
PRAGMA mmap_size = 268435456;
WITH RECURSIVE n(i, k) AS (VALUES(1, 1)
    UNION ALL SELECT i + 1, k * 16807 % 2147483647 FROM n WHERE i < 4000)
  SELECT sum(length(body)) FROM n JOIN rows ON rows.id = k % 400000 + 1;
SQL
  record lookup "sqlite3 looks up 4,000 random rows in a mapped file of 86 MB" \
    sqlite3 -readonly rows.db '.read lookup.sql'
}

sample_python() {
  numbers 1500 7 | awk '{ print "id=" $2 ";group=g" $1 % 37 ";value=" $1 % 1000 }' >records
  cat >group.py <<'PY'
groups = {}
with open("records") as file:
    for line in file:
        record = dict(field.split("=") for field in line.strip().split(";"))
        groups.setdefault(record["group"], []).append(int(record["value"]))
for key, values in sorted(groups.items()):
    print(key, len(values), sum(values) / len(values), max(values))
PY
  record python "python3 parses 1,500 records and groups them" /usr/bin/python3 -S -B group.py
}

sample_grep() {
  # 20 folders of 20 source files.
  local folder file
  for folder in $(seq 20); do
    mkdir -p "tree/part$folder"
    for file in $(seq 20); do
      numbers 60 $((folder * 100 + file)) | awk '{
        printf "static int value_%d(int x) { return x %% %d ? x * %d : value_%d; }  // case %d\n",
          $1 % 500, $1 % 97 + 1, $1 % 31, $1 % 77, $2 }' >"tree/part$folder/file$file.c"
    done
  done
  record grep "grep -r with a regular expression over 400 source files" \
    grep -rnE 'return x % (7|13) .*value_[0-9]*5;' tree
}

sample_shell() {
  # Commands as build scripts have them: each expr, cut and cat is a process, each $( ) a fork.
  cat >count.sh <<'SH'
total=0
i=0
while [ $i -lt 24 ]; do
  line="item-$i:$(expr $i \* 37 % 101)"
  value=$(echo "$line" | cut -d: -f2)
  total=$(expr $total + $value)
  i=$(expr $i + 1)
done
echo $total | cat
SH
  record shell "a shell script that starts over a hundred short processes" sh count.sh
}

sample_git() {
  local commit
  local identity=(GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A
    GIT_COMMITTER_EMAIL=a@example.org)
  "${clean[@]}" git init -q -b main history
  for commit in $(seq 40); do
    numbers 200 "$commit" | awk -v c="$commit" '{ print $2, $2 % 40 < c ? $1 % 1000 : "unset" }' \
      >history/table
    numbers 50 $((commit / 5 + 1)) >history/other
    "${clean[@]}" git -C history add -A
    "${clean[@]}" "${identity[@]}" GIT_AUTHOR_DATE="$((1600000000 + commit)) +0000" \
      GIT_COMMITTER_DATE="$((1600000000 + commit)) +0000" git -C history commit -q -m "step $commit"
  done
  "${clean[@]}" git -C history repack -q -a -d
  record git "git log -S over 40 commits" git -C history log --oneline -S'777'
}

sample_xz() {
  numbers 3000 3 >data
  record xz "xz compresses with two threads" xz -0 -T2 --block-size=16KiB -k -c data
}

[ $# -gt 0 ] || set -- "${names[@]}"
for name in "$@"; do
  case " ${names[*]} " in
    *" $name "*) "sample_$name" ;;
    *) die "no sample '$name' (${names[*]})" ;;
  esac
done

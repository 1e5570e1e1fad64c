#!/bin/sh
# A long fuzz run: ROUNDS fresh processes (50), each with P2P_FUZZ_EXAMPLES cases (1430) of each of the 14 tests, a million together.
# One long process gets slower and larger with every case, for Hypothesis remembers all of them. Each round has its number as its seed.
#   sh scripts/fuzz.sh 50 1430
#   sh scripts/fuzz.sh 50 1430 12      goes on with round 12
set -e
rounds=${1:-50}
export P2P_FUZZ_EXAMPLES="${2:-1430}"
seed=${3:-1}
while [ "$seed" -le "$rounds" ]; do
  "${PYTHON:-.venv/bin/python}" -m pytest tests/fuzz -q -x -p no:cacheprovider --hypothesis-seed="$seed"
  seed=$((seed + 1))
done

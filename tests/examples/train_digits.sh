#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Training on 1, 2, 3 and 4 ranks is the same training. usage: train_digits.sh TUTTI TRAIN_DIGITS DIGITS
#
# The ranks add up the same gradients in another order, so the losses differ by rounding: one part in 2^24 per
# sum, carried through a few hundred steps of a network that does not amplify it. Measured: below 1e-5 of the loss
# after 20 epochs. The tolerance is 1e-4; one digit of a share counted twice, left out or wrongly weighted changes the
# loss by more than 1e-2.
set -u
tutti=$1 train=$2 digits=$3
tolerance=1e-4
epochs=8
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/../cli/tap.sh"
unset "${!TUTTI_@}"
export TUTTI_PROFILE=assumed

# A batch of 50 is not divisible by 3 or 4, and neither is the last one, of 37.
trains() {
	"$tutti" run -n "$1" --timeout 30 --no-prefix "$train" -e "$epochs" -b 50 "$digits" >"$work/$1" || return 1
	expect "$epochs" "$(grep -c '^epoch' "$work/$1")"
}
accurate() {
	awk '/^epoch/ { last = $7 } END { print "held out: " last " %"; exit !(last > 95) }' "$work/$1"
}
same_parameters_everywhere() {
	expect 1 "$(grep -c '^parameters .* the same on every rank$' "$work/$1")"
}
losses_agree() {
	paste <(grep '^epoch' "$work/1") <(grep '^epoch' "$work/$1") | awk -v tolerance="$tolerance" '
		{ off = ($4 - $12) / $4; off = off < 0 ? -off : off; worst = off > worst ? off : worst }
		END { print "largest relative difference: " worst; exit !(NR > 0 && worst <= tolerance) }'
}

expect 1 "$("$train" -e 1 "$digits" | grep -c '^epoch')" >"$work/alone" 2>&1
alone=$?
check "it works alone, without a launcher" test "$alone" = 0
for ranks in 1 2 3 4; do
	check "$ranks ranks train" trains "$ranks"
	check "$ranks ranks recognise more than 95 % of the digits held out" accurate "$ranks"
	check "$ranks ranks end with the same parameters, bit for bit" same_parameters_everywhere "$ranks"
	[ "$ranks" = 1 ] || check "the losses of $ranks ranks are those of one, up to rounding" losses_agree "$ranks"
done
more_ranks_than_digits() {
	"$tutti" run -n 4 --timeout 30 --no-prefix "$train" -e 1 -b 3 "$digits" >"$work/few" || return 1
	same_parameters_everywhere few
}
check "ranks without a share of a batch take part" more_ranks_than_digits
no_file() {
	"$train" "$work/nothing" 2>"$work/err"
	expect 1 $? && expect_match 'nothing: cannot be opened' "$(cat "$work/err")"
}
check "a missing file is named" no_file
finish

"""What git does on a host, as scripts for `sh`. Pure.

Each begins with `BEGIN`, and has a directory of its own, which is gone when it ends. Secrets come as variables (operations.Act.env): the
key of ssh is in a file of that directory while a script runs, a token in the environment of git alone.
"""

from __future__ import annotations

#: exit code of an act that did not do what was wanted, and has said by facts why
REFUSED = 20

#: `g`: git with the token of `RE_GIT_TOKEN` for the server `RE_GIT_AT` and no other. `failed`: says by a fact what git refused, as the last
#: thing that a look does. `ask URL REF…`, then `resolve REF FULL`: the commit of a reference; of none it is `FULL`, a commit's whole id or
#: nothing
BEGIN = r"""
command -v git >/dev/null || { fact missing git; exit 0; }
RE_GIT_MASK=$(umask)
umask 077
RE_GIT_PLACE=
trap '[ -z "$RE_GIT_PLACE" ] || { cd / && rm -rf -- "$RE_GIT_PLACE"; }' EXIT
trap 'exit 143' TERM INT HUP
for one in "${TMPDIR:-/tmp}" /var/tmp "$HOME"; do
  find "$one" -maxdepth 1 -name 're-git.*' -user "$(id -u)" -mtime +1 -exec rm -rf {} + 2>/dev/null
  RE_GIT_PLACE=$(mktemp -d "$one/re-git.XXXXXXXX" 2>/dev/null) && break
done
[ -n "$RE_GIT_PLACE" ] || { echo "no room, or no right, for a directory in ${TMPDIR:-/tmp}, /var/tmp and $HOME"; exit 1; }
export RE_GIT_PLACE
[ -z "$RE_GIT_KEY" ] || printf '%s\n' "$RE_GIT_KEY" >"$RE_GIT_PLACE/key" || exit 1
[ -z "$RE_GIT_KNOWN" ] || printf '%s\n' "$RE_GIT_KNOWN" >"$RE_GIT_PLACE/known" || exit 1
unset RE_GIT_KEY RE_GIT_KNOWN
umask "$RE_GIT_MASK"
problem="$RE_GIT_PLACE/problem"
g() {
  if [ -n "$RE_GIT_TOKEN" ]; then
    git -c credential.helper= -c "credential.$RE_GIT_AT.helper=!re() { [ \"\$1\" != get ] ||
      printf 'username=%s\npassword=%s\n' \"\$RE_GIT_USER\" \"\$RE_GIT_TOKEN\"; }; re" "$@"
  else
    git "$@"
  fi
}
failed() { fact_text failed "$(tail -c 4000 "$problem")"; exit 0; }
ask() {
  url=$1
  shift
  for one; do
    set -- "$@" "$one^{}" "refs/heads/$one" "refs/tags/$one" "refs/tags/$one^{}"
  done
  listed=$(g ls-remote -- "$url" "$@" 2>"$problem")
}
resolve() {
  for one in "$1^{}" "$1" "refs/heads/$1" "refs/tags/$1^{}" "refs/tags/$1"; do
    commit=$(printf '%s\n' "$listed" | awk -v name="$one" '$2 == name { print $1; exit }')
    [ -z "$commit" ] || return 0
  done
  commit=$2
}
branches() {
  fact_text branches "$(g ls-remote --heads -- "$1" 2>/dev/null | head -n 10 | cut -f2 | sed 's,^refs/heads/,,')"
}
commits() { g clone -q --bare --filter=tree:0 -- "$1" "$RE_GIT_PLACE/bare" 2>"$problem" && cd "$RE_GIT_PLACE/bare"; }
files() {
  git init -q --bare "$RE_GIT_PLACE/bare" && cd "$RE_GIT_PLACE/bare" || return
  g fetch -q --depth 1 -- "$1" "$2" 2>/dev/null && return
  cd / && rm -rf -- "$RE_GIT_PLACE/bare" && g clone -q --bare -- "$1" "$RE_GIT_PLACE/bare" && cd "$RE_GIT_PLACE/bare"
}
sum() { { sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null <"$1" | cut -d' ' -f1; }
"""

#: `$1` URL, `$2` reference, `$3` it where it is a whole commit's id, `$4` directory of the checkout
LOOK_CHECKOUT = r"""
ask "$1" "$2" || failed
resolve "$2" "$3"
fact commit "$commit"
[ -n "$commit" ] || branches "$1"
kind=other
if [ -e "$4/.git" ]; then
  kind=checkout
elif [ ! -e "$4" ] || { [ -d "$4" ] && [ -z "$(ls -A -- "$4")" ]; }; then
  kind=none
fi
fact kind "$kind"
[ $kind = checkout ] || exit 0
cd -- "$4" || exit 1
git rev-parse --git-dir >/dev/null 2>"$problem" || failed
fact_text origin "$(git remote get-url origin 2>/dev/null)"
fact_text dirty "$(git status --porcelain --untracked-files=no | head -n 5)"
fact head "$(git rev-parse --verify --quiet HEAD)"
"""
#: `$1` URL, `$2` directory, `$3` commit, `$4` commits of history that are fetched, or nothing for all
CHECK_OUT = r"""
[ -e "$2/.git" ] || g clone --no-checkout ${4:+--depth "$4"} -- "$1" "$2" || exit 1
cd -- "$2" || exit 1
g fetch ${4:+--depth "$4"} --force -- origin "$3" || exit 1
g -c advice.detachedHead=false checkout --detach "$3" || exit 1
"""

#: `$1` URL, `$2` branch, `$3` what is merged, `$4` it where it is a whole commit's id
LOOK_MERGE = r"""
ask "$1" "refs/heads/$2" "$3" || failed
resolve "refs/heads/$2" ""
to=$commit
resolve "$3" "$4"
fact to "$to"
fact commit "$commit"
{ [ -n "$to" ] && [ -n "$commit" ]; } || { branches "$1"; exit 0; }
[ "$to" != "$commit" ] || { fact merged 1; exit 0; }
commits "$1" || failed
git cat-file -e "$commit^{commit}" 2>/dev/null || g fetch -q -- origin "$commit" 2>"$problem" || failed
if git merge-base --is-ancestor "$commit" "$to"; then
  fact merged 1
else
  fact_text log "$(git log --format='%h %s' -n 50 "$to..$commit")"
fi
"""

#: what ends an act that changes a branch `$to`, which was at `$old`
_PUSH = r"""
refuse() { fact state "$1"; exit 20; }
at_branch() { g ls-remote -- origin "refs/heads/$to" | cut -f1; }
checked_out() {
  g clone -q --branch "$to" -- "$1" "$RE_GIT_PLACE/work" && cd "$RE_GIT_PLACE/work" || exit 1
  now=$(git rev-parse HEAD)
  [ "$now" = "$old" ] || { fact now "$now"; refuse moved; }
}
conflict() {
  files=$(git diff --name-only --diff-filter=U | head -n 100 | head -c 8000)
  [ -n "$files" ] || exit 1
  fact_text files "$files"
  refuse conflict
}
push() {
  new=$(git rev-parse HEAD)
  if ! g push "--force-with-lease=refs/heads/$to:$old" -- origin "HEAD:refs/heads/$to"; then
    now=$(at_branch)
    if [ "$now" != "$new" ]; then
      fact now "${now:-nothing}"
      [ "$now" = "$old" ] || refuse moved
      refuse closed
    fi
  fi
  fact commit "$new"
}
"""
#: `$1` URL, `$2` branch, `$3` where it is, `$4` the commit that is merged, `$5` words of the merge
MERGE = (
    _PUSH
    + r"""
to=$2 old=$3
checked_out "$1"
git cat-file -e "$4^{commit}" 2>/dev/null || g fetch -q -- origin "$4" || exit 1
git merge --no-ff --no-edit -m "$5" "$4" || conflict
push
"""
)

#: `$1` URL, `$2` branch, then what is picked
LOOK_PICKS = r"""
ask "$1" "refs/heads/$2" || failed
resolve "refs/heads/$2" ""
to=$commit
fact to "$to"
[ -n "$to" ] || { branches "$1"; exit 0; }
commits "$1" || failed
shift 2
for one; do
  full=$(git rev-parse --verify --quiet "$one^{commit}") || { fact_text unknown "$one"; exit 0; }
  git merge-base --is-ancestor "$full" "$to" && continue
  [ -z "$(git log --fixed-strings --grep="(cherry picked from commit $full)" --format=%H -n 1 "$to")" ] || continue
  git log --format='%H %s' -n 1 "$full" >>"$RE_GIT_PLACE/picks"
done
[ ! -e "$RE_GIT_PLACE/picks" ] || fact_file picks "$RE_GIT_PLACE/picks"
"""
#: `$1` URL, `$2` branch, `$3` where it is, `$4` the branch of the clone, `$5` number of commits, then these, then scripts
PICK = (
    _PUSH
    + r"""
to=$2 old=$3 picks=$5
checked_out "$1"
git checkout -q -b "$4" || exit 1
shift 5
while [ "$picks" -gt 0 ]; do
  git cherry-pick -x --allow-empty "$1" || { fact_text pick "$1"; conflict; }
  picks=$((picks - 1))
  shift
done
root=$(pwd -P)
for one; do
  found=$(readlink -f -- "./$one")
  case $found in "$root"/*) ;; *) found= ;; esac
  [ -n "$found" ] && [ -f "$found" ] || { fact_text script "$one"; refuse script; }
  (unset RE_GIT_TOKEN RE_GIT_PLACE GIT_SSH_COMMAND && exec "$found") </dev/null || exit 1
done
push
"""
)

#: `$1` URL, `$2` tag, `$3` reference, `$4` it where it is a whole commit's id
LOOK_TAG = r"""
ask "$1" "refs/tags/$2" "$3" || failed
resolve "refs/tags/$2" ""
fact there "$commit"
resolve "$3" "$4"
fact commit "$commit"
[ -n "$commit" ] || branches "$1"
"""
#: `$1` URL, `$2` tag, `$3` commit, `$4` its message
PUT_TAG = r"""
files "$1" "$3" || exit 1
git tag --annotate -m "$4" -- "$2" "$3" || exit 1
g push -- "$1" "refs/tags/$2:refs/tags/$2" || exit 1
"""

#: makes the archive `$made` of `$1` URL, `$2` commit, `$3` format, `$4` directory in it; in a shell of its own, which changes its directory
_MAKE = r"""
made="$RE_GIT_PLACE/archive"
make() (files "$1" "$2" && git archive "--format=$3" ${4:+"--prefix=$4/"} "--output=$made" "$2")
"""
#: `$1` URL, `$2` reference, `$3` it where it is a whole commit's id, `$4` path, `$5` format, `$6` directory in it. What is there is
#: compared with a new one only where it says that it is of the commit
LOOK_ARCHIVE = (
    _MAKE
    + r"""
ask "$1" "$2" || failed
resolve "$2" "$3"
fact commit "$commit"
[ -n "$commit" ] || { branches "$1"; exit 0; }
[ -d "$4" ] && fact kind directory
[ -f "$4" ] || exit 0
fact kind file
case $5 in
zip) of=$(tail -c 40 <"$4" | tr -cd 0-9a-f) ;;
tar.gz) of=$(gzip -dc <"$4" 2>/dev/null | git get-tar-commit-id 2>/dev/null) ;;
*) of=$(git get-tar-commit-id <"$4" 2>/dev/null) ;;
esac
fact of "$of"
[ "$of" = "$commit" ] || exit 0
make "$1" "$commit" "$5" "$6" 2>"$problem" || failed
fact sum "$(sum "$4")"
fact new "$(sum "$made")"
"""
)
#: `$1` URL, `$2` commit, `$3` path, `$4` format, `$5` directory in it
ARCHIVE = (
    _MAKE
    + r"""
[ -d "$(dirname -- "$3")" ] || { echo "there is no directory $(dirname -- "$3"); make it with file:Directory"; exit 1; }
make "$1" "$2" "$4" "$5" || exit 1
new=$(mktemp "$3.re-XXXXXXXX") || exit 1
if cat <"$made" >"$new" && chmod 644 "$new" && mv -f -- "$new" "$3"; then
  fact sum "$(sum "$3")"
else
  rm -f -- "$new"
  exit 1
fi
"""
)

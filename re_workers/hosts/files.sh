# Files: store one, read one. Behind head.sh.

# says each few seconds that it works, since a large file takes long to be read; nothing of it holds the session
pulse() {
  (while sleep 5 </dev/null >/dev/null 2>&1; do say alive || exit; done) &
  beat=$!
}
calm() { kill "$beat" 2>/dev/null; }
# the digest of the file $1 in $total
sum() {
  pulse
  if command -v sha256sum >/dev/null 2>&1; then
    total=$(sha256sum <"$1" 2>/dev/null)
  elif command -v shasum >/dev/null 2>&1; then
    total=$(shasum -a 256 <"$1" 2>/dev/null)
  else
    total=$(openssl dgst -sha256 -r <"$1" 2>/dev/null)
  fi
  calm
  total=${total%% *}
  [ -n "$total" ] || stop failed neither sha256sum nor shasum nor openssl can be used there
}
# where a policy of the system keeps it back, only opening it shows that
readable() { [ -r "$1" ] && (: <"$1") 2>/dev/null; }
length() { size_of=$(($(wc -c <"$1"))); }
room() { free=$4; }
# permissions and owner of $1, of what was there where nothing was said
settle() {
  if [ -z "$mode" ] && [ -f "$target" ]; then
    mode=$(stat -c %a "$target" 2>/dev/null || stat -f %Lp "$target" 2>/dev/null)
    [ -n "$owner" ] || chown "$(stat -c %u:%g "$target" 2>/dev/null || stat -f %u:%g "$target" 2>/dev/null)" "$1" 2>/dev/null
  fi
  [ -z "$owner" ] || why=$(chown -- "$owner" "$1" 2>&1) || return
  [ -z "$mode" ] || why=$(chmod -- "$mode" "$1" 2>&1)
}

here
case $verb in
put)
  target=$1 token=$2 size=$3 digest=$4 mode=$5 owner=$6
  name=${target##*/}
  directory=${target%"$name"}
  [ -n "$name" ] || stop failed the path names a directory
  [ ! -d "$target" ] || stop failed it is a directory
  [ -d "${directory:-.}" ] || stop failed there is no directory "$directory"
  if [ -f "$target" ] && readable "$target" && length "$target" && [ $size_of -eq "$size" ] && sum "$target" && [ "$total" = "$digest" ]; then
    settle "$target" || failed
    stop stored same
  fi
  part=$directory.$name.re-$token
  set +f
  for one in "$directory.$name.re-"*; do # of transfers that were never gone on with
    [ ! -f "$one" ] || [ -z "$(find "$one" -prune -mtime +0)" ] || rm -f "$one"
  done
  set -f
  size_of=0
  [ ! -f "$part" ] || length "$part"
  room $(df -Pk "${directory:-.}" 2>/dev/null | tail -n 1)
  [ -z "$free" ] || [ "$free" -ge $(((size - size_of) / 1024 * 21 / 20)) ] || stop full $((free * 1024))
  why=$( (: >>"$part") 2>&1) || failed
  say have $size_of
  skip_to_input
  why=$(cat 2>&1 >>"$part") || {
    rm -f "$part"
    failed
  }
  length "$part"
  [ $size_of -ge "$size" ] || stop short $size_of
  sum "$part"
  if [ "$total" != "$digest" ]; then
    rm -f "$part"
    stop wrong
  fi
  settle "$part" && why=$(mv -f -- "$part" "$target" 2>&1) || {
    rm -f "$part"
    failed
  }
  stop stored new
  ;;
get)
  path=$1 offset=$2 most=$3
  [ -e "$path" ] || stop failed there is no such file
  [ -f "$path" ] || stop failed it is not a file
  readable "$path" || stop failed permission denied
  length "$path"
  [ $size_of -le "$most" ] || stop large $size_of
  tail -c +$((offset + 1)) "$path" | head -c $((size_of - offset))
  sum "$path"
  stop got $size_of "$total"
  ;;
esac

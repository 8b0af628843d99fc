# Runs with records: begin one, follow it, look at it, end it, sweep. Behind head.sh; arguments: root of the records (empty: in the
# user's home), record, file of the boot id, then those of the verb.
root=$1 key=$2 boot_file=$3
shift 3

# what agent and supervisor share
shared='
nap() { sleep "$1" 2>/dev/null || sleep 1; }
# when a process began, in $t; empty where there is none. A number of a process comes again, the two together do not
began() {
  t=
  if { read -r line <"/proc/$1/stat"; } 2>/dev/null; then
    set -- ${line##*) }
    [ "$1" = Z ] || t=${20}
  elif [ ! -d /proc/self ]; then
    t=$(ps -o lstart= -p "$1" 2>/dev/null | tr -d " ")
  fi
}
# processes of the session $1
members() {
  set +f
  for one in /proc/[0-9]*/stat; do
    set -f
    session=$1
    if { read -r line <"$one"; } 2>/dev/null; then
      one=${one#/proc/}
      is_member "$session" ${line##*) } && printf "%s " "${one%/stat}"
    fi
  done
  set -f
}
is_member() { [ "$2" != Z ] && [ "$5" = "$1" ]; }
# processes of the session $1, and those that left it and still carry the mark of the record $2: its path
family() {
  members "$1"
  set +f
  for one in $(grep -lszF "RE_RECORD=$2;" /proc/[0-9]*/environ 2>/dev/null); do
    one=${one#/proc/}
    printf "%s " "${one%/environ}"
  done
  set -f
}
# all of standard input, in $text; $1: its length. A shell reads little by itself, byte by byte, sooner than it starts a program
take_input() {
  text= line=
  if [ "$1" -gt 1500 ]; then
    text=$(cat)
    return
  fi
  while IFS= read -r line; do
    text="$text$line
"
  done
  text=$text$line
}
'
eval "$shared"

# which boot this is, in $boot: of a machine, and of a container by the beginning of its first process
which_boot() {
  boot=
  { read -r boot <"$boot_file"; } 2>/dev/null || boot=$(sysctl -n kern.boottime 2>/dev/null | tr -cd '0-9')
  began 1
  boot=$boot.$t
}

# the end that the supervisor wrote, in $code: in one write, into a file that was as long before
read_end() {
  code= end= mark=
  { read -r end code mark <end; } 2>/dev/null
  [ "$end" = end ] && [ "$mark" = . ]
}

# bytes of output, and of what was dropped of it
sizes() {
  size=0
  [ ! -s out ] || size=$(($(wc -c <out)))
  count_dropped
}
count_dropped() {
  dropped=
  { read -r dropped <dropped; } 2>/dev/null
  dropped=${dropped:-0}
}

# $standing, and $code where it has ended. The directory is the present one
stand() {
  pid= ticks= other=
  if read_end; then
    standing=ended
    if [ "$code" = void ]; then standing=never code=; fi
    return
  fi
  { read -r other <boot; } 2>/dev/null
  if [ -n "$other" ] && [ "$other" != "$boot" ]; then
    standing=rebooted
    return
  fi
  { read -r pid ticks <pid; } 2>/dev/null
  if [ -n "$pid" ]; then
    standing=runs
    began "$pid"
    if [ -z "$t" ] || [ "$t" != "$ticks" ]; then
      # it may have written its end since the look above
      if read_end; then stand; else standing=vanished; fi
    fi
    return
  fi
  tries=0
  while ! { read -r pid ticks <starter; } 2>/dev/null && [ $tries -lt 10 ]; do # it may be about to write that
    nap 0.1
    tries=$((tries + 1))
  done
  [ -z "$pid" ] || began "$pid"
  if [ -n "$pid" ] && [ -n "$t" ] && [ "$t" = "$ticks" ]; then
    standing=beginning
    return
  fi
  # The starter is dead. A supervisor that it may have started writes `pid` and then looks for `void`; here it is the other way
  # round, so that one of the two sees the other
  mkdir void 2>/dev/null
  if [ -s pid ]; then stand; else standing=never; fi
}

# some shells do not say why they could not write
full() { [ "$4" != 0 ] || why="no space left on the device: $why"; }

report() {
  sizes
  say "$standing" "${code:--}" "$size" "$dropped"
}

# End the run of this directory, first asked and then made to. It may be about to begin
end_it() {
  mkdir cancel 2>/dev/null
  round=0
  stand
  while [ "$standing" = beginning ] && [ $round -lt 100 ]; do
    nap 0.1
    round=$((round + 1))
    stand
  done
  [ "$standing" != runs ] || kill -TERM "$pid" 2>/dev/null
  while [ "$standing" = runs ] && [ $round -lt 150 ]; do
    nap 0.1
    round=$((round + 1))
    stand
  done
  if [ "$standing" = vanished ] && { read -r session watchdog ticks <program; } 2>/dev/null; then
    kill -KILL $(family "$session" "$PWD") 2>/dev/null
    began "$watchdog"
    [ -z "$t" ] || [ "$t" != "$ticks" ] || kill -TERM "$watchdog" 2>/dev/null
  fi
}

# End what runs of one attempt, and have nothing more of it begin: `begin` makes its directory and then looks for this mark; here it
# is the other way round, so that one of the two sees the other
supersede() {
  mkdir "$1.over" 2>/dev/null
  set +f
  for one in "$1".*; do
    set -f
    if [ "$one" != "$1.over" ] && cd "$root/$one" 2>/dev/null; then
      stand
      case $standing in
      runs | beginning)
        count=$((count + 1))
        end_it
        ;;
      vanished) end_it ;;
      esac
      cd "$root" || exit 0
      say alive
    fi
  done
  set -f
}

# All of the output, and its bytes in $size: one program does both, and says the bytes behind a line that ends with "out"
show_all() {
  size=0
  if [ -s out ]; then
    exec 5>&1
    size=$(LC_ALL=C dd if=out bs=65536 2>&1 >&5 5>&-)
    exec 5>&-
    size=${size##*out
}
    size=${size%% *}
    case $size in
    '' | *[!0-9]*) exit 0 ;; # nothing listens
    esac
  fi
  count_dropped
}

# What it prints from an offset on, until it has ended. Each round says that it is there, so that it ends when nothing listens.
# `$2`: seconds until the next look
follow() {
  offset=$1 tick=$2 quiet=0
  while :; do
    stand
    # most runs are over at once: their output is read once, at the end
    [ "$tick" = 0.2 ] || [ "$standing" != runs ] || standing=young
    if [ "$standing$offset" = ended0 ]; then
      show_all
    elif [ "$standing" != young ]; then
      sizes
      if [ "$size" -gt "$offset" ]; then
        tail -c +$((offset + 1)) out | head -c $((size - offset)) || exit 0
        offset=$size quiet=0
      fi
    fi
    case $standing in
    young | runs | beginning) ;;
    *) break ;;
    esac
    nap $tick
    case $tick in
    0.01) tick=0.02 ;;
    0.02) tick=0.05 ;;
    0.05) tick=0.1 ;;
    *) tick=0.2 quiet=$((quiet + 1)) ;;
    esac
    if [ $quiet -ge 25 ]; then
      quiet=0
      say alive || exit 0
    fi
  done
  say "$standing" "${code:--}" "$size" "$dropped"
}

# The text of the supervisor, after the shared functions. Arguments: the record, seconds, umask, place, what confines, blocks of output,
# the length of the input; input: the program's variables; descriptor 3: the session that follows the run hears a line when there is
# something to look at. The supervisor runs beside the sink, which takes what the program prints. A program that it starts costs its
# host more than a shell that it forks, so that it starts few.
supervisor='
set -f
umask 077
cd "$1" || exit 1
limit=$2 mask=$3 place=$4 confined=$5 blocks=$6 file=$1/cmd record=$PWD ending= program=
take_input "$7"
variables=$text
finish() {
  printf "end %s .\n" "$1" 1<>end
  echo ended >&3
}
end_all() {
  for signal in TERM KILL; do
    sent=" "
    round=0 gone=
    kill -$signal "$program" "-$program" 2>/dev/null
    while [ $round -lt 50 ]; do
      left=$(family "$program" "$record")
      # what is about to become another program shows no mark for a moment: twice nothing is nothing
      if [ -n "$left" ] || kill -0 "$program" 2>/dev/null; then gone=; elif [ -n "$gone" ]; then return; else gone=1; fi
      for one in $left; do
        case $sent in *" $one "*) ;; *) kill -$signal "$one" 2>/dev/null ;; esac
        sent="$sent$one "
      done
      nap 0.1
      round=$((round + 1))
    done
  done
}
end_once() {
  [ -z "$program" ] || [ -n "$ending" ] || {
    ending=1
    end_all >/dev/null 3>&- &
  }
}
# Standard output is a pipe to the sink, which only the program keeps. What confines it reads the variables when it has done so:
# they could make anything else do what it should not
start() {
  trap - PIPE
  if [ -n "$place" ]; then cd -- "$place" || exit 127; else cd "$HOME" 2>/dev/null || cd /; fi
  umask "$mask"
  RE_RECORD="$record;"
  export RE_RECORD
}
# Its time over, the watchdog asks the supervisor to end the program. Its sleep goes with it: a signal that can be held would be lost on
# a process that is not yet the sleep
watch() {
  trap "[ \"\$!\" = $program ] || kill -KILL \$!; exit" TERM
  sleep 0.3 3>&- &
  wait $! || {
    sleep 1 3>&- &
    wait $!
  }
  echo young >&3
  exec 3>&-
  is_here || return
  sleep "$limit" &
  wait $!
  if is_here; then kill -TERM "$self"; fi
}
is_here() {
  began "$self"
  [ "$t" = "$ticks" ]
}
supervise() {
  # a number of its own: that in $$ is the one of the shell which began both
  { read -r self line </proc/self/stat; } 2>/dev/null || self=$(exec sh -c "echo \$PPID")
  trap end_once TERM
  trap "" PIPE # it does not matter whether anyone follows
  began "$self"
  ticks=$t
  printf "%s %s\n" "$self" "$ticks" >pid || exit 1
  if [ -d void ]; then
    finish void
    exit
  fi
  if [ -d cancel ]; then
    finish 143
    exit
  fi
  if [ -n "$confined" ]; then
    printf "%s\n" "$variables" | (
      exec 3<&0 <in 2>&1
      start
      eval "exec setsid $confined \"\$file\""
    ) &
  else
    (
      exec <in 2>&1 3>&-
      start
      eval "$variables"
      exec setsid sh "$file"
    ) &
  fi
  program=$!
  [ ! -d cancel ] || end_once
  exec >/dev/null
  watch &
  watchdog=$!
  began "$watchdog"
  printf "%s %s %s\n" "$program" "$watchdog" "$t" >program
  while wait "$program"; code=$?; [ $code -gt 128 ] && kill -0 "$program" 2>/dev/null; do :; done
  round=0
  while [ -n "$ending" ] && [ -n "$(family "$program" "$record")" ] && [ $round -lt 120 ]; do
    nap 0.1
    round=$((round + 1))
  done
  await_output
  finish $code
  kill -TERM "$watchdog" 2>/dev/null
}
# What the program has left behind may keep its output open for as long as it likes: two seconds. Where nothing is left, the sink of
# a busy host has not come to it yet
await_output() {
  round=0
  while [ ! -e drained ] && [ $round -lt 10 ]; do # the sink needs but a moment: a shell that ends at once is one, too
    (:)
    round=$((round + 1))
  done
  tick=0.01
  round=0
  while [ ! -e drained ] && { [ $round -lt 40 ] || [ -z "$(family "$program" "$record")" ]; } && [ $round -lt 60 ]; do
    nap $tick
    tick=0.05
    [ $round -lt 39 ] || tick=0.5
    round=$((round + 1))
  done
}
# what the program prints goes to `out`, and what is more, or has no room there, is counted
sink() {
  (
    ulimit -c 0
    ulimit -f "$blocks"
    exec cat >out
  ) || wc -c >dropped
  : >drained
}
supervise | sink >/dev/null 3>&- &
'

if [ -z "$root" ]; then
  root=${HOME:-}/.re/attempts
  if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
    root=/var/tmp/re-$(id -u)
    mkdir "$root" 2>/dev/null
    [ -O "$root" ] || stop failed "$root belongs to another user; set records: in the inventory"
  fi
fi
which_boot
here
case $verb in
begin)
  limit=$1 cap=$2 offset=$3 fence=$4 length=$5
  skip_to_input
  take_input "$length"
  case $text in
  *"
RE1 all $nonce") ;;
  *) stop cut ;;
  esac
  eval "${text%RE1 all *}"
  trap '' HUP PIPE # from here on it does not matter whether anyone listens
  directory=$root/$key
  if ! why=$(mkdir "$directory" 2>&1); then
    [ -d "$root" ] || mkdir -p "$root" 2>/dev/null
    if ! why=$(mkdir "$directory" 2>&1); then
      [ -d "$directory" ] || failed
      cd "$directory" || failed
      trap - HUP PIPE
      other=
      { read -r other <spec; } 2>/dev/null
      [ -z "$other" ] || [ "$other" = "$re_spec" ] || stop other
      say known
      follow "$offset" 0.01
      exit 0
    fi
  fi
  cd "$directory" || stop failed "cannot enter $directory"
  if [ -d "$root/$fence" ]; then
    cd / && rm -rf "$directory"
    stop superseded
  fi
  began $$
  if ! why=$( (printf '%s\n' "$boot" >boot && printf '%s %s\n' $$ "$t" >starter && printf '%63s\n' ' ' >end && printf '%s' "$re_cmd" >cmd &&
    printf '%s' "$re_in" >in && : >out && printf '%s\n' "$re_spec" >spec) 2>&1); then
    cd / && rm -rf "$directory"
    full $(df -Pk "$root" 2>/dev/null | tail -n 1)
    failed
  fi
  # the program shall not inherit that they are ignored
  trap - HUP PIPE
  printf '%s' "$re_env" |
    setsid sh -c "$shared$supervisor" re "$directory" "$limit" "$mask" "$re_cwd" "$re_confined" $((cap / 512 + 1)) ${#re_env} 2>/dev/null 3>&1 >/dev/null | {
    say begun
    # it has ended, or is no short one; or its supervisor is gone, and is not waited for if it was not yet one
    read -r line || [ -s pid ] || echo - - >starter
    follow 0 0.2
  }
  ;;
follow | look | end)
  if ! cd "$root/$key" 2>/dev/null; then
    up=
    { read -r up line </proc/uptime; } 2>/dev/null
    stop none "$boot" "${up%%.*}"
  fi
  case $verb in
  follow) follow "$1" 0.01 ;;
  look)
    stand
    report
    ;;
  end)
    end_it
    report
    ;;
  esac
  ;;
supersede)
  [ -d "$root" ] || mkdir -p "$root" 2>/dev/null
  cd "$root" || stop failed "cannot enter $root"
  count=0
  for family_of in "$key" "$@"; do supersede "$family_of"; done
  say superseded $count
  ;;
sweep | tidy)
  cd "$root" 2>/dev/null || stop swept 0
  count=0
  if [ "$verb" = tidy ]; then # all that has not changed for so many days; marks of what is over for less
    set -- $(find . ! -name . -prune -type d -mtime "+$1" 2>/dev/null | head -n 200) \
      $(find . ! -name . -prune -type d -name '*.over' -mtime +7 2>/dev/null | head -n 2000)
    user=$(id -un)
    if [ "$user" != root ] && [ ! -e "/var/lib/systemd/linger/$user" ]; then
      bus='org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager'
      kills=$(busctl get-property $bus KillUserProcesses 2>/dev/null)
      [ "$kills" != "b true" ] || say kills "$user"
    fi
  else # the attempts are over. What begins one makes its directory and then looks for the mark; here it is the other way round
    families="$key $*"
    for one in $families; do mkdir "$one.over" 2>/dev/null; done
    set --
    set +f
    for one in $families; do set -- "$@" "$one".*; done
    set -f
  fi
  for one in "$@"; do
    case $one in
    *.over) # an attempt is over, or a later one has begun
      [ "$verb" = sweep ] || rmdir "$one" 2>/dev/null
      continue
      ;;
    ./.gone-*) # a sweep that was cut
      rm -rf "$one"
      continue
      ;;
    esac
    if [ -d "$one" ] && cd "$one"; then
      stand
      cd ..
      case $standing in
      ended | never)
        mv "$one" ".gone-$nonce" && rm -rf ".gone-$nonce" && count=$((count + 1))
        ;;
      esac
    fi
  done
  say swept $count
  ;;
esac

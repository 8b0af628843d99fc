# What comes first in everything that a host carries out for a session. POSIX sh; nothing is installed. Arguments: verb, nonce, then
# those of the verb. Lines for the worker go to standard error, `RE1 <nonce> …`; data goes to standard output, behind a line of its
# own there. docs/decisions/0034 says why it is made like this.
set -f
unset CDPATH ENV
IFS=' 	
'
mask= line=
{ read -r line && read -r line mask; } 2>/dev/null </proc/self/status # sooner than by a process for `umask`
[ "$line" = Umask: ] || mask=$(umask)
umask 077
PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin
verb=$1 nonce=$2
shift 2

say() { printf 'RE1 %s %s\n' "$nonce" "$*" >&2; }
stop() {
  say "$@"
  exit 0
}
# what goes with the answer to a failed command in $why: one line
failed() { stop failed $why; }
# a login shell, or a sudo that asks for no password, may leave lines unread
skip_to_input() { while IFS= read -r line; do [ "$line" != "RE1 go $nonce" ] || break; done; }
here() {
  say here
  printf 'RE1 %s out\n' "$nonce" # what comes before it on standard output is a login shell's
}


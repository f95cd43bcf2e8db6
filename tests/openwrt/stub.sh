# What OpenWrt gives to an init script, as far as ours uses it: UCI read from the file UCI_CONFIG (plain
# `config`, `option` and `list` lines), and procd's functions, which print what they are told.
# shellcheck shell=dash disable=SC2034,SC2086

# uci_lines SECTION: "kind<TAB>name<TAB>value" of each line of a section; without one, the sections.
uci_lines() {
	awk -v wanted="$1" '
		function rest(n) { sub("^[ \t]*" $1 "[ \t]+" (n ? $2 "[ \t]+" : ""), ""); return unquote($0) }
		function unquote(s) { sub(/[ \t]+$/, "", s); if (s ~ /^\047.*\047$/ || s ~ /^".*"$/) s = substr(s, 2, length(s) - 2); return s }
		/^[ \t]*#/ || /^[ \t]*$/ { next }
		$1 == "config" { section = unquote($3); if (wanted == "") print "section\t" section "\t" unquote($2); next }
		section == wanted && wanted != "" { kind = $1; name = unquote($2); print kind "\t" name "\t" rest(1) }
	' "$UCI_CONFIG"
}

TAB=$(printf '\t')

uci() { # uci -q show cmcwh.SECTION
	uci_lines "${3#cmcwh.}" | cut -f2 | sort -u | sed "s/.*/$3.&='x'/"
}

config_load() { :; }

config_foreach() {
	local section
	for section in $(uci_lines '' | cut -f2); do
		"$1" "$section"
	done
}

config_get() {
	local found
	found=$(uci_lines "$2" | sed -n "s/^option$TAB$3$TAB//p" | tail -n 1)
	eval "$1=\$found"
}

config_get_bool() {
	config_get "$1" "$2" "$3"
	eval "case \$$1 in 1 | on | true | yes) $1=1 ;; '') $1=$4 ;; *) $1=0 ;; esac"
}

config_list_foreach() {
	local section="$1" name="$2" call="$3" value
	shift 3
	uci_lines "$section" | sed -n "s/^list$TAB$name$TAB//p" >"$UCI_CONFIG.$name"
	while IFS= read -r value; do
		"$call" "$value" "$@"
	done <"$UCI_CONFIG.$name"
}

# Each argument on a line of its own, so that spaces in values can be seen.
procd_say() {
	local what="$1" word
	shift
	for word; do
		printf '%s %s\n' "$what" "$word"
	done
}

procd_open_instance() { echo "instance $1"; }
procd_close_instance() { echo "close"; }
procd_set_param() { local name="$1"; shift; procd_say "$name" "$@"; }
procd_append_param() { local name="$1"; shift; procd_say "$name" "$@"; }
procd_add_jail() { procd_say jail "$@"; }
procd_add_jail_mount() { procd_say mount "$@"; }
procd_add_jail_mount_rw() { procd_say mount_rw "$@"; }
procd_add_reload_trigger() { procd_say trigger "$@"; }
logger() { while [ $# -gt 1 ]; do shift; done; echo "log $1"; }
# What is made or given away is told, not done.
mkdir() { echo "mkdir $*"; }
chmod() { echo "chmod $*"; }
chown() { echo "chown $*"; }

# Reads the part of a cloud-config that the tiny guest knows (hostname, fqdn, users, runcmd, ssh_keys) and prints one fact a line:
#   hostname NAME | user NAME | run SHELL LINE | hostkey LINE OF THE PRIVATE ed25519 KEY
# Not a YAML parser: block style, two levels, flow lists ["a", "b"] and block scalars as runcmd items. The rest is passed over.
function bare(text) {
    sub(/[ \t\r]+$/, "", text)
    if (text ~ /^".*"$/) { text = substr(text, 2, length(text) - 2); gsub(/\\"/, "\"", text); gsub(/\\\\/, "\\", text) }
    else if (text ~ /^'.*'$/) { text = substr(text, 2, length(text) - 2); gsub(/''/, "'", text) }
    return text
}
function quoted(word) { gsub(/'/, "'\\''", word); return "'" word "'" }
# a flow list to a shell line: each element is one quoted word
function words(list,    out, word, open, i, c) {
    list = substr(list, 2, length(list) - 2)
    for (i = 1; i <= length(list); i++) {
        c = substr(list, i, 1)
        if (open == "" && (c == "\"" || c == "'")) open = c
        else if (c == open) open = ""
        if (c == "," && open == "") { out = out " " quoted(bare(word)); word = ""; continue }
        if (c == " " && word == "") continue
        word = word c
    }
    return out " " quoted(bare(word))
}
function run(item) { print "run " (item ~ /^\[.*\]$/ ? words(item) : bare(item)) }
function indent(line) { match(line, /^ */); return RLENGTH }

/^[ \t]*#/ && !block { next }
/^[ \t]*$/ { next }
block && indent($0) > block_at { line = $0; if (!inner) inner = indent($0); print block " " substr(line, inner + 1); next }
{ block = "" }
/^[A-Za-z_]/ {
    key = $0; sub(/:.*/, "", key)
    value = $0; sub(/^[^:]*:[ \t]*/, "", value)
    if (key == "hostname") print "hostname " bare(value)
    if (key == "fqdn" && value != "") { value = bare(value); sub(/\..*/, "", value); print "hostname " value }
    next
}
key == "users" && /^ *- +name:/ { value = $0; sub(/^ *- +name:[ \t]*/, "", value); print "user " bare(value); next }
key == "users" && /^ +name:/ { value = $0; sub(/^ +name:[ \t]*/, "", value); print "user " bare(value); next }
key == "runcmd" && /^ *- / {
    value = $0; sub(/^ *- +/, "", value); sub(/[ \t\r]+$/, "", value)
    if (value ~ /^[|>][-+]?$/) { block = "run"; block_at = indent($0); inner = 0; next }
    run(value)
}
key == "ssh_keys" && /^ +ed25519_private: *[|][-+]?[ \t\r]*$/ { block = "hostkey"; block_at = indent($0); inner = 0; next }
